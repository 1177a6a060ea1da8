"""The simplest way to join tracks into people: one cosine for all cameras. For tests of what stands around it."""

from collections.abc import Collection, Sequence

from edge_runtime.gallery.associate import Assignment
from edge_runtime.gallery.decisions import DecidedTracks, new_person
from edge_runtime.gallery.prototypes import FinishedTrack

_COSINE, _WINDOW_NS = 0.7, 30 * 60_000_000_000


class FixedCosine:
    """An `Associate`: a track is of the person whose track is most alike, from a cosine of 0.7 on."""

    explanation = "Two tracks are joined from a cosine of 0.7 on."

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[FinishedTrack, str]]] = {}

    def restore(self, space: str, decided: DecidedTracks) -> None:
        """See `Associate`."""
        self._known.setdefault(space, []).extend(zip(decided.tracks, decided.people, strict=True))

    def add(self, space: str, tracks: Sequence[FinishedTrack]) -> list[Assignment]:
        """See `Associate`."""
        known, made = self._known.setdefault(space, []), []
        for track in tracks:
            before = [person for other, person in known if other.track_id == track.track_id]
            if before:
                made.append(Assignment(track.track_id, before[0], 1.0, 1.0))
                continue
            cosines = [(float(other.mean @ track.mean), person) for other, person in known]
            best, person = max(cosines, default=(0.0, ""))
            score = min(max(best, 0.0), 1.0)
            made.append(Assignment(track.track_id, person if best >= _COSINE else new_person(), score, 1.0))
            known.append((track, made[-1].person))
        return made

    def settle(self, now_ns: int) -> list[Assignment]:
        """See `Associate`. Nothing waits here."""
        return []

    def move(self, track: str, person: str) -> None:
        """See `Associate`."""
        for space, known in self._known.items():
            self._known[space] = [(one, person if one.track_id == track else was) for one, was in known]

    def forget(self, tracks: Collection[str]) -> None:
        """See `Associate`."""
        for space, known in self._known.items():
            self._known[space] = [(one, person) for one, person in known if one.track_id not in tracks]

    def is_open(self, end_ns: int, now_ns: int) -> bool:
        """See `Associate`."""
        return now_ns - end_ns <= _WINDOW_NS

    def close(self) -> None:
        """See `Associate`."""
