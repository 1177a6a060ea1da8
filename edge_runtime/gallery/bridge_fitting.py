"""Learns a bridge from pairs, and judges it: without labels, by tracks that the judged map has not seen.

The map is a ridge regression from old to new descriptors. Its penalty is the one by which pairs of left-out tracks are
moved best; the same left-out tracks then show what is still found. Moments of one track are of one person; of two
tracks they hardly ever are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import GalleryError
from edge_runtime.contract.manifest import Score
from edge_runtime.gallery.bridge import Bridge, BridgeEvidence, BridgeManifest, CosineLine, LinearMap
from edge_runtime.gallery.space_pairs import SpacePairs

LEAST_KEPT = 0.5
_LEAST_PAIRS, _LEAST_TRACKS = 200, 50
_FOLDS = 5
_PENALTIES: list[float] = (10.0 ** np.linspace(-1.5, 1.0, 6)).tolist()
_MOST_JUDGED = 2_000
_ROUNDS = 1_000
_MORE = "let nodes describe with both models for longer (engine: also)"
_LEAST_VARIANCE = 1e-6
_TOWARDS_HIGH = 1 / 3  # 0 suits a new model that is worse than the old one, 1 one that is better
_HIGH = 0.99  # a hundredth of all pairs of two tracks may be of one person after all


@dataclass(frozen=True)
class BridgeLimits:
    """What a bridge must reach, and how long it holds.

    least_kept: of the retrieval of the new space, by the lower end of its 95 % interval.
    """

    least_kept: float = LEAST_KEPT
    keep_s: float = 30 * 86_400.0


def fit_bridge(pairs: SpacePairs, limits: BridgeLimits, *, now_ns: int) -> Bridge:
    """Fit a bridge and judge it.

    Raises:
        GalleryError: there are too few pairs, or less is found through it than the limit asks for.
    """
    penalty, moved = _choose_penalty(pairs)
    found = _judge(pairs, moved)
    if found.kept.low < limits.least_kept:
        raise GalleryError(
            f"the bridge from space {pairs.from_space} to {pairs.to_space} keeps {_percent(found.kept)} of what the "
            f"new model finds, expected {100 * limits.least_kept:g} % or more by the lower end of its interval; give "
            f"it more than {len(pairs.tracks)} pairs, or let the old rows expire"
        )
    linear = fit_map(pairs.old, pairs.new, penalty=penalty)
    manifest = BridgeManifest(
        from_space=pairs.from_space,
        to_space=pairs.to_space,
        pairs=len(pairs.tracks),
        tracks=int(pairs.tracks.max()) + 1,
        penalty=penalty,
        found=found,
        least_kept=limits.least_kept,
        created_ns=now_ns,
        expires_ns=now_ns + int(limits.keep_s * 1e9),
        digest=linear.digest(),
    )
    return Bridge(manifest, linear)


def fit_map(old: NDArray[np.float32], new: NDArray[np.float32], *, penalty: float) -> LinearMap:
    """Ridge regression from old (P, D) to new (P, E). penalty: in parts of the mean variance of the old."""
    return _Ridge(old, new).map(penalty)


class _Ridge:
    """The eigenvectors of the old vectors, from which the map of any penalty follows."""

    def __init__(self, old: NDArray[np.float32], new: NDArray[np.float32]) -> None:
        self._from_mean, self._to_mean = old.mean(0), new.mean(0)
        centred = (old - self._from_mean).astype(np.float64)
        self._values, self._vectors = np.linalg.eigh(centred.T @ centred)
        self._targets = self._vectors.T @ (centred.T @ (new - self._to_mean))

    def map(self, penalty: float) -> LinearMap:
        scale = self._values + penalty * max(float(self._values.mean()), 1e-12)
        weights = self._vectors @ (self._targets / scale[:, None])
        return LinearMap(self._from_mean, weights.astype(np.float32), self._to_mean)


def _choose_penalty(pairs: SpacePairs) -> tuple[float, NDArray[np.float32]]:
    """The penalty that moves left-out tracks best, and all pairs moved by maps that have not seen their track.

    Raises:
        GalleryError: there are too few pairs.
    """
    tracks = len(np.unique(pairs.tracks))
    if len(pairs.tracks) < _LEAST_PAIRS or tracks < _LEAST_TRACKS:
        raise GalleryError(
            f"expected {_LEAST_PAIRS} pairs of {_LEAST_TRACKS} tracks or more to learn a bridge from, found "
            f"{len(pairs.tracks)} of {tracks}; {_MORE}"
        )
    folds = np.random.default_rng(0).permutation(tracks)[pairs.tracks] % _FOLDS
    ridges = [_Ridge(pairs.old[folds != fold], pairs.new[folds != fold]) for fold in range(_FOLDS)]

    def move_left_out(penalty: float) -> NDArray[np.float32]:
        moved = np.empty_like(pairs.new)
        for fold, ridge in enumerate(ridges):
            moved[folds == fold] = ridge.map(penalty).move(pairs.old[folds == fold])
        return moved

    best = max(_PENALTIES, key=lambda penalty: float(np.vdot(move_left_out(penalty), pairs.new)))
    return best, move_left_out(best)


def _judge(pairs: SpacePairs, moved: NDArray[np.float32]) -> BridgeEvidence:
    rows = _judged(pairs)
    tracks, old, new, across = pairs.tracks[rows], pairs.old[rows], pairs.new[rows], moved[rows]
    before, native, after = (_Found(cosines, tracks) for cosines in (old @ old.T, new @ new.T, new @ across.T))
    draws = list(_draws(len(before.sums)))
    return BridgeEvidence(
        before=before.score(draws),
        native=native.score(draws),
        after=after.score(draws),
        kept=_score(_share(after, native), [_share(after, native, drawn=one) for one in draws]),
        across=native.looks.line_from(after.looks),
        moved=native.looks.line_from(_Looks.of(across @ across.T, tracks)),
    )


def _judged(pairs: SpacePairs) -> NDArray[np.intp]:
    """The pairs that are looked for and among: of tracks with two or more, a random choice of whole tracks.

    Raises:
        GalleryError: there are too few such tracks.
    """
    counts = np.bincount(pairs.tracks)
    order = np.random.default_rng(0).permutation(len(counts))
    rows = np.flatnonzero(counts[pairs.tracks] > 1)
    if (counts > 1).sum() < _LEAST_TRACKS:
        raise GalleryError(
            f"expected {_LEAST_TRACKS} tracks with two pairs or more to judge a bridge by, found {(counts > 1).sum()}; "
            f"{_MORE}"
        )
    return rows[np.argsort(order[pairs.tracks[rows]], kind="stable")][:_MOST_JUDGED]


class _Found:
    """How well the other moments of each query's track are found. sums, counts: of average precisions, by track."""

    def __init__(self, cosines: NDArray[np.float32], tracks: NDArray[np.intp]) -> None:
        self.looks = _Looks.of(cosines, tracks)
        np.fill_diagonal(cosines, -2.0)
        _, numbers = np.unique(tracks, return_inverse=True)
        self.sums, self.counts = np.zeros(numbers.max() + 1), np.bincount(numbers)
        for row, number in enumerate(numbers):
            is_right = (numbers == number)[np.argsort(-cosines[row], kind="stable")[:-1]]
            ranks = np.flatnonzero(is_right)
            if len(ranks):
                self.sums[number] += (np.arange(1, len(ranks) + 1) / (ranks + 1)).mean()

    def mean(self, weights: NDArray[np.int64] | None = None) -> float:
        weights = np.ones(len(self.sums), np.int64) if weights is None else weights
        return float(weights @ self.sums / (weights @ self.counts))

    def score(self, draws: list[NDArray[np.int64]]) -> Score:
        return _score(self.mean(), [self.mean(one) for one in draws])


