"""People who turn out to be one: whole chains of tracks are put together where no single track would move.

When many tracks of a person come at once they form small chains, each track of which fits its own chain best.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.gallery.camera_links import LEAST_LOG_DENSITY, CameraLinks
from edge_runtime.gallery.open_tracks import Chains, OpenTracks

_CANDIDATES = 6  # the people most alike are looked at


@dataclass(frozen=True)
class Merge:
    """All tracks of `source` are given to `target`. gain: log odds that the two are one person."""

    source: int
    target: int
    gain: float


@dataclass(frozen=True)
class ComparedRows:
    """Tracks that may still move. rows: (R,). looks, is_excluded: (R, all tracks): log likelihood ratios of their
    looks, and which are surely two people."""

    rows: NDArray[np.intp]
    looks: NDArray[np.float32]
    is_excluded: NDArray[np.bool_]


def find_merges(
    known: OpenTracks, compared: ComparedRows, *, links: CameraLinks, correlation: float, join_from: float
) -> list[Merge]:
    """The merges that gain most and do not touch each other, the best first.

    Only a person all of whose tracks may still move is given to another one. It has to be more probable than
    `join_from` against being a person apart, and against all others whom the target does not look like.
    """
    chains = known.chains()
    own = np.searchsorted(chains.people, known.person[compared.rows])
    is_movable = (np.bincount(own, minlength=len(chains.people)) == chains.counts) & (chains.counts > 1)
    sources = np.flatnonzero(is_movable)
    if not len(sources):
        return []
    likeness = _likeness(chains, compared, own=own, sources=sources, correlation=correlation)
    walks, found = _Walks(known, chains, links=links), []
    for number, source in enumerate(sources.tolist()):
        candidates = np.argsort(-likeness[number], kind="stable")[:_CANDIDATES]
        candidates = candidates[likeness[number, candidates] > 0]
        if not len(candidates):
            continue
        gains = np.array([likeness[number, one] + walks.gain(source, one) for one in candidates.tolist()])
        best = int(gains.argmax())
        is_rival = ~_is_alike(likeness, sources, one=int(candidates[best]), others=candidates)
        against = np.logaddexp.reduce(np.append(gains[is_rival], 0.0))
        if gains[best] > 0 and 1.0 / (1.0 + np.exp(against - gains[best])) >= join_from:
            found.append(Merge(int(chains.people[source]), int(chains.people[candidates[best]]), float(gains[best])))
    return _apart(found)


class _Walks:
    """Walks past cameras, and what two gain by being one. People are numbered as in `chains`."""

    def __init__(self, known: OpenTracks, chains: Chains, *, links: CameraLinks) -> None:
        self._known, self._chains, self._links = known, chains, links
        self._births = links.log_births()
        self._logs: dict[int, float] = {}

    def gain(self, first: int, second: int) -> float:
        """How much more probable one walk is than two; minus infinity where nobody can walk so."""
        rows = np.concatenate([self._rows(first), self._rows(second)])
        together = self._log(rows[np.argsort(self._known.start_s[rows], kind="stable")])
        return together - self._alone(first) - self._alone(second) if np.isfinite(together) else -np.inf

    def _rows(self, one: int) -> NDArray[np.intp]:
        start = self._chains.starts[one]
        return self._chains.order[start : start + self._chains.counts[one]]

    def _alone(self, one: int) -> float:
        if one not in self._logs:
            self._logs[one] = self._log(self._rows(one), at_least=LEAST_LOG_DENSITY)
        return self._logs[one]

    def _log(self, rows: NDArray[np.intp], *, at_least: float = -np.inf) -> float:
        known, camera = self._known, self._known.camera[rows]
        transit_s = known.start_s[rows[1:]] - known.end_s[rows[:-1]]
        transits = self._links.log_transits(camera[:-1], camera[1:], transit_s=transit_s)
        return float(self._births[camera[0]] + np.maximum(transits, at_least).sum())


def _likeness(
    chains: Chains, compared: ComparedRows, *, own: NDArray[np.intp], sources: NDArray[np.intp], correlation: float
) -> NDArray[np.float64]:
    """(sources, people): log likelihood ratio of all their tracks together; minus infinity where they cannot be one.

    What all pairs of their tracks have in common counts once, as for one track: two people who look alike do so in each
    of them.
    """
    used = np.flatnonzero(np.isin(own, sources))
    used = used[np.argsort(own[used], kind="stable")]
    starts = np.searchsorted(own[used], sources)
    by_person = np.add.reduceat(compared.looks[used][:, chains.order], chains.starts, axis=1)
    cannot = np.logical_or.reduceat(compared.is_excluded[used][:, chains.order], chains.starts, axis=1)
    pairs = chains.counts[sources][:, None] * chains.counts
    sums = np.add.reduceat(by_person, starts, axis=0) / (1.0 + (pairs - 1) * correlation)
    sums[np.arange(len(sources)), sources] = -np.inf
    return np.where(np.logical_or.reduceat(cannot, starts, axis=0), -np.inf, sums)


def _is_alike(
    likeness: NDArray[np.float64], sources: NDArray[np.intp], *, one: int, others: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """(others,): whether they look like that one, or are it; as far as either of the two may move."""
    alike = others == one
    places = {source: number for number, source in enumerate(sources.tolist())}
    if one in places:
        alike |= likeness[places[one], others] > 0
    for number, other in enumerate(others.tolist()):
        if other in places:
            alike[number] |= likeness[places[other], one] > 0
    return np.asarray(alike)


def _apart(merges: list[Merge]) -> list[Merge]:
    """Of merges that touch one person the best."""
    chosen, touched = [], set[int]()
    for merge in sorted(merges, key=lambda one: -one.gain):
        if not touched & {merge.source, merge.target}:
            touched |= {merge.source, merge.target}
            chosen.append(merge)
    return chosen
