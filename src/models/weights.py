"""`python -m src.models.weights`, the former name of `python -m src.weights`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("src.weights", run_name="__main__", alter_sys=True)
