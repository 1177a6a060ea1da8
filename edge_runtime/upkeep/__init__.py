"""What an operator needs beside the daemon: try a node, see its risks, change it, fetch networks, collect crops."""
