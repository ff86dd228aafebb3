"""The array program: its language, its meaning, its derivative, and what is improved about it."""
