"""Pictures from words on scalars: flow matching with a diffusion transformer, from points in the plane to captions.

Floors, from the lowest; a file imports from lower ones:

    data/          points, handwritten digits, drawn shapes and the words for them
    config.py      the settings of a model and of a training run, and the presets
    model.py       the networks, the flow, the autoencoder
    dataset.py     the examples of a step, what a model is told, what is shown of it
    sample.py      painting: from noise to a picture, with guidance
    run.py         a run on disk
    judge.py       is it what was asked for? a reader of digits, nearest templates, distances
    train.py       the training loop
    pictures/      grids, the way from noise, the graph of the loss; only these files and the commands import viz
    commands/      the commands, imported when they run
    cli.py         ``python -m image``
"""
