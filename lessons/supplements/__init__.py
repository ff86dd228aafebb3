"""Shorter pages in addition to the lessons in a row, in the same format: ``python -m lessons s1``."""
