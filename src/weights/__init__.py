"""Weights of other programs: files, names, checks. `python -m src.weights` is the command."""
