"""From an ONNX file to an engine that runs on this machine. No torch."""
