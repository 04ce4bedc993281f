"""Exports: a checkpoint becomes a MINDIR, ONNX, AIR or OM file; what can run here was compared with the network."""
