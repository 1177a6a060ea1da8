"""HOTA and IDF1 of tracked boxes against the true ones.

As TrackEval computes them, without its rules for single data sets.

Source: Luiten et al., HOTA, International Journal of Computer Vision 129, 2021; Ristani et al., Performance measures
and a data set for multi-target, multi-camera tracking, ECCV workshops 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]

_THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # of the overlap, over which HOTA is averaged
_IDENTITY_OVERLAP = 0.5


@dataclass(frozen=True)
class TrackedFrame:
    """People of one frame. ids: (N,) whole numbers, each once. boxes: (N, 4), pixels."""

    ids: NDArray[np.int64]
    boxes: Floats


@dataclass(frozen=True)
class TrackingCounts:
    """What the scores are made of; counts of several sequences add up. Arrays have one element a threshold.

    matched, missed, wrong: boxes. association: sum over matched boxes of their tracks' Jaccard index.
    id_matched, id_missed, id_wrong: boxes under the best one-to-one pairing of tracks.
    """

    matched: Floats
    missed: Floats
    wrong: Floats
    association: Floats
    id_matched: float
    id_missed: float
    id_wrong: float


@dataclass(frozen=True)
class TrackingScores:
    """In per cent."""

    hota: float
    idf1: float


def count_tracking(truth: Sequence[TrackedFrame], tracked: Sequence[TrackedFrame]) -> TrackingCounts:
    """Compare the frames of one sequence, in order."""
    true_ids, ids = _numbers(truth), _numbers(tracked)
    true_rows = [np.searchsorted(true_ids, frame.ids) for frame in truth]
    rows = [np.searchsorted(ids, frame.ids) for frame in tracked]
    overlaps = [box_overlaps(one.boxes, other.boxes) for one, other in zip(truth, tracked, strict=True)]
    true_count = np.bincount(np.concatenate([np.zeros(0, int), *true_rows]), minlength=len(true_ids))
    count = np.bincount(np.concatenate([np.zeros(0, int), *rows]), minlength=len(ids))
    shared, close = np.zeros((len(true_ids), len(ids))), np.zeros((len(true_ids), len(ids)))
    for one, other, overlap in zip(true_rows, rows, overlaps, strict=True):
        either = overlap.sum(axis=0)[None] + overlap.sum(axis=1)[:, None] - overlap
        shared[np.ix_(one, other)] += overlap / np.maximum(either, 1e-12)
        close[np.ix_(one, other)] += overlap >= _IDENTITY_OVERLAP
    alignment = shared / np.maximum(true_count[:, None] + count[None] - shared, 1e-12)
    matches = _count_matches(alignment, list(zip(true_rows, rows, overlaps, strict=True)))
    matched = matches.sum(axis=(1, 2))
    jaccard = matches / np.maximum(true_count[:, None] + count[None] - matches, 1)
    id_matched = float(close[linear_sum_assignment(-close)].sum())
    total, found = float(true_count.sum()), float(count.sum())
    return TrackingCounts(
        matched,
        total - matched,
        found - matched,
        (matches * jaccard).sum(axis=(1, 2)),
        id_matched,
        total - id_matched,
        found - id_matched,
    )


def _count_matches(alignment: Floats, frames: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]) -> Floats:
    """How often each pair of tracks is matched at each threshold, when pairs that go together in all frames come first.

    frames: rows of the true tracks, of the others, and the overlaps of their boxes. Returns (thresholds, true, others).
    """
    matches = np.zeros((len(_THRESHOLDS), *alignment.shape))
    for one, other, overlap in frames:
        left, right = linear_sum_assignment(-alignment[np.ix_(one, other)] * overlap)
        matches[:, one[left], other[right]] += overlap[left, right] >= _THRESHOLDS[:, None] - 1e-12
    return matches


def score_tracking(parts: Sequence[TrackingCounts]) -> TrackingScores:
    """Score one or more sequences together."""
    matched = np.sum([part.matched for part in parts], axis=0)
    boxes = np.sum([part.matched + part.missed + part.wrong for part in parts], axis=0)
    detection = matched / np.maximum(boxes, 1)
    association = np.sum([part.association for part in parts], axis=0) / np.maximum(matched, 1)
    id_matched = sum(part.id_matched for part in parts)
    id_errors = sum(part.id_missed + part.id_wrong for part in parts)
    return TrackingScores(
        100 * float(np.sqrt(detection * association).mean()),
        100 * id_matched / max(1.0, id_matched + id_errors / 2),
    )


def _numbers(frames: Sequence[TrackedFrame]) -> NDArray[np.int64]:
    """All ids that occur, ascending."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(frame.ids for frame in frames)]))


def box_overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair. Returns (len(first), len(second))."""
    one, other = first[:, None], second[None]
    shared = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    intersection = np.clip(shared, 0, None).prod(axis=-1)
    union = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (other[..., 2:] - other[..., :2]).prod(axis=-1) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9), np.float64)
