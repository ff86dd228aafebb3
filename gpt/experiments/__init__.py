"""Experiments with models: a learning-rate range test, a sweep over settings, a comparison of two models."""
