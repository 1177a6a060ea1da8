"""What the benchmark scripts share: timing, machines, what to time, and how a run is recorded."""
