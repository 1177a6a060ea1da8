"""Finished tracks in, people out: which tracks are of one person, how probably, and what a later look changes.

Each person is a chain of tracks in order of time. A track belongs to the person whose chain gains most by it: by its
looks (`calibration`), and by where and when the person was before and after (`camera_links`), against the possibility
that somebody new came in. A track is decided when it is added, and looked at again until it is `window_s` old.
The same tracks in the same order give the same people, before and after a restart.
"""

import io
import json
import zipfile
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.calibration import BORROWED, CosineCalibration, Figures
from edge_runtime.gallery.camera_links import LEAST_LOG_DENSITY, CameraLinks
from edge_runtime.gallery.decisions import USUAL_SETTINGS, DecidedTracks, JoiningSettings, PersonDecision, new_person
from edge_runtime.gallery.merging import ComparedRows, find_merges
from edge_runtime.gallery.open_tracks import Chains, OpenTracks
from edge_runtime.gallery.prototypes import Centre, FinishedTrack

_SECOND_NS = 1_000_000_000
_LEARNT = {
    "links": ("joins", "births", "tracks"),
    "same": ("sums",),
    "other": ("sums",),
}
"""What is kept of each part over a restart: figures about all tracks, no descriptor."""
_LEAST_SHARE = 0.02  # less probable joins say nothing
_PASSES = 16  # at most; a track may move once a pass, and two moves that touch one person wait for each other


