"""Data sets, samplers, augmentation and loading."""
