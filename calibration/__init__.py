"""From training crops to INT8: image lists and Q/DQ nodes."""
