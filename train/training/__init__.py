"""Training runs: batches, losses, optimisers, the loop, and the run folder."""
