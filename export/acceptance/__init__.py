"""Whether an engine still finds the people its float32 parent finds. No torch."""
