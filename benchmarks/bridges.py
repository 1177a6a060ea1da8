"""Learn bridges between spaces from unlabelled pairs, and score them by labels on people they have not seen.

The test identities of a data set are cut in two. Images of the first half make pairs: as in a gallery, each was
described by both networks, and the images of one person in one camera are a track. On the second half queries by the
new network search a gallery of the old one: as it is, carried over the bridge, and mixed with native descriptors.
"""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.descriptor import cosine_distance, normalise
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Score, read_manifest
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.gallery.bridge import Bridge, CosineLine
from edge_runtime.gallery.bridge_fitting import BridgeLimits, fit_bridge
from edge_runtime.gallery.space_pairs import SpacePairs
from train.datasets.catalog import ReidData, open_folder
from train.models.open_model import open_model
from train.scoring.metrics import Interval, bootstrap, score_distances
from train.scoring.scoring import Member, describe_split

_NO_LIMIT = BridgeLimits(least_kept=0.0)
_DRAWS = 5  # of which half of a mixed gallery is native
_SHORTLIST = 200  # rows of the old space that the gallery looks at, see gallery/bridged_search.py
_TOP = 10


@dataclass(frozen=True)
class SplitPeople:
    """A data set's test images, queries first. is_seen: (N,) whose identity the bridge may learn from."""

    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    is_query: NDArray[np.bool_]
    is_seen: NDArray[np.bool_]

    @property
    def queries(self) -> NDArray[np.intp]:
        """Those of people not seen."""
        return np.flatnonzero(self.is_query & ~self.is_seen)

    @property
    def gallery(self) -> NDArray[np.intp]:
        """What they are looked for in."""
        return np.flatnonzero(~self.is_query & ~self.is_seen)


@dataclass(frozen=True)
class BridgeScores:
    """One bridge. mean_ap, rank1: of new queries on the moved old gallery. kept: of the new space's mAP.

    kept_unlabelled: the same as the bridge's manifest has it, by tracks alone. found_in_shortlist: share of the ten
    most alike moved rows that the gallery's search looks at.
    """

    old: str
    new: str
    pairs: int
    tracks: int
    penalty: float
    mean_ap: Score
    rank1: Score
    kept: Interval
    kept_unlabelled: Score
    found_in_shortlist: float
    mixed: "MixedScores"


@dataclass(frozen=True)
class MixedScores:
    """Rank-1 over all queries in a gallery of which a random half is native and the rest moved, mean of some draws.

    native, moved: in one half alone. as_it_is: in both by their cosines; calibrated: as the gallery compares them.
    gain: calibrated less the better half, with its interval.
    """

    native: float
    moved: float
    as_it_is: float
    calibrated: float
    gain: Interval


