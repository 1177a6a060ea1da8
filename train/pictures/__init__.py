"""What `train/visualise.py` draws, one file for each kind of picture."""
