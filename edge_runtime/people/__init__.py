"""Frames to tracked people: detectors and trackers."""
