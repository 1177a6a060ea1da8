"""What was to be reached, what was measured, and whether it is met: rows of a record."""

Bar = dict[str, str | float | bool]


def at_least(name: str, *, limit: float, measured: float) -> Bar:
    """A bar that more is better for."""
    return {"bar": name, "limit": limit, "measured": measured, "is_met": measured >= limit}


def at_most(name: str, *, limit: float, measured: float) -> Bar:
    """A bar that less is better for."""
    return {"bar": name, "limit": limit, "measured": measured, "is_met": measured <= limit}
