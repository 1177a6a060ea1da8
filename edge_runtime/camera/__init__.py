"""Pixels to person crops: GStreamer sources, person detectors, the tracker."""
