"""The daemon beside the camera: people in, descriptors out, and the contract that all parts share."""