def main(argv: list[str] | None = None) -> int:
    """Print a line for each bridge and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    data = open_folder(arguments.data)
    people = _people(data, seed=arguments.seed)
    described = {path.stem: _describe(path, data, cache=arguments.cache) for path in arguments.networks}
    spaces = {path.stem: read_manifest(path).space_id for path in arguments.networks}
    alone = {name: _retrieve(people, rows, gallery=rows) for name, rows in described.items()}
    bridges: list[BridgeScores] = []
    unbridged = []
    for old, new in meetings(spaces):
        if described[old].shape == described[new].shape:
            mean_ap, rank1 = _retrieve(people, described[new], gallery=described[old])
            unbridged.append({"old": old, "new": new, "mean_ap": _score(mean_ap), "rank1": _score(rank1)})
        if spaces[old] == spaces[new]:
            continue
        for count in [*arguments.pairs, None]:
            pairs = draw_pairs(people, described[old], new=described[new], count=count)
            moved = _judge(
                people, described[old], new=described[new], pairs=pairs, names=(old, new), native_ap=alone[new][0]
            )
            bridges.append(moved)
            print(_line(bridges[-1]), flush=True)
    record = record_head("bridges", libraries=("numpy", "onnxruntime")) | {
        "data_set": data.name,
        "seed": arguments.seed,
        "queries": len(people.queries),
        "gallery": len(people.gallery),
        "networks": [
            {"name": name, "space": spaces[name], "mean_ap": _score(found[0]), "rank1": _score(found[1])}
            for name, found in alone.items()
        ],
        "unbridged": unbridged,
        "bridges": [asdict(one) for one in bridges],
    }
    output = arguments.output or record_folder() / "bridges.json"
    write_record(output, record)
    print(f"record: {output}")
    return 0


def meetings(spaces: Mapping[str, str]) -> list[tuple[str, str]]:
    """Old and new networks: of two spaces the first network of each; of one space all, as they are."""
    firsts = {space: name for name, space in reversed([*spaces.items()])}
    return [
        (old, new)
        for old, new in permutations(spaces, 2)
        if spaces[old] == spaces[new] or (firsts[spaces[old]], firsts[spaces[new]]) == (old, new)
    ]


def _people(data: ReidData, *, seed: int) -> SplitPeople:
    samples = [*data.query, *data.ranked_gallery]
    identities = np.array([sample.identity for sample in samples], np.int64)
    everybody = np.random.default_rng(seed).permutation(np.unique(identities[identities > 0]))
    seen = everybody[: len(everybody) // 2]
    return SplitPeople(
        identities,
        np.array([sample.camera_id for sample in samples], np.int64),
        np.arange(len(samples)) < len(data.query),
        np.isin(identities, seen),
    )


def _describe(path: Path, data: ReidData, *, cache: Path | None) -> NDArray[np.float32]:
    """Unit descriptors of queries and gallery, from the cache if the network described these images before."""
    names = "\n".join(sample.path.name for sample in (*data.query, *data.ranked_gallery))
    key = sha256(f"{read_manifest(path).artefact.sha256}\n{names}".encode()).hexdigest()[:16]
    kept = cache / f"{path.stem}-{key}.npy" if cache else None
    if kept and kept.exists():
        return np.asarray(np.load(kept), np.float32)
    with ExitStack() as stack:
        opened = open_model(path, stack)
        member = Member(opened.describe, opened.manifest.input)
        splits = [describe_split(member, split, label=path.stem) for split in (data.query, data.ranked_gallery)]
    rows = normalise(np.concatenate([one.descriptors for one in splits]))
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, rows)
    return rows


def draw_pairs(
    people: SplitPeople, old: NDArray[np.float32], *, new: NDArray[np.float32], count: int | None
) -> SpacePairs:
    """Whole tracks of people that may be seen, in random order, up to so many pairs. count: None: all of them.

    Raises:
        DataError: there are fewer.
    """
    rows = np.flatnonzero(people.is_seen)
    tracks = people.identities[rows] * 100 + people.cameras[rows]
    names = np.random.default_rng(0).permutation(np.unique(tracks))
    rows = rows[np.argsort([np.flatnonzero(names == one)[0] for one in tracks], kind="stable")]
    if count is not None and count > len(rows):
        raise DataError(f"expected {count} pairs or more in the data set, found {len(rows)}; ask for fewer --pairs")
    rows = rows[:count]
    _, numbers = np.unique(people.identities[rows] * 100 + people.cameras[rows], return_inverse=True)
    return SpacePairs("0" * 16, "1" * 16, old[rows], new[rows], numbers)


def _judge(
    people: SplitPeople,
    old: NDArray[np.float32],
    *,
    new: NDArray[np.float32],
    pairs: SpacePairs,
    names: tuple[str, str],
    native_ap: NDArray[np.float64],
) -> BridgeScores:
    bridge = fit_bridge(pairs, _NO_LIMIT, now_ns=0)
    moved = bridge.map.move(old)
    mean_ap, rank1 = _retrieve(people, new, gallery=moved)
    return BridgeScores(
        old=names[0],
        new=names[1],
        pairs=bridge.manifest.pairs,
        tracks=bridge.manifest.tracks,
        penalty=bridge.manifest.penalty,
        mean_ap=_score(mean_ap),
        rank1=_score(rank1),
        kept=_ratio(mean_ap, native_ap),
        kept_unlabelled=bridge.manifest.found.kept,
        found_in_shortlist=_found_in_shortlist(people, old, new=new, bridge=bridge),
        mixed=_mix(people, new, moved=moved, line=bridge.manifest.found.across),
    )


def _retrieve(
    people: SplitPeople, queries: NDArray[np.float32], *, gallery: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision and rank-1 of each query."""
    found = score_distances(
        cosine_distance(queries[people.queries], gallery[people.gallery]),
        query_identities=people.identities[people.queries],
        gallery_identities=people.identities[people.gallery],
        query_cameras=people.cameras[people.queries],
        gallery_cameras=people.cameras[people.gallery],
    )
    return found.average_precision, found.found_within(1)


