"""A simulated floor: people walk past cameras, and each passage is a track with descriptors. Seeded; no pictures.

Cameras stand on a grid of corridors, some of them closed. A person comes in at an entrance, walks to a few goals on
the shortest way, stays at each for a while, and leaves by an entrance. The views of cameras do not overlap. A passage
is missed now and then, and now and then the tracker loses the person half-way and starts a second track.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.gallery.prototypes import FinishedTrack, halve

_COLUMNS, _SPACING_M, _VIEW_M = 5, 25.0, 10.0
_CLOSED = 0.25  # share of the corridors that are closed, where all cameras stay connected
_ENTRANCES = 4
_GOALS = (2, 6)
_STAY_S = 60.0
_MISSED, _BROKEN = 0.05, 0.10  # shares of the passages
_CROPS = 4
_NS = 1_000_000_000


@dataclass(frozen=True)
class Floor:
    """What is simulated."""

    cameras: int = 20
    people: int = 500
    seconds: float = 7_200.0
    seed: int = 0


@dataclass(frozen=True)
class Looks:
    """Descriptors by their parts: what all have in common, a person, a person at one camera, one crop.

    common: (D,). people: (N, D), one row a person. at_camera, crops: (M, D) and (K, D), drawn from at random.
    """

    common: NDArray[np.float32]
    people: NDArray[np.float32]
    at_camera: NDArray[np.float32]
    crops: NDArray[np.float32]


_COMMON = 0.305  # squared length of each part, where a whole descriptor has 1; the rest of 1 is rounding of means
_ENERGY = {
    "people": (0.336, (0.072, 0.234, 0.393, 0.588, 0.774, 0.883, 0.944, 0.986, 1.0)),
    "at_camera": (0.204, (0.009, 0.053, 0.124, 0.263, 0.482, 0.670, 0.773, 0.885, 1.0)),
    "crops": (0.198, (0.012, 0.052, 0.105, 0.215, 0.408, 0.593, 0.707, 0.842, 1.0)),
}
_DIRECTIONS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
"""Squared length of each part, and its share in the first directions, which are those in which people differ most.

Measured: descriptors of the committed network, test identities of CUHK03.
"""


def draw_looks(people: int, *, seed: int) -> Looks:
    """Made-up descriptors of 512 numbers, normally distributed, whose parts are as large and as spread as real ones."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((512, 512)))[0].astype(np.float32)
    parts = {}
    for name, count in (("people", people), ("at_camera", 4 * people), ("crops", 8 * people)):
        total, shares = _ENERGY[name]
        spread = np.sqrt(total * np.diff(np.interp(np.arange(513), (0, *_DIRECTIONS), (0.0, *shares))))
        parts[name] = (rng.standard_normal((count, 512)) * spread).astype(np.float32) @ turn
    return Looks(common=np.float32(np.sqrt(_COMMON)) * turn[-1], **parts)


@dataclass(frozen=True)
class Passage:
    """One track of one person at one camera, in seconds."""

    person: int
    camera: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Walked:
    """Tracks in order of their ends, and who each of them is."""

    tracks: tuple[FinishedTrack, ...]
    people: NDArray[np.intp]
    positions_m: NDArray[np.float64]
    corridors: tuple[tuple[int, int], ...]


_World = tuple[np.random.Generator, NDArray[np.float64], NDArray[np.intp]]


def walk(floor: Floor, looks: Looks) -> Walked:
    """Simulate a floor."""
    rng = np.random.default_rng(floor.seed)
    positions, corridors = _lay_out(floor, rng)
    steps = _shortest_steps(positions, corridors)
    passages = [
        one for person in range(floor.people) for one in _walk_one(person, floor, world=(rng, positions, steps))
    ]
    passages.sort(key=lambda one: one.end_s)
    tracks = _describe(passages, floor, source=(rng, looks))
    return Walked(tracks, np.array([one.person for one in passages]), positions, corridors)


