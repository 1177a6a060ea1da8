"""Training and evaluation of re-identification networks with PyTorch."""
