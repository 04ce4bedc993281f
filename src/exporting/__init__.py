"""export.py: a checkpoint becomes a MINDIR, ONNX, AIR or OM file, compared with the network wherever it can run here."""
