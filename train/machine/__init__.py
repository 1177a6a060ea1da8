"""What depends on the hardware: processes, memory, numeric precision."""
