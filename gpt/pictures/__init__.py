"""Pictures of runs, made with ``viz``, which knows no run."""
