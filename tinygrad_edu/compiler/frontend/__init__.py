"""From a Python function to a record of its operations, or to a refusal that names the line."""
