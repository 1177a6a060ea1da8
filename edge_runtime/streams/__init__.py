"""Between a camera's frames and the messages: when to look, whom to remember, which crops to keep."""
