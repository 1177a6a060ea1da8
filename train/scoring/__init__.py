"""From descriptors to rank-k, mAP and the other figures. No torch."""
