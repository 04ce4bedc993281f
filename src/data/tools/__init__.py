"""Commands that make or change data sets."""