class Association:
    """Tracks of one space, joined into people. Not thread-safe.

    length: D of the descriptors. new_name: gives a name that nobody had yet.
    """

    def __init__(
        self,
        length: int,
        *,
        settings: JoiningSettings = USUAL_SETTINGS,
        borrowed: Figures = BORROWED,
        new_name: Callable[[], str] = new_person,
    ) -> None:
        self.settings, self._new_name = settings, new_name
        self.calibration, self.links = CosineCalibration(borrowed), CameraLinks()
        self.centre = Centre(length)
        self._open = OpenTracks(length)
        self._parts = {
            "links": self.links,
            "same": self.calibration.same,
            "other": self.calibration.other,
        }
        self._people = 0
        self._names: dict[int, str] = {}
        self._first_ns: int | None = None

    def add(self, tracks: Sequence[FinishedTrack]) -> list[PersonDecision]:
        """Decide on tracks that have just ended; known ones are left out. At most some seconds of them at a time."""
        known = set(self._open.track_ids)
        new = list({track.track_id: track for track in tracks if track.track_id not in known}.values())
        if not new:
            return []
        if self._first_ns is None:
            self._first_ns = min(track.start_ns for track in new)
        rows = self._open.append(sorted(new, key=lambda one: (one.start_ns, one.track_id)))
        self._open.person[rows] = self._people + np.arange(len(rows))
        self._people += len(rows)
        self._learn_from(rows, {track.track_id: track for track in new})
        self._refresh(float(self._open.end_s.max()))
        self._improve(rows)
        return [self._tell(int(row), None) for row in rows]

    def find(self, track_id: str) -> PersonDecision | None:
        """What is decided of a track now; None where it is not known any more."""
        if track_id not in self._open.track_ids:
            return None
        return self._tell(self._open.track_ids.index(track_id), None)

    def take_back(self, decided: DecidedTracks) -> None:
        """Know tracks again. Nothing is learnt from them twice, and corrections by hand are not changed again."""
        tracks = decided.tracks
        if not tracks:
            return
        known = self._open
        rows = known.append(tracks)
        known.person[rows] = self._numbers(decided.people)
        is_old = known.end_s[rows] < decided.now_ns / _SECOND_NS - self.settings.window_s
        known.is_final[rows] = is_old | np.isin([track.track_id for track in tracks], list(decided.by_hand))
        for part in (self.calibration, self.links):
            part.grow(len(known.cameras))
        self.centre.add(known.vectors[rows], known.camera[rows])
        known.centred = self.centre.take_off(known.vectors, known.camera)
        if self._first_ns is None:
            self._first_ns = min(track.start_ns for track in tracks)
        self._forget(decided.now_ns / _SECOND_NS)

    def move(self, track_id: str, person: str) -> None:
        """Take a correction by hand; `person` may be somebody new. It is not changed again. Unknown tracks are left."""
        known = self._open
        if track_id in known.track_ids:
            row, [number] = known.track_ids.index(track_id), self._numbers([person])
            if known.person[row] != number:
                known.part(row)
            known.person[row] = number
            known.probability[row], known.is_final[row] = 1.0, True

    def erase(self, track_ids: Collection[str]) -> None:
        """Drop tracks with their vectors, also from the mean. Of cosines and transits only sums and figures stay."""
        known, erased = self._open, set(track_ids)
        is_erased = np.array([one in erased for one in known.track_ids], np.bool_)
        self.centre.remove(known.vectors[is_erased], known.camera[is_erased])
        known.keep(~is_erased)

    def save_learnt(self) -> bytes:
        """What was learnt of looks and walks, to go on with after a restart; neither tracks nor descriptors."""
        head = {"first_ns": self._first_ns, "cameras": self._open.cameras}
        file = io.BytesIO()
        arrays = {
            f"{part}.{name}": getattr(self._parts[part], name) for part, names in _LEARNT.items() for name in names
        }
        np.savez(file, head=np.array(json.dumps(head)), **arrays)
        return file.getvalue()

    def restore_learnt(self, saved: bytes) -> None:
        """Go on from what `save_learnt` gave. Call it before any track.

        Raises:
            GalleryError: it is damaged.
        """
        try:
            with np.load(io.BytesIO(saved), allow_pickle=False) as arrays:
                head = json.loads(str(arrays["head"]))
                read = {part: {name: arrays[f"{part}.{name}"] for name in names} for part, names in _LEARNT.items()}
            first_ns, cameras = head["first_ns"], head["cameras"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise GalleryError(f"expected what an association has learnt, found damaged bytes: {error}") from error
        for part, arrays_of in read.items():
            for name, array in arrays_of.items():
                setattr(self._parts[part], name, array)
        self._first_ns, self._open.cameras = first_ns, cameras
        self.calibration.refresh()

    def revise(self, now_ns: int) -> list[PersonDecision]:
        """Look again at the tracks of the last `window_s`, learn from those that are older, and tell what changed."""
        now_s = now_ns / _SECOND_NS
        if self._first_ns is None or not self._open.track_ids:
            return []
        self._refresh(now_s)
        self._open.centred = self.centre.take_off(self._open.vectors, self._open.camera)
        before = self._open.person.copy()
        rows = np.flatnonzero(~self._open.is_final)
        self._improve(rows)
        self._learn_links(rows[self._open.end_s[rows] < now_s - self.settings.window_s])
        changed = np.flatnonzero(self._open.person != before)
        events = [self._tell(int(row), self._name(int(before[row]))) for row in changed]
        self._forget(now_s)
        return events

    def _forget(self, now_s: float) -> None:
        """Drop people, and their names, who were not seen for long."""
        self._open.forget(now_s - self.settings.memory_s)
        kept = set(self._open.person.tolist())
        self._names = {number: name for number, name in self._names.items() if number in kept}

    def _name(self, person: int) -> str:
        if person not in self._names:
            self._names[person] = self._new_name()
        return self._names[person]

    def _numbers(self, names: Sequence[str]) -> list[int]:
        """The numbers of people; new ones for names that are not known."""
        known = {name: number for number, name in self._names.items()}
        for name in names:
            if name not in known:
                known[name] = self._people
                self._people += 1
        self._names = {number: name for name, number in known.items()}
        return [known[name] for name in names]

    def _tell(self, row: int, previous: str | None) -> PersonDecision:
        person = int(self._open.person[row])
        is_first = np.count_nonzero(self._open.person == person) == 1
        return PersonDecision(
            event="rename" if previous is not None else "start" if is_first else "join",
            track_id=self._open.track_ids[row],
            person=self._name(person),
            probability=round(float(self._open.probability[row]), 4),
            previous=previous,
            borrowed=round(self.calibration.borrowed_share, 3),
        )

    def _learn_from(self, rows: NDArray[np.intp], tracks: dict[str, FinishedTrack]) -> None:
        """What new tracks tell for sure: the mean descriptor, the halves of each, and who was seen at one moment."""
        known = self._open
        self.calibration.grow(len(known.cameras))
        self.links.grow(len(known.cameras))
        self.centre.add(known.vectors[rows], known.camera[rows])
        known.centred[rows] = self.centre.take_off(known.vectors[rows], known.camera[rows])
        self._learn_others(*known.simultaneous(rows))
        self._learn_halves([(int(known.camera[row]), tracks[known.track_ids[row]].prototypes) for row in rows])

    def _learn_others(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> None:
        """Learn how alike tracks look that were seen at one moment: surely two people, if one camera saw them.

        The views of two cameras may overlap, and show one person: such pairs count by how probably they are two.
        """
        known, links = self._open, self.links
        cosines = np.einsum("nd,nd->n", known.centred[first], known.centred[second]).astype(np.float64)
        cameras = np.stack([known.camera[first], known.camera[second]], 1)
        after = np.where(known.start_s[first] < known.start_s[second], second, first)
        before = first + second - after
        walks = links.log_transits(
            known.camera[before], known.camera[after], transit_s=known.start_s[after] - known.end_s[before]
        )
        odds = self.calibration.log_ratios_of(cosines, cameras) + walks - links.log_births()[known.camera[after]]
        are_two = np.where(cameras[:, 0] == cameras[:, 1], 1.0, 1.0 / (1.0 + np.exp(odds)))
        self.calibration.other.add(cosines, cameras, weights=are_two)

    def _learn_halves(self, prototypes: list[tuple[int, NDArray[np.float32]]]) -> None:
        """Learn how alike the two halves of a track look, where it has two."""
        halves = [(camera, some) for camera, some in prototypes if len(some) > 1]
        if not halves:
            return
        cameras = np.array([camera for camera, _ in halves], np.intp)
        first, last = (self.centre.take_off(np.stack([some[one] for _, some in halves]), cameras) for one in (0, 1))
        cosines = np.einsum("nd,nd->n", first, last).astype(np.float64)
        self.calibration.same.add(cosines, np.stack([cameras, cameras], 1), weights=np.ones(len(cameras)))

    def _refresh(self, now_s: float) -> None:
        assert self._first_ns is not None
        self.calibration.refresh()
        self.links.refresh(now_s - self._first_ns / _SECOND_NS)

    def _improve(self, rows: NDArray[np.intp]) -> None:
        """Move tracks to the people whom they fit best, and put people together, until nothing changes.

        Keeps the probabilities.
        """
        looks, is_excluded = self._compare(rows)
        compared = ComparedRows(rows, looks, is_excluded)
        for _ in range(_PASSES):
            odds, people = self._log_odds(rows, looks, is_excluded=is_excluded)
            if not self._move(rows, odds, people=people) and not self._merge(compared):
                break

    def _merge(self, compared: ComparedRows) -> bool:
        """Put people together whose tracks fit as a whole."""
        correlation, join_from = self.calibration.correlation, self.settings.join_from
        merges = find_merges(self._open, compared, links=self.links, correlation=correlation, join_from=join_from)
        for merge in merges:
            self._open.person[self._open.person == merge.source] = merge.target
        return bool(merges)

    def _move(self, rows: NDArray[np.intp], odds: NDArray[np.float64], *, people: NDArray[np.intp]) -> bool:
        """Make the moves that gain most and do not touch each other."""
        known = self._open
        shares = _shares(odds)
        best = shares.argmax(1)
        own = np.searchsorted(people, known.person[rows])
        every = np.arange(len(rows))
        known.probability[rows] = shares[every, own]
        is_alone = ~np.isfinite(odds[every, own])
        known.probability[rows[is_alone]] = 1.0 - shares[is_alone].sum(1)
        in_all = self._of_one_person(rows, odds, people=people, shares=shares, best=best)
        joins = (in_all >= self.settings.join_from) & (best != own)
        leaves = ~is_alone & ~joins & (odds[every, own] < 0) & (shares[every, own] < 1 - shares.sum(1))
        gain = np.where(joins, odds[every, best], 0.0) - np.where(is_alone, 0.0, odds[every, own])
        touched: set[int] = set()
        for one in np.argsort(-gain, kind="stable"):
            if not (joins[one] or leaves[one]) or gain[one] <= 0:
                continue
            target = int(people[best[one]]) if joins[one] else self._people
            source = int(known.person[rows[one]])
            if touched & {source, target}:
                continue
            touched |= {source, target}
            self._people += not joins[one]
            known.person[rows[one]] = target
            known.probability[rows[one]] = in_all[one] if joins[one] else 1 - shares[one].sum()
        return bool(touched)

    def _of_one_person(
        self,
        rows: NDArray[np.intp],
        odds: NDArray[np.float64],
        *,
        people: NDArray[np.intp],
        shares: NDArray[np.float64],
        best: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """(rows,): share of the best person, with those who are as yet taken for others and look like her themselves.

        Many tracks of one person that come at once are many people at first; each of them alone would be too little.
        """
        every = np.arange(len(rows))
        in_all = shares[every, best]
        first_row = np.full(len(people), -1)
        first_row[np.searchsorted(people, self._open.person[rows[::-1]])] = every[::-1]
        is_split = (in_all < self.settings.join_from) & (shares.sum(1) >= self.settings.join_from)
        for one in np.flatnonzero(is_split):
            others = np.flatnonzero((shares[one] > 0) & (first_row >= 0))
            others = others[(others != best[one]) & (first_row[others] != one)]
            alike = others[odds[first_row[others], best[one]] > 0]
            in_all[one] += shares[one, alike].sum()
        return in_all

    def _compare(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(rows, all tracks): log likelihood ratios of their looks, and which are surely two people."""
        known = self._open
        cosines = known.centred[rows] @ known.centred.T
        looks = self.calibration.log_ratios(cosines, known.camera[rows], second=known.camera)
        looks[np.arange(len(rows)), rows] = 0.0
        return looks, known.excludes(rows)

    def _log_odds(
        self, rows: NDArray[np.intp], looks: NDArray[np.float32], *, is_excluded: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Log odds that each track belongs to each person rather than to nobody known, and the people's numbers.

        The track itself is left out of its person; minus infinity where it cannot belong.
        """
        known, chains = self._open, self._open.chains()
        counts = chains.counts - (known.person[rows][:, None] == chains.people)
        weight = 1.0 / (1.0 + np.maximum(counts - 1, 0) * self.calibration.correlation)
        odds = np.add.reduceat(looks[:, chains.order], chains.starts, axis=1) * weight
        odds += self._log_walks(rows, chains)
        excluded = np.logical_or.reduceat(is_excluded[:, chains.order], chains.starts, axis=1)
        return np.where(excluded | (counts == 0), -np.inf, odds), chains.people

    def _log_walks(self, rows: NDArray[np.intp], chains: Chains) -> NDArray[np.float64]:
        """(rows, people): what a track adds to a person's walk, against somebody new having come in.

        Between two sightings it replaces the walk from the first to the second by two shorter ones.
        """
        known, transits = self._open, self.links.log_transits
        births = self.links.log_births()
        here = known.camera[rows][:, None]
        start, end = known.start_s[rows][:, None], known.end_s[rows][:, None]
        before, after = chains.neighbours(rows, known.start_s)
        of_before, of_after = known.camera[before], known.camera[after]
        arrive = transits(of_before, here, transit_s=start - known.end_s[before]) - births[here]
        leave = transits(here, of_after, transit_s=known.start_s[after] - end)
        direct = transits(of_before, of_after, transit_s=known.start_s[after] - known.end_s[before])
        between = arrive + leave - np.maximum(direct, LEAST_LOG_DENSITY)
        return np.where(before < 0, leave - births[of_after], np.where(after < 0, arrive, between))

    def _learn_links(self, rows: NDArray[np.intp]) -> None:
        """Learn from tracks whose persons are settled: who came from where, and how alike they looked."""
        if not len(rows):
            return
        known = self._open
        looks, is_excluded = self._compare(rows)
        odds, people = self._log_odds(rows, looks, is_excluded=is_excluded)
        shares, chains = _shares(odds), known.chains()
        before, _ = chains.neighbours(rows, known.start_s)
        for one, row in enumerate(rows):
            likely = np.flatnonzero((shares[one] > _LEAST_SHARE) & (before[one] >= 0))
            earlier = before[one, likely]
            transit_s = known.start_s[row] - known.end_s[earlier]
            camera = int(known.camera[row])
            self.links.learn(known.camera[earlier], camera, transit_s=transit_s, weights=shares[one, likely])
            self._learn_looks(int(row), shares[one], people=people)
        known.is_final[rows] = True

    def _learn_looks(self, row: int, shares: NDArray[np.float64], *, people: NDArray[np.intp]) -> None:
        """Learn how alike a track and those of its probable people looked."""
        known = self._open
        weights = shares[np.searchsorted(people, known.person)]
        members = np.flatnonzero((weights > _LEAST_SHARE) & (np.arange(len(weights)) != row))
        cosines = (known.centred[members] @ known.centred[row]).astype(np.float64)
        pairs = np.stack([known.camera[members], np.full(len(members), known.camera[row])], 1)
        self.calibration.same.add(cosines, pairs, weights=weights[members])


def _shares(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of each person; what is left of 1 is that of somebody new."""
    top = np.maximum(odds.max(1, initial=0.0), 0.0)[:, None]
    weights = np.exp(odds - top)
    return np.asarray(weights / (np.exp(-top) + weights.sum(1, keepdims=True)))
