"""Texts: where they come from, reports on them, and how they become tokens and sequences."""
