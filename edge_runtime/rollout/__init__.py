"""Another engine on a node: taken from a signed bundle, tried, exchanged in one step, and taken back."""
