"""A model beside its float32 parent: how far descriptors moved, and what that costs in retrieval."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Change, Crossing, Evidence, Fidelity, Manifest, Score, read_manifest
from edge_runtime.engine.catalog import open_engine
from export.acceptance.acceptance_images import AcceptanceImages, Crops, describe_crops
from export.acceptance.tolerance import Tolerance, cosine_faults, retrieval_fault
from export.acceptance.verification_change import RATES, Pairs, as_change, as_score, compare_verification, pairs_needed
from train.scoring.metrics import Retrieval, bootstrap
from train.scoring.scoring import PLAIN, protocol, score

# Rounding differs between machines by less than this; images that are read or resized wrongly cost more.
_SAME_SCORE_POINTS = 0.3


@dataclass(frozen=True)
class Comparison:
    """Scores of both models on the same images; the child's hold the changes. See `Evidence`.

    is_site: the images are a site set, far from the training data.
    """

    parent: Evidence
    child: Evidence
    is_site: bool = False

    @property
    def rank1_points_lost(self) -> float:
        """Percentage points of rank-1 that the child loses; negative where it gains."""
        return 100 * (self.parent.rank1.value - self.child.rank1.value)

    @property
    def map_points_lost(self) -> float:
        """Percentage points of mAP that the child loses; negative where it gains."""
        return 100 * (self.parent.mean_ap.value - self.child.mean_ap.value)

    def excess(self, tolerance: Tolerance) -> str | None:
        """Say in one phrase what is lost beyond the tolerance; None if nothing is.

        Where retrieval may decide, see `Tolerance`, and its interval proves that no more is lost, cosines do not count.
        """
        queries = self.child.queries
        faults = [
            retrieval_fault(name, change, allowed=allowed, queries=queries)
            for name, change, allowed in (
                ("rank-1", self.child.rank1_change, tolerance.rank1),
                ("mAP", self.child.mean_ap_change, tolerance.mean_ap),
            )
            if change and -100 * change.value > allowed + 1e-9
        ]
        if not faults and tolerance.is_proven_by(self.child.mean_ap_change, queries=queries):
            return None
        for moved, of, is_site in (
            (self.child.to_parent, "of the test images", self.is_site),
            (self.child.site, "of the site's crops", True),
        ):
            if moved:
                faults += cosine_faults(moved, tolerance, of=of, out_of_domain=is_site)
        return " and ".join(faults) or None


@dataclass(frozen=True)
class _EngineResult:
    """The descriptors of one engine for all images, and the scores of its queries in its own gallery."""

    label: str
    pairs: Pairs
    site: NDArray[np.float32] | None = None
    retrieval: Retrieval = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "retrieval", score(self.pairs.query, self.pairs.gallery))

    @property
    def descriptors(self) -> NDArray[np.float32]:
        """Of query and gallery, (N, length)."""
        return np.concatenate([self.pairs.query.descriptors, self.pairs.gallery.descriptors])


def compare_engines(
    parent: Path, child: Path, *, images: AcceptanceImages, others: Sequence[Path] = (), site: Crops | None = None
) -> Comparison:
    """Describe query and gallery with all models, and compare the child with its parent.

    others: more engines of the same space, for retrieval across precisions. site: crops of the place where the engine
    will run, without labels.

    Raises:
        ManifestError, EngineError: a model cannot be opened.
        ExportError: their descriptors cannot be compared, or the parent does not score what its manifest says.
        DataError: an image cannot be decoded.
    """
    paths = [parent, child, *others]
    manifests = [read_manifest(path) for path in paths]
    _check_spaces(paths, manifests)
    results = []
    for path, label in zip(paths, _labels(manifests), strict=True):
        with ExitStack() as stack:
            engine = stack.enter_context(open_engine(path, threads=os.cpu_count() or 1))
            results.append(_describe(engine.describe, images, label=label, site=site))
    comparison = _compare(results, images)
    _check_parent(parent, found=comparison.parent, stated=manifests[0].evidence)
    return comparison


def compare_descriptions(parent: Describe, child: Describe, *, images: AcceptanceImages) -> Comparison:
    """Compare two ways to describe the same images."""
    return _compare([_describe(describe, images, label="") for describe in (parent, child)], images)


def _check_spaces(paths: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    for path, manifest in zip(paths, manifests, strict=True):
        if manifest.space_id != manifests[0].space_id:
            raise ExportError(
                f"{path} describes in space {manifest.space_id}, {paths[0]} in space {manifests[0].space_id}: other "
                "weights or another input, so they cannot be compared; give a model and one that was made from it"
            )


def _labels(manifests: Sequence[Manifest]) -> list[str]:
    """Precision and backend of each model; further models of the same kind get a number."""
    labels: list[str] = []
    seen: Counter[str] = Counter()
    for manifest in manifests:
        label = f"{manifest.build.precision} {manifest.build.backend}"
        seen[label] += 1
        labels.append(label if seen[label] == 1 else f"{label} #{seen[label]}")
    return labels


def _describe(describe: Describe, images: AcceptanceImages, *, label: str, site: Crops | None = None) -> _EngineResult:
    query, gallery = (describe_crops(describe, crops, label=label) for crops in (images.query, images.gallery))
    return _EngineResult(
        label, Pairs(query, gallery), describe_crops(describe, site, label=label).descriptors if site else None
    )


def _compare(results: Sequence[_EngineResult], images: AcceptanceImages) -> Comparison:
    """The second result beside the first, and all of them with each other."""
    one, other = results[:2]
    before, after = one.retrieval, other.retrieval
    moved = fidelity(one.descriptors, other.descriptors)
    first, second = (_evidence(result.retrieval, images) for result in (one, other))
    crossed = score(one.pairs.query, other.pairs.gallery)
    changes = {
        "to_parent": moved,
        "site": None if one.site is None or other.site is None else fidelity(one.site, other.site),
        "parent_rank1": first.rank1.value,
        "parent_mean_ap": first.mean_ap.value,
        "rank1_change": as_change(bootstrap(after.found_within(1) - before.found_within(1))),
        "mean_ap_change": as_change(bootstrap(after.average_precision - before.average_precision)),
        "mean_inp_change": as_change(bootstrap(after.inverse_negative_penalty - before.inverse_negative_penalty)),
        "crossed_rank1": crossed.rank(1),
        "crossed_mean_ap": crossed.mean_ap,
        "precisions": tuple(_crossing(query, gallery, parent=before) for query in results for gallery in results),
        "verification": compare_verification(one.pairs, other.pairs),
    }
    return Comparison(parent=first, child=second.model_copy(update=changes), is_site=images.is_site)


def _evidence(result: Retrieval, images: AcceptanceImages) -> Evidence:
    return Evidence(
        data_set=images.name,
        protocol=protocol(PLAIN, has_cameras=images.has_cameras),
        images_sha256=images.sha256,
        queries=len(images.query),
        gallery=len(images.gallery),
        rank1=as_score(bootstrap(result.found_within(1))),
        mean_ap=as_score(bootstrap(result.average_precision)),
        mean_inp=as_score(bootstrap(result.inverse_negative_penalty)),
    )


def _crossing(query: _EngineResult, gallery: _EngineResult, *, parent: Retrieval) -> Crossing:
    result = query.retrieval if query is gallery else score(query.pairs.query, gallery.pairs.gallery)
    return Crossing(
        query=query.label,
        gallery=gallery.label,
        rank1=as_score(bootstrap(result.found_within(1))),
        mean_ap=as_score(bootstrap(result.average_precision)),
        rank1_change=as_change(bootstrap(result.found_within(1) - parent.found_within(1))),
        mean_ap_change=as_change(bootstrap(result.average_precision - parent.average_precision)),
    )


def _check_parent(path: Path, *, found: Evidence, stated: Evidence | None) -> None:
    """Check that the parent scores what its manifest says, if it was scored on the same images before.

    Both engines get the crops that this machine reads and resizes; this finds a machine that does so wrongly.

    Raises:
        ExportError: the scores differ by more than rounding.
    """
    if stated is None:
        return
    same = ("data_set", "protocol", "images_sha256", "queries", "gallery")
    if any(getattr(found, name) != getattr(stated, name) for name in same):
        return
    points = 100 * abs(found.mean_ap.value - stated.mean_ap.value)
    if points > _SAME_SCORE_POINTS:
        raise ExportError(
            f"{path} scores mAP {100 * found.mean_ap.value:.2f} on {found.data_set}, but its manifest says "
            f"{100 * stated.mean_ap.value:.2f}: images are read or resized otherwise here, or they have changed; "
            "install the OpenCV of the extra `export` and unpack the data set again"
        )


def fidelity(parent: NDArray[np.float32], child: NDArray[np.float32]) -> Fidelity:
    """How close L2-normalised descriptors (N, D) are, row by row.

    Raises:
        ExportError: a descriptor holds something that is not a finite number.
    """
    for name, descriptors in (("parent", parent), ("new", child)):
        broken = int((~np.isfinite(descriptors).all(axis=1)).sum())
        if broken:
            raise ExportError(f"{broken} of {len(descriptors)} descriptors of the {name} model are not finite numbers")
    cosines = (parent.astype(np.float64) * child).sum(axis=1)
    return Fidelity(
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        largest_difference=float(np.abs(parent - child).max()),
        images=len(parent),
    )


def format_comparison(comparison: Comparison) -> str:
    """A table of all figures with their intervals."""
    parent, child = comparison.parent, comparison.child
    rows = [f"{'':14}{'parent':>24}{'new':>24}   change in points"]
    for title, name in (("rank-1 %", "rank1"), ("mAP %", "mean_ap"), ("mINP %", "mean_inp")):
        before, after = (_with_interval(getattr(side, name)) for side in (parent, child))
        change: Change = getattr(child, f"{name}_change")
        rows.append(f"{title:14}{before:>24}{after:>24}   {_points(change)}")
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
    """Rows with the mAP of each engine's queries in each engine's gallery, and its change from the parent alone."""
    galleries = list(dict.fromkeys(crossing.gallery for crossing in child.precisions))
    if not all(galleries):
        return []  # two functions instead of engines: they have no precision
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
