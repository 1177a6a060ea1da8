"""Crops to descriptors: one interface over ONNX Runtime, OpenVINO and TensorRT."""
