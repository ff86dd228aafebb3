"""A character-level GPT on scalars: data, model, training, sampling and the command line around them."""
