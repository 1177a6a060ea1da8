"""A comparison as text: both models' scores, what changed, and how precisions meet."""

from edge_runtime.contract.manifest import Change, Evidence, Fidelity, Score
from export.acceptance.comparison import Comparison
from export.acceptance.verification_change import RATES, pairs_needed


def as_table(comparison: Comparison) -> str:
    """Every figure with its interval, for a person to read."""
    parent, child = comparison.parent, comparison.child
    rows = [f"{'':14}{'parent':>22}{'new':>22}   change in points"]
    for title, name in (("rank-1 %", "rank1"), ("mAP %", "mean_ap"), ("mINP %", "mean_inp")):
        before, after = (_with_interval(getattr(side, name)) for side in (parent, child))
        change: Change = getattr(child, f"{name}_change")
        rows.append(f"{title:14}{before:>22}{after:>22}   {_points(change)}")
    rows += _verification(child)
    rows += [_moved(name, moved) for name, moved in (("test images", child.to_parent), ("site", child.site)) if moved]
    rows += _matrix(child)
    rows.append("in brackets: 95 % intervals, bootstrap over queries, changes in pairs")
    return "\n".join(rows)


def _verification(child: Evidence) -> list[str]:
    rows = []
    for one in child.verification:
        change = one.threshold_change
        rows.append(
            f"accepted right pairs at {one.false_positive_rate:g} of the wrong ones: "
            f"{_with_interval(one.true_positive_rate)} %, change {_points(one.true_positive_rate_change)} points; "
            f"cosine threshold {one.threshold:.4f}, {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
        )
    found = {one.false_positive_rate for one in child.verification}
    rows += [
        f"accepted right pairs at {rate:g} of the wrong ones: needs {pairs_needed(rate):,} wrong pairs, more than here"
        for rate in RATES
        if rate not in found
    ]
    return rows


def _moved(name: str, moved: Fidelity) -> str:
    return (
        f"cosine to the parent, {name}: mean {moved.cosine_mean:.5f}, least {moved.cosine_min:.5f}; largest difference "
        f"{moved.largest_difference:.2g}; {moved.images} images"
    )


def _matrix(child: Evidence) -> list[str]:
    """mAP of every engine's queries in every engine's gallery, and the change against the parent meeting itself."""
    galleries = list(dict.fromkeys(crossing.gallery for crossing in child.precisions))
    if not all(galleries):
        return []  # two functions, not engines: they have no precision to name
    width = max(33, *(len(name) + 2 for name in galleries))
    rows = [f"{'mAP %; queries by, gallery by':30}" + "".join(f"{name:>{width}}" for name in galleries)]
    for query in dict.fromkeys(crossing.query for crossing in child.precisions):
        cells = [
            f"{100 * crossing.mean_ap.value:.2f} {_points(crossing.mean_ap_change)}"
            for crossing in child.precisions
            if crossing.query == query
        ]
        rows.append(f"{query:30}" + "".join(f"{cell:>{width}}" for cell in cells))
    return rows


def _with_interval(value: Score) -> str:
    return f"{100 * value.value:.2f} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _points(change: Change) -> str:
    return f"{100 * change.value:+.2f} ({100 * change.low:+.2f} to {100 * change.high:+.2f})"
