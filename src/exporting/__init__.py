"""Exports: a checkpoint becomes a MINDIR or ONNX file whose answers were compared with the network's."""
