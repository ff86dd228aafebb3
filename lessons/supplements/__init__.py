"""Shorter pages in addition to the ten lessons, in the same format: ``python -m lessons s1``."""