def _share(after: _Found, native: _Found, *, drawn: NDArray[np.int64] | None = None) -> float:
    return min(after.mean(drawn) / native.mean(drawn), 1.0)


@dataclass(frozen=True)
class _Looks:
    """Cosines between moments. steepness: of the log likelihood ratio of one track to two, by normal distributions of
    one variance. anchor: between where both are as likely and what one in a hundred cosines of two tracks exceeds."""

    steepness: float
    anchor: float

    @classmethod
    def of(cls, cosines: NDArray[np.float32], tracks: NDArray[np.intp]) -> "_Looks":
        is_same = tracks[:, None] == tracks
        other = cosines[~is_same]
        same = cosines[is_same & ~np.eye(len(tracks), dtype=bool)]
        middle = (float(same.mean()) + float(other.mean())) / 2
        variance = max((float(same.var()) + float(other.var())) / 2, _LEAST_VARIANCE)
        steepness = max(float(same.mean() - other.mean()), _LEAST_VARIANCE) / variance
        return cls(steepness, middle + _TOWARDS_HIGH * (float(np.quantile(other, _HIGH)) - middle))

    def line_from(self, others: "_Looks") -> CosineLine:
        """What makes cosines of others as telling as these."""
        slope = others.steepness / self.steepness
        return CosineLine(slope=slope, offset=self.anchor - slope * others.anchor)


def _draws(tracks: int) -> Iterator[NDArray[np.int64]]:
    """How often each track is drawn, tracks being drawn with repetition: moments of one are not independent."""
    random = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        yield np.bincount(random.integers(0, tracks, tracks), minlength=tracks)


def _score(value: float, drawn: list[float]) -> Score:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Score(value=value, low=float(low), high=float(high))


def _percent(score: Score) -> str:
    return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
