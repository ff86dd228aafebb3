"""Pictures of numbers, one file each: losses, gradients, attention, embeddings, boundaries."""
