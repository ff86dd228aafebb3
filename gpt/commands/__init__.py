"""The commands of ``python -m gpt``, a file each, and what several of them share."""
