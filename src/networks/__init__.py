"""The networks as data: names, descriptions, published accuracies. Needs no MindSpore."""
