"""The pictures that `train/visualise.py` draws, one file per kind."""
