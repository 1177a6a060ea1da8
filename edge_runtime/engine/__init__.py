"""Crops to descriptors: one interface over ONNX Runtime and TensorRT."""
