"""Data sets in their published layouts, read into samples. No torch."""
