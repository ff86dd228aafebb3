"""A run on disk: checkpoints, snapshots, logs, what is shown while it trains, and files of other programs."""
