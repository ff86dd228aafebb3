"""The back end that runs everywhere: calls of numpy functions on memory that is laid out in advance."""
