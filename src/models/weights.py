"""`python -m src.models.weights`, the former name of `python -m src.weights`."""

import runpy

if __name__ == "__main__":
    runpy.run_module(f"{__package__.partition('.')[0]}.weights", run_name="__main__", alter_sys=True)
