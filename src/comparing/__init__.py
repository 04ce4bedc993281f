"""Several files of one network side by side on one data set."""
