"""Exact rewrites of a traced network, one pass each: the same function in fewer or cheaper steps."""
