"""The networks, each readable beside its paper."""
