"""Measure time and memory of ranking and re-ranking, ours beside plain references; write a record.

Each job runs in a process of its own. The references follow the descriptions literally: a full distance matrix, sorted
row by row, and k-reciprocal re-ranking with full matrices over all images. The descriptors are generated.
"""

import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.contract.script import ScriptParser, run
from train.scoring.distances import distance_blocks
from train.scoring.metrics import score_blocks
from train.scoring.rerank import Reranking, rerank_blocks

_IMAGES_PER_IDENTITY = 25
_CAMERAS = 6
DescriptorRows = NDArray[np.float32]
DistanceRows = NDArray[np.floating]


@dataclass(frozen=True)
class SearchSize:
    """Number of queries and gallery images, and the length of their descriptors."""

    queries: int
    gallery: int
    length: int


MARKET_1501 = SearchSize(queries=3368, gallery=15913, length=512)
ALL_OF_MARKET_1501 = SearchSize(queries=3368, gallery=15913, length=2048)
WHERE_DENSE_FITS = SearchSize(queries=1048, gallery=4952, length=2048)
_SMALL = SearchSize(queries=120, gallery=600, length=64)


@dataclass(frozen=True)
class LabelledDescriptors:
    """Generated descriptors of unit length with their labels."""

    descriptors: DescriptorRows
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]


@dataclass(frozen=True)
class JobScores:
    """What a job found. distances_s: the part of its time that was spent on distances."""

    mean_ap: float
    rank1: float
    distances_s: float


@dataclass(frozen=True)
class JobRun:
    """One job on one size: median seconds from descriptors to scores, and the peak memory of its whole process."""

    job: str
    size: SearchSize
    seconds: float
    distances_s: float
    peak_mib: float
    mean_ap: float
    rank1: float


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rounds < 1:
        raise ConfigError(f"expected at least 1 round, found --rounds {arguments.rounds}")
    plan = [
        ("ranking, ours", MARKET_1501),
        ("ranking, plain", MARKET_1501),
        ("re-ranking, ours", WHERE_DENSE_FITS),
        ("re-ranking, plain", WHERE_DENSE_FITS),
        ("re-ranking, ours", ALL_OF_MARKET_1501),
    ]
    if arguments.small:
        plan = [(job, _SMALL) for job, _ in plan[:-1]]
    output = arguments.output or record_folder() / "retrieval.json"
    rounds = [[_in_own_process(job, size) for job, size in plan] for _ in range(arguments.rounds)]
    runs = [_median(list(same)) for same in zip(*rounds, strict=True)]
    write_record(output, _record(runs, rounds=arguments.rounds))
    print(_table(runs))
    print(f"{read_cpu_name()}, {os.cpu_count()} cores; record: {output}")
    return 0


def _in_own_process(job: str, size: SearchSize) -> JobRun:
    """Run one job in a new process, so that the process's peak memory is the job's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, job, size).result()


def _measure(job: str, size: SearchSize) -> JobRun:
    query, gallery = _generate(size)
    start = time.perf_counter()
    scores = JOBS[job](query, gallery)
    seconds = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return JobRun(job, size, seconds, scores.distances_s, peak_mib, scores.mean_ap, scores.rank1)


def _median(runs: list[JobRun]) -> JobRun:
    """Medians over the rounds; the largest memory. The scores are the same in each."""
    return JobRun(
        job=runs[0].job,
        size=runs[0].size,
        seconds=round(statistics.median(run.seconds for run in runs), 3),
        distances_s=round(statistics.median(run.distances_s for run in runs), 3),
        peak_mib=round(max(run.peak_mib for run in runs), 1),
        mean_ap=runs[0].mean_ap,
        rank1=runs[0].rank1,
    )


def _generate(size: SearchSize) -> tuple[LabelledDescriptors, LabelledDescriptors]:
    """Queries and gallery of generated people, of whom most are found again, but not all."""
    random = np.random.default_rng(0)
    people = max(2, size.gallery // _IMAGES_PER_IDENTITY)
    centres = random.standard_normal((people, size.length), np.float32)
    views = 0.3 * random.standard_normal((_CAMERAS, size.length), np.float32)
    noise = np.float32(0.5 * size.length**0.25)  # people are as hard to tell apart at any length

    def split(count: int) -> LabelledDescriptors:
        identities, cameras = random.integers(1, people, count), random.integers(0, _CAMERAS, count)
        rows = centres[identities]
        rows += views[cameras]
        for row in rows:  # row by row: the noise takes no memory that the jobs would be charged with
            row += noise * random.standard_normal(size.length, np.float32)
        return LabelledDescriptors(normalise(rows), identities, cameras)

    return split(size.queries), split(size.gallery)


def _our_ranking(query: LabelledDescriptors, gallery: LabelledDescriptors) -> JobScores:
    return _ranked(partial(distance_blocks, distance="cosine"), query, gallery=gallery)


def _our_reranking(query: LabelledDescriptors, gallery: LabelledDescriptors) -> JobScores:
    return _ranked(rerank_blocks, query, gallery=gallery)


def _ranked(
    distances: Callable[[DescriptorRows, DescriptorRows], Iterator[DistanceRows]],
    query: LabelledDescriptors,
    *,
    gallery: LabelledDescriptors,
) -> JobScores:
    spent = []

    def timed() -> Iterator[DistanceRows]:
        start = time.perf_counter()
        for block in distances(query.descriptors, gallery.descriptors):
            spent.append(time.perf_counter() - start)
            yield block
            start = time.perf_counter()

    found = score_blocks(
        timed(),
        query_identities=query.identities,
        gallery_identities=gallery.identities,
        query_cameras=query.cameras,
        gallery_cameras=gallery.cameras,
    )
    return JobScores(found.mean_ap, found.rank(1), sum(spent))


def _plain_ranking(query: LabelledDescriptors, gallery: LabelledDescriptors) -> JobScores:
    start = time.perf_counter()
    distances = 1 - query.descriptors @ gallery.descriptors.T
    return _plainly_ranked(distances, query, gallery=gallery, distances_s=time.perf_counter() - start)


def _plainly_ranked(
    distances: DescriptorRows, query: LabelledDescriptors, *, gallery: LabelledDescriptors, distances_s: float
) -> JobScores:
    """Sort each row, drop gallery images of the query's camera, and compute average precision and rank-1."""
    order = np.argsort(distances, axis=1)
    precisions, firsts = [], []
    for row, identity, camera in zip(order, query.identities, query.cameras, strict=True):
        same = gallery.identities[row] == identity
        hits = same[~(same & (gallery.cameras[row] == camera))]
        if hits.any():
            precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            precisions.append(float((precision * hits).sum() / hits.sum()))
            firsts.append(int(hits.argmax()))
    return JobScores(float(np.mean(precisions)), float(np.mean(np.array(firsts) == 0)), distances_s)