def _mix(people: SplitPeople, new: NDArray[np.float32], *, moved: NDArray[np.float32], line: CosineLine) -> MixedScores:
    query, gallery = people.queries, people.gallery
    native, carried = new[query] @ new[gallery].T, new[query] @ moved[gallery].T
    is_own = people.identities[query][:, None] == people.identities[gallery]
    is_left_out = is_own & (people.cameras[query][:, None] == people.cameras[gallery])

    def hits(cosines: NDArray[np.float32]) -> NDArray[np.float64]:
        first = np.where(is_left_out, -9.0, cosines).argmax(1)
        return np.asarray(is_own[np.arange(len(first)), first], np.float64)

    ways = dict[str, list[NDArray[np.float64]]](native=[], moved=[], as_it_is=[], calibrated=[])
    for draw in range(_DRAWS):
        is_native = np.random.default_rng(draw).random(len(gallery)) < 0.5
        ways["native"].append(hits(np.where(is_native, native, -5.0)))
        ways["moved"].append(hits(np.where(is_native, -5.0, carried)))
        ways["as_it_is"].append(hits(np.where(is_native, native, carried)))
        ways["calibrated"].append(hits(np.where(is_native, native, line.slope * carried + line.offset)))
    by_query = {name: np.mean(found, axis=0) for name, found in ways.items()}
    means = {name: float(found.mean()) for name, found in by_query.items()}
    better = max(("native", "moved"), key=lambda name: means[name])
    return MixedScores(**means, gain=bootstrap(by_query["calibrated"] - by_query[better]))


def _found_in_shortlist(
    people: SplitPeople, old: NDArray[np.float32], *, new: NDArray[np.float32], bridge: Bridge
) -> float:
    gallery = old[people.gallery]
    exact = np.argsort(-new[people.queries] @ bridge.map.move(gallery).T, axis=1)[:, :_TOP]
    pulled = np.stack([bridge.map.pull_back(query) for query in new[people.queries]])
    listed = np.argsort(-pulled @ gallery.T, axis=1)[:, :_SHORTLIST]
    return float(np.mean([np.isin(best, some).mean() for best, some in zip(exact, listed, strict=True)]))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Interval:
    """Ratio of two means over the same queries, with its interval."""
    random = np.random.default_rng(0)
    drawn = [random.integers(0, len(part), len(part)) for _ in range(1000)]
    low, high = np.percentile([part[one].mean() / whole[one].mean() for one in drawn], [2.5, 97.5])
    return Interval(float(part.mean() / whole.mean()), float(low), float(high))


def _score(by_query: NDArray[np.float64]) -> Score:
    return Score(**asdict(bootstrap(by_query)))


def _line(one: BridgeScores) -> str:
    mixed = one.mixed
    figures = (
        f"{one.pairs} pairs",
        f"mAP {100 * one.mean_ap.value:.1f}",
        f"kept {100 * one.kept.value:.1f} %, by tracks {100 * one.kept_unlabelled.value:.1f} %",
        f"mixed rank-1 {100 * mixed.calibrated:.1f}, as it is {100 * mixed.as_it_is:.1f}",
        f"native half {100 * mixed.native:.1f}, moved half {100 * mixed.moved:.1f}",
        f"in the shortlist {100 * one.found_in_shortlist:.1f} %",
    )
    return f"{one.old} -> {one.new}: {'; '.join(figures)}"


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="edge_runtime/models/osnet_x0_25.onnx OTHER.onnx --data DATA",
        next_step="python benchmarks/readme_tables.py makes tables of the record",
        examples=(
            "example: python benchmarks/bridges.py edge_runtime/models/osnet_x0_25.onnx "
            "osnet_x0_25_msmt17.onnx --data /data/cuhk03_np_detected --cache .cache/described"
        ),
    )
    parser.add_argument("networks", type=Path, nargs="+", help="two or more, as engines take them, beside manifests")
    parser.add_argument("--data", type=Path, required=True, help="a data set, whose test identities are used")
    parser.add_argument("--pairs", type=int, nargs="+", default=[300, 1000, 3000], help="and all there are")
    parser.add_argument("--cache", type=Path, help="folder for descriptors, which another run takes from there")
    parser.add_argument("--seed", type=int, default=0, help="of the halves of people (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
