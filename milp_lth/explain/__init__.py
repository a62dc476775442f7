"""The reduction to be played with: one page that needs a browser and nothing else."""
