"""The networks, one file per paper, and their checkpoints."""
