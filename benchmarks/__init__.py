"""Latency beside accuracy, and named peers beside us: the scripts, and the records they write."""
