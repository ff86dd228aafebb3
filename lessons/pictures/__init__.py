"""Pictures from words in five phases, in the format of the lessons: ``python -m lessons p1``."""
