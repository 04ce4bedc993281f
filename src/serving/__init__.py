"""`resnet-zoo serve`: a network behind HTTP, with a page to try it on."""
