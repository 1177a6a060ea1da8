"""Promise a share of wrong pairs by an unlabelled site set, and count the real one by true identities; write a record.

Places are drawn from a data set: so many people of one camera, of whom only those who are there at one moment are known
to be two people. The real share is counted over all other people of that camera. Nothing of a label is used before.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from calibration.site_figures import SHARES
from calibration.site_pairs import DescribedTracks
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.contract.site_set import SiteCrop, SiteTrack
from train.datasets.catalog import open_folder
from train.models.teacher import open_teacher
from train.scoring.scoring import Member, describe_split

_SECOND_NS = 1_000_000_000
_AT_ONCE = 5  # people who are there at one moment
_MOST_JUDGED = 700  # crops
_People = list[NDArray[np.float32]]


@dataclass(frozen=True)
class KeptPromises:
    """Over all draws of places of one size: real share / promised one.

    median, low, high: of the ratio, with its 10th and 90th percentile over places. within_two: share of places where
    it is between 1/2 and 2; above_two: where more than twice the promised pairs pass. covered: share of places whose
    stated interval holds the real share.
    """

    network: str
    people: int
    compared: str
    mean_off: bool
    promised: float
    places: int
    median: float
    low: float
    high: float
    within_two: float
    above_two: float
    covered: float


def main(argv: list[str] | None = None) -> int:
    """Print a line for each row and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    data = open_folder(arguments.data)
    rows: list[KeptPromises] = []
    with ExitStack() as stack:
        for path in arguments.models:
            network = open_teacher(path, stack)
            described = describe_split(Member(network.describe, network.input_), data.gallery, label=network.name)
            camera = int(np.bincount(described.cameras).argmax())
            people = _people(
                normalise(described.descriptors), described.identities, is_there=described.cameras == camera
            )
            for size in arguments.people:
                rows += keep_promises(people, size, places=arguments.places, network=network.name)
                print("\n".join(_line(row) for row in rows[-4 * len(SHARES) :]), flush=True)
    record = record_head("site_thresholds", libraries=("numpy",)) | {"data_set": data.name, "at_once": _AT_ONCE}
    output = arguments.output or record_folder() / "site_thresholds.json"
    write_record(output, record | {"rows": [asdict(row) for row in rows]})
    print(f"record: {output}")
    return 0


def keep_promises(people: _People, size: int, *, places: int, network: str) -> list[KeptPromises]:
    """Draw places of so many people, and count what passes of all others. people: (crops, D) unit rows of each.

    Raises:
        DataError: there are not twice as many people.
    """
    if len(people) < 2 * size:
        raise DataError(f"expected at least {2 * size} people in one camera, found {len(people)}; take fewer --people")
    random = np.random.default_rng(0)
    found: dict[tuple[str, bool, float], list[tuple[float, bool]]] = defaultdict(list)
    for _ in range(places):
        order = random.permutation(len(people))
        place = as_site([people[number] for number in order[:size]])
        others = [people[number] for number in order[size:]]
        for compared in ("crops", "tracks"):
            for mean_off in (False, True):
                centre = place.means.mean(0) if mean_off else np.float32(0)
                real = _wrong_cosines(others, centre, of_tracks=compared == "tracks")
                wrong = place.wrong_pairs(of_tracks=compared == "tracks", mean_off=mean_off)
                for share in SHARES:
                    limit = wrong.limit(share)
                    assert limit is not None, "a place has pairs enough"
                    passed = float((real > limit.cosine).mean())
                    found[compared, mean_off, share].append((passed, limit.low <= passed <= limit.high))
    return [_summary(rows, key=key, size=size, network=network) for key, rows in found.items()]


def as_site(people: _People) -> DescribedTracks:
    """People as the tracks of one camera, of whom a few are there at every moment."""
    tracks = []
    for number, rows in enumerate(people):
        steps = np.linspace(0, (_AT_ONCE - 0.5) * _SECOND_NS, max(len(rows), 2)).astype(int)[: len(rows)]
        steps[-1] = (_AT_ONCE - 0.5) * _SECOND_NS
        crops = [
            SiteCrop(Path(f"{number}-{one}"), "camera", str(number), number * _SECOND_NS + int(one)) for one in steps
        ]
        tracks.append(SiteTrack(str(number), "camera", tuple(crops)))
    return DescribedTracks(tuple(tracks), tuple(people))


def _people(descriptors: NDArray[np.float32], identities: NDArray[np.int64], *, is_there: NDArray[np.bool_]) -> _People:
    """The crops of each person in one camera, of those with two or more."""
    chosen = [descriptors[is_there & (identities == one)] for one in np.unique(identities[is_there]) if one > 0]
    return [rows for rows in chosen if len(rows) > 1]


def _wrong_cosines(
    people: Sequence[NDArray[np.float32]], centre: NDArray[np.float32] | np.float32, *, of_tracks: bool
) -> NDArray[np.float32]:
    rows = [one.mean(0, keepdims=True) if of_tracks else one for one in people]
    owners = np.repeat(np.arange(len(rows)), [len(one) for one in rows])[:_MOST_JUDGED]
    vectors = normalise(np.concatenate(rows)[:_MOST_JUDGED] - centre)
    return np.asarray((vectors @ vectors.T)[owners[:, None] < owners])


def _summary(found: list[tuple[float, bool]], *, key: tuple[str, bool, float], size: int, network: str) -> KeptPromises:
    compared, mean_off, promised = key
    ratios = np.array([passed for passed, _ in found]) / promised
    low, median, high = (float(one) for one in np.percentile(ratios, [10, 50, 90]))
    return KeptPromises(
        network=network,
        people=size,
        compared=compared,
        mean_off=mean_off,
        promised=promised,
        places=len(found),
        median=median,
        low=low,
        high=high,
        within_two=float(((ratios >= 0.5) & (ratios <= 2)).mean()),
        above_two=float((ratios > 2).mean()),
        covered=float(np.mean([is_covered for _, is_covered in found])),
    )


def _line(row: KeptPromises) -> str:
    off = "mean off" if row.mean_off else ""
    return (
        f"{row.network[:24]:24} {row.people:4} people {row.compared:6} {off:8} {100 * row.promised:5g} %: "
        f"{row.median:5.2f} ({row.low:.2f} to {row.high:.2f}) of it, within a factor of 2 in {row.within_two:4.0%}, "
        f"above in {row.above_two:4.0%}, covered {row.covered:4.0%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="MODEL --data DATA",
        next_step="python benchmarks/readme_tables.py makes a table of the record",
        examples="example: python benchmarks/site_thresholds.py model.onnx --data /data/cuhk03_np_detected",
    )
    parser.add_argument("models", type=Path, nargs="+", help="networks, as --teacher of train/run.py takes them")
    parser.add_argument("--data", type=Path, required=True, help="a data set, whose gallery is drawn from")
    parser.add_argument("--people", type=int, nargs="+", default=[25, 50, 100], help="sizes of a place")
    parser.add_argument("--places", type=int, default=60, help="places of each size (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
