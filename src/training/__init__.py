"""Training: `train` sets a run up, `run` carries it out; step, losses, optimizers and schedules are one file each."""
