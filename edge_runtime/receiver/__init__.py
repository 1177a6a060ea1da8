"""The receiving side: messages are checked, decoded and counted."""
