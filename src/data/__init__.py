"""From image files to batches: find them (`index`), check them (`scan`), decode and batch them (`pipeline`)."""
