"""Descriptors to the broker, nothing lost: messages, spool, publisher, health."""
