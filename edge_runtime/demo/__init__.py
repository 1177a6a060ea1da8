"""What the demo shows beside the daemon: two cameras out of a clip, the gallery, and a picture of who walked where."""
