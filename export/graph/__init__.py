"""From a checkpoint to the graph that is deployed. Needs torch."""
