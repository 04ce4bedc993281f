"""The page of a run: what ran, how it went, which images it gets wrong; one file without scripts."""
