"""The training run: losses, optimisers, schedules, the loop and its run folder."""
