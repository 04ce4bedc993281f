"""The files that a network is deployed as: one module per format, which writes and opens it."""
