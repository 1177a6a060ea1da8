"""Boxes from outside: messages of a camera's own detector, or of another program, become people in our frames."""
