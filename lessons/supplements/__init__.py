"""Shorter pages beside the ten lessons, in the same format: ``python -m lessons s1``."""
