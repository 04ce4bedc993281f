"""Where images come from: folders, MindRecord, CIFAR, made up. One module per kind; `images` is what they share."""
