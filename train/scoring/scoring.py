"""From a function that describes images to scores, the same for checkpoints, ONNX files and engines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.descriptor import Describe, normalise
from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Descriptor, Evidence, Input, Score
from train.datasets.catalog import ReidData, Sample, load_images
from train.datasets.samples import JUNK
from train.recipes.recipe import Evaluation
from train.scoring.distances import check_descriptors, distance_blocks
from train.scoring.metrics import Interval, Retrieval, bootstrap, score_blocks
from train.scoring.rerank import Reranking, rerank_blocks

PLAIN = Evaluation()
"""One image per query, cosine distance: what a manifest reports unless a recipe asks for more."""

_CHUNK = 64
_RERANKING = Reranking()
_QUERIES = {
    "single": "single query",
    "average": "average of multiple queries",
    "maximum": "maximum of multiple queries",
}


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, the images it takes, and the parts of its descriptor.

    descriptor: needed only where parts of it are compared.
    """

    describe: Describe
    input_: Input
    descriptor: Descriptor | None = None


@dataclass(frozen=True)
class Described:
    """Descriptors of a split, with identities and cameras."""

    descriptors: NDArray[np.float32]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]

    def without_junk(self) -> "Described":
        """Without junk: the images that can take a place in a ranking."""
        kept = self.identities != JUNK
        return self if kept.all() else Described(self.descriptors[kept], self.identities[kept], self.cameras[kept])


def score_on(
    describe: Describe,
    data: ReidData,
    *,
    input_: Input,
    descriptor: Descriptor | None = None,
    evaluation: Evaluation = PLAIN,
) -> Evidence:
    """Describe query and gallery of a data set with one network, and score them.

    descriptor: needed only where the evaluation compares parts of it.

    Raises:
        ConfigError, DataError: see `retrieve_on`.
    """
    result = retrieve_on([Member(describe, input_, descriptor)], data, evaluation=evaluation)
    return evidence(result, data, evaluation=evaluation)


def retrieve_on(members: Sequence[Member], data: ReidData, *, evaluation: Evaluation) -> Retrieval:
    """Describe query and gallery of a data set, and rank; several members form an ensemble.

    Raises:
        ConfigError: a descriptor does not have the parts that are asked for.
        DataError: an image cannot be decoded, a descriptor is broken, nothing can be scored, or multiple queries are
            asked for and the data set has none.
    """
    if evaluation.queries != "single" and not data.multi_query:
        raise DataError(f"{data.name} has no images for multiple queries; score it with single queries")
    columns = [_columns(member.descriptor, evaluation.parts) for member in members]

    def describe(samples: tuple[Sample, ...], label: str) -> Described:
        parts = [
            _describe_samples(member, samples, flip=evaluation.flip, label=label)[:, chosen]
            for member, chosen in zip(members, columns, strict=True)
        ]
        return _described(samples, parts, evaluation=evaluation)

    query = describe(data.query, "query")
    if evaluation.queries != "single":
        query = pool_queries(query, describe(data.multi_query, "multiple queries"), evaluation=evaluation)
    return score(query, describe(data.ranked_gallery, "gallery"), evaluation=evaluation)


def _columns(descriptor: Descriptor | None, names: tuple[str, ...]) -> slice | NDArray[np.int64]:
    """The columns of a descriptor that these parts take; all columns if no part is named."""
    if not names:
        return slice(None)
    lengths = {part.name: part.length for part in descriptor.parts} if descriptor else {}
    unknown = [name for name in names if name not in lengths]
    if unknown:
        known = ", ".join(lengths) or "none"
        raise ConfigError(f"the descriptor has no part {', '.join(unknown)}; its parts: {known}")
    names_of_columns = np.repeat(list(lengths), list(lengths.values()))
    return np.flatnonzero(np.isin(names_of_columns, names))


def describe_split(member: Member, samples: tuple[Sample, ...], *, label: str) -> Described:
    """Describe images, one each, for cosine distance. label: of the progress bar."""
    return _described(samples, [_describe_samples(member, samples, flip=False, label=label)], evaluation=PLAIN)


