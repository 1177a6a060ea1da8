"""Delivery of messages to the broker: message models, spool, publisher."""
