"""What the hardware sets: processes, memory, mixed precision."""
