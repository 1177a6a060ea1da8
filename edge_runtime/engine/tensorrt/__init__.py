"""The TensorRT engine: the only folder that knows TensorRT and CUDA at run time."""
