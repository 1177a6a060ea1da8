"""Changes of an ONNX graph before it is quantised; each keeps the network's function."""
