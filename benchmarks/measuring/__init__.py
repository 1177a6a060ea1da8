"""What the scripts in `benchmarks/` share; they find it because it lies in their own folder."""
