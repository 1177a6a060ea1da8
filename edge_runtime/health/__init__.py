"""State of the daemon for operators: an HTTP server, and the checks and figures that it shows."""
