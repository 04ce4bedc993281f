"""Layers for training and evaluation on a plain CPU, on activations in blocked layout, (N, C/b, H, W, b).

MindSpore's own convolutions take plain layouts, which oneDNN's fastest kernels do not. The operators in kernels/ call the
copy of oneDNN that MindSpore brings; `python -m src.cpu` builds them, `libraries` finds and checks them.
"""
