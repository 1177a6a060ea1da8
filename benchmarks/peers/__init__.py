"""Everything foreign that the benchmarks time or train beside ours."""
