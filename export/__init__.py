"""From a checkpoint to ONNX and to an engine, with proof that nothing broke."""