def _lay_out(floor: Floor, rng: np.random.Generator) -> tuple[NDArray[np.float64], tuple[tuple[int, int], ...]]:
    numbers = np.arange(floor.cameras)
    grid = np.stack([numbers % _COLUMNS, numbers // _COLUMNS], 1).astype(np.float64)
    positions = grid * _SPACING_M + rng.uniform(-5.0, 5.0, grid.shape)
    corridors = [
        (a, b)
        for a in range(floor.cameras)
        for b in (a + 1, a + _COLUMNS)
        if b < floor.cameras and (b != a + 1 or b % _COLUMNS)
    ]
    to_close = int(_CLOSED * len(corridors))
    for one in [corridors[number] for number in rng.permutation(len(corridors))[:to_close]]:
        left = [corridor for corridor in corridors if corridor != one]
        if np.isfinite(_distances(positions, left)).all():
            corridors = left
    return positions, tuple(corridors)


def _distances(positions: NDArray[np.float64], corridors: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    count = len(positions)
    distances = np.where(np.eye(count, dtype=bool), 0.0, np.inf)
    for a, b in corridors:
        distances[a, b] = distances[b, a] = np.linalg.norm(positions[a] - positions[b])
    for middle in range(count):  # Floyd and Warshall
        distances = np.minimum(distances, distances[:, middle, None] + distances[middle])
    return distances


def _shortest_steps(positions: NDArray[np.float64], corridors: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """(from, to): the next camera on the shortest way."""
    distances = _distances(positions, corridors)
    near = np.full_like(distances, np.inf)
    for a, b in corridors:
        near[a, b] = near[b, a] = np.linalg.norm(positions[a] - positions[b])
    return np.asarray((near[:, :, None] + distances[None]).argmin(1))


def _walk_one(person: int, floor: Floor, *, world: "_World") -> list[Passage]:
    rng, positions, steps = world
    speed = float(np.clip(rng.normal(1.3, 0.2), 0.7, 2.0))
    time_s = float(rng.uniform(0.0, floor.seconds * 0.9))
    entrances = np.linspace(0, floor.cameras - 1, _ENTRANCES).astype(int)
    goals = [*rng.integers(0, floor.cameras, rng.integers(*_GOALS)), rng.choice(entrances)]
    here = int(rng.choice(entrances))
    passages: list[Passage] = []
    for goal in goals:
        while True:
            seen_s = _VIEW_M * rng.uniform(0.7, 1.3) / speed
            passages += _pass(Passage(person, here, time_s, time_s + seen_s), rng)
            time_s += seen_s
            if here == goal:
                break
            following = int(steps[here, goal])
            way_m = max(np.linalg.norm(positions[here] - positions[following]) - _VIEW_M, 2.0)
            time_s += float(way_m / speed * rng.lognormal(0.0, 0.15))
            here = following
        time_s += float(rng.exponential(_STAY_S)) + 2.0
    return [one for one in passages if one.end_s < floor.seconds]


def _pass(whole: Passage, rng: np.random.Generator) -> list[Passage]:
    if rng.random() < _MISSED:
        return []
    if rng.random() >= _BROKEN:
        return [whole]
    middle = whole.start_s + rng.uniform(0.35, 0.65) * (whole.end_s - whole.start_s)
    parts = ((whole.start_s, middle), (middle + rng.uniform(0.2, 1.0), whole.end_s))
    return [Passage(whole.person, whole.camera, start, end) for start, end in parts]


def _describe(
    passages: Sequence[Passage], floor: Floor, *, source: tuple[np.random.Generator, Looks]
) -> tuple[FinishedTrack, ...]:
    rng, looks = source
    drawn = looks.at_camera[rng.integers(0, len(looks.at_camera), (2, floor.people, floor.cameras))]
    offsets = (drawn[0] + drawn[1]) / np.float32(np.sqrt(2.0))  # no two people share one
    strength = rng.uniform(0.9, 1.6, floor.cameras).astype(np.float32)
    tracks = []
    for number, one in enumerate(passages):
        noise = looks.crops[rng.integers(0, len(looks.crops), _CROPS)]
        place = strength[one.camera] * offsets[one.person, one.camera]
        crops = normalise(looks.common + looks.people[one.person] + place + noise)
        mean = normalise(crops.mean(0)[None])[0]
        tracks.append(
            FinishedTrack(
                track_id=f"{number:06d}",
                camera=f"camera-{one.camera:02d}",
                start_ns=int(one.start_s * _NS),
                end_ns=int(one.end_s * _NS),
                mean=mean,
                prototypes=halve(crops),
                dispersion=float(1.0 - (crops @ mean).mean()),
                crops=_CROPS,
            )
        )
    return tuple(tracks)
