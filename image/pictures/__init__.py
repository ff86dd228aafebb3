"""What ``viz`` draws of a run."""
