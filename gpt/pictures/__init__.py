"""Pictures of runs, made with ``viz``, which knows nothing about runs."""
