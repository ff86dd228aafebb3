"""From a Python function to a record of its operations, or to an error that names the line."""
