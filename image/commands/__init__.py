"""The commands of ``python -m image``; each file is imported when its command runs."""
