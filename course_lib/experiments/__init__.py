"""What the notebooks measure: trainings and comparisons, one module a notebook (as in checks/)."""
