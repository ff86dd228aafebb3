"""What every training run needs, whatever is trained; ``gpt`` and ``image`` are built on it.

From the lowest; a file imports from those above it:

    errors.py      what can go wrong: settings, data, checkpoints, divergence
    settings.py    settings that are checked, and become flags; those of every training
    reading.py     reading files of unknown origin
    files.py       tensors, JSON and logs on disk
    snapshots.py   the parameters on the way
    folder.py      the folder of a run: one process at a time, and an unused name
    progress.py    the progress of training in a terminal
    stopping.py    Ctrl-C: finish the step, save, stop
    engine.py      one training step, compiled or Value by Value
"""
