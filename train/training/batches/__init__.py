"""From samples to batches: samplers, augmentation, loading."""
