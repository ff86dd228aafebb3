"""Pictures from words in five phases, in the format of the ten lessons: ``python -m lessons p1``."""
