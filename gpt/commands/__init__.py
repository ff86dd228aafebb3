"""The commands of ``python -m gpt``, one file each, and what several of them share."""
