"""Exact rewrites of a traced network, one small pass each: the same function in fewer or cheaper steps."""