def _described(samples: tuple[Sample, ...], parts: list[NDArray[np.float32]], *, evaluation: Evaluation) -> Described:
    """The networks' descriptors side by side; for cosine distance each of them, and the whole, of unit length."""
    if evaluation.distance == "cosine":
        parts = [normalise(part) / np.float32(np.sqrt(len(parts))) for part in parts]
    return Described(
        np.concatenate(parts, axis=1),
        np.array([sample.identity for sample in samples], np.int64),
        np.array([sample.camera_id for sample in samples], np.int64),
    )


def _describe_samples(member: Member, samples: tuple[Sample, ...], *, flip: bool, label: str) -> NDArray[np.float32]:
    """Describe images in small chunks, with a progress bar; with `flip` the mirror's descriptor is added."""
    size = member.input_
    parts = []
    with tqdm(total=len(samples), desc=label, unit="image", leave=False, disable=None) as bar:
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            images = load_images(chunk, height_px=size.height_px, width_px=size.width_px, rule=size.resize)
            described = member.describe(images)
            if flip:
                described = described + member.describe(np.ascontiguousarray(images[:, :, ::-1]))
            parts.append(described)
            bar.update(len(chunk))
    return np.concatenate(parts)


def pool_queries(query: Described, more: Described, *, evaluation: Evaluation) -> Described:
    """Replace each query's descriptor by the average or maximum over the images of its identity and camera in `more`.

    A query without such images keeps its own. For cosine distance the result is of unit length again.
    """
    pooled = query.descriptors.copy()
    for row, identity, camera in zip(pooled, query.identities, query.cameras, strict=True):
        found = more.descriptors[(more.identities == identity) & (more.cameras == camera)]
        if len(found):
            row[:] = found.mean(axis=0) if evaluation.queries == "average" else found.max(axis=0)
    return replace(query, descriptors=normalise(pooled) if evaluation.distance == "cosine" else pooled)


def score(query: Described, gallery: Described, *, evaluation: Evaluation = PLAIN) -> Retrieval:
    """Score described queries against a described gallery; for cosine distance all are of unit length.

    Raises:
        DataError: a descriptor is broken, a side is empty, or no query has a right image.
    """
    ranked = gallery.without_junk()
    check_descriptors(query.descriptors, ranked.descriptors, distance=evaluation.distance)
    if evaluation.rerank:
        blocks = rerank_blocks(query.descriptors, ranked.descriptors, settings=_RERANKING)
    else:
        blocks = distance_blocks(query.descriptors, ranked.descriptors, distance=evaluation.distance)
    return score_blocks(
        blocks,
        query_identities=query.identities,
        gallery_identities=ranked.identities,
        query_cameras=query.cameras,
        gallery_cameras=ranked.cameras,
        precision_rule=evaluation.precision_rule,
    )


def evidence(result: Retrieval, data: ReidData, *, evaluation: Evaluation = PLAIN, networks: int = 1) -> Evidence:
    """Scores as a manifest's evidence, with bootstrap intervals over queries."""
    return Evidence(
        data_set=data.name,
        protocol=protocol(evaluation, networks=networks, has_cameras=data.has_cameras),
        queries=len(data.query),
        gallery=len(data.ranked_gallery),
        rank1=_score(bootstrap(result.found_within(1))),
        mean_ap=_score(bootstrap(result.average_precision)),
        mean_inp=_score(bootstrap(result.inverse_negative_penalty)),
    )


def protocol(evaluation: Evaluation, *, networks: int = 1, has_cameras: bool = True) -> str:
    """The protocol in one line: `cosine distance, single query, same camera left out`."""
    left_out = "same camera left out" if has_cameras else "no camera known and none left out"
    done = [f"{evaluation.distance} distance", _QUERIES[evaluation.queries], left_out]
    if evaluation.flip:
        done.append("flipped images added")
    if evaluation.parts:
        done.append(f"parts {' + '.join(evaluation.parts)}")
    if evaluation.rerank:
        settings = _RERANKING
        done.append(f"k-reciprocal re-ranking (k1 {settings.k1}, k2 {settings.k2}, lambda {settings.lambda_:g})")
    if evaluation.precision_rule != "rectangular":
        done.append(f"{evaluation.precision_rule} average precision")
    if networks > 1:
        done.append(f"{networks} networks side by side")
    return ", ".join(done)


def _score(interval: Interval) -> Score:
    return Score(value=interval.value, low=interval.low, high=interval.high)
