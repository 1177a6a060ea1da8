"""From a checkpoint to ONNX and to an engine, each compared with what it was made from."""
