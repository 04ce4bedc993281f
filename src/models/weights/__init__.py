"""Weights of other programs: files, names, checks. `python -m src.models.weights` is the command."""
