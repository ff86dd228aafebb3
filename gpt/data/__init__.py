"""Texts: where they come from, what they are like, and how they become tokens and sequences."""
