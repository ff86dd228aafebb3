"""The array program: its language, its meaning, its derivative, and its optimization."""
