"""The commands of ``python -m viz``, a file for those that share their input."""
