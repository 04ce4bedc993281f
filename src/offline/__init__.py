"""Off-line inference: images become .bin files, another program runs the network, its result files become an accuracy."""
