"""PyTorch: programs on its tensors, an engine that trains with them, and several processes."""
