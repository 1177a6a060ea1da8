"""The receiving side: keeps descriptors of many cameras, searches them, and erases them so that nothing is left."""
