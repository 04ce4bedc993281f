"""Evaluation: exact counts over every image, whatever the format of the network's file."""
