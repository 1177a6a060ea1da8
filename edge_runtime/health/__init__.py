"""What tells an operator how the daemon is: the HTTP server and the checks behind it."""
