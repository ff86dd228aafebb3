"""The commands of ``python -m viz``; those that share their input share a file."""
