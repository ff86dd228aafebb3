"""A character-level GPT on scalars: data, model, training, sampling and the command line around them.

Floors, from the lowest; a file imports from lower ones:

    errors.py      what can go wrong
    files.py       writing files so that nothing is lost
    config.py      the settings of a model and of a training run
    tokenizer.py   characters to numbers and back
    data/          texts, and how they become tokens and sequences
    model.py       the model
    runs/          a run on disk: checkpoints, snapshots, logs, files of other programs
    sample.py      writing text with a model
    engines/       what computes a training step: scalars, array programs, PyTorch
    train.py       the training loop
    inspection/    what a trained model does, as numbers
    experiments/   range tests, sweeps and comparisons
    pictures/      what ``viz`` draws of a run; only these files and the commands import it
    commands/      the commands, imported when they run
    cli.py         ``python -m gpt``
"""
