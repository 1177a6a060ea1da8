"""Frames from cameras and files, through GStreamer."""
