"""Training: `train` runs it; schedules, step, checkpoints and log are one file each."""