def _plain_reranking(query: LabelledDescriptors, gallery: LabelledDescriptors) -> JobScores:
    """k-reciprocal re-ranking with matrices of distances, ranks and encodings over all images."""
    start = time.perf_counter()
    settings = Reranking()
    rows = np.concatenate([query.descriptors, gallery.descriptors])
    lengths = (rows**2).sum(axis=1)
    original = lengths[:, None] + lengths - 2 * rows @ rows.T
    original /= original.max(axis=1, keepdims=True)
    order = np.argsort(original, axis=1)
    encodings = _plain_encodings(original, order, k1=settings.k1)
    encodings = np.array([encodings[nearest].mean(axis=0) for nearest in order[:, : settings.k2]])
    holders = [np.flatnonzero(column) for column in encodings.T]
    queries = len(query.descriptors)
    result = np.empty((queries, len(rows)), np.float32)
    for image in range(queries):
        overlap = np.zeros(len(rows), np.float32)
        for column in np.flatnonzero(encodings[image]):
            held_by = holders[column]
            overlap[held_by] += np.minimum(encodings[image, column], encodings[held_by, column])
        jaccard = 1 - overlap / (2 - overlap)
        result[image] = settings.lambda_ * original[image] + (1 - settings.lambda_) * jaccard
    return _plainly_ranked(result[:, queries:], query, gallery=gallery, distances_s=time.perf_counter() - start)


def _plain_encodings(original: DescriptorRows, order: NDArray[np.int64], *, k1: int) -> DescriptorRows:
    encodings = np.zeros_like(original)
    for image in range(len(original)):
        own = _plain_reciprocal(order, image, count=k1 + 1)
        joined = [own]
        for neighbour in own:
            theirs = _plain_reciprocal(order, neighbour, count=round(k1 / 2) + 1)
            if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
                joined.append(theirs)
        columns = np.unique(np.concatenate(joined))
        weights = np.exp(-original[image, columns])
        encodings[image, columns] = weights / weights.sum()
    return encodings


def _plain_reciprocal(order: NDArray[np.int64], image: int, *, count: int) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = order[image, :count]
    return np.asarray(nearest[(order[nearest, :count] == image).any(axis=1)])


JOBS: dict[str, Callable[[LabelledDescriptors, LabelledDescriptors], JobScores]] = {
    "ranking, ours": _our_ranking,
    "ranking, plain": _plain_ranking,
    "re-ranking, ours": _our_reranking,
    "re-ranking, plain": _plain_reranking,
}


def _record(runs: list[JobRun], *, rounds: int) -> dict[str, Any]:
    return {
        "benchmark": "retrieval",
        "created": read_utc(),
        "commit": read_commit(),
        "device": read_cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "job": "descriptors of unit length to rank-k, mAP and mINP",
        "rounds": rounds,
        "method": "each job in a process of its own, in turns; median seconds, largest peak memory of the process",
        "runs": [asdict(run) for run in runs],
    }


def _table(runs: list[JobRun]) -> str:
    rows = [f"{'job':20}{'images':>16}{'length':>8}{'seconds':>10}{'distances':>11}{'peak MiB':>10}{'mAP':>10}"]
    for run_ in runs:
        images = f"{run_.size.queries} x {run_.size.gallery}"
        rows.append(
            f"{run_.job:20}{images:>16}{run_.size.length:>8}{run_.seconds:>10.2f}{run_.distances_s:>11.2f}"
            f"{run_.peak_mib:>10.0f}{run_.mean_ap:>10.5f}"
        )
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--rounds 1",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/retrieval.py --rounds 3",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each job (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="a quick try on few images, whose figures mean nothing")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/retrieval.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
