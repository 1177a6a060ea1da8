"""Ranking lists: the gallery images nearest to a query, right and wrong marked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Input
from train.datasets.catalog import ReidData, Sample, load_images
from train.pictures.sheet import Sheet, SheetRow, Tile, draw_sheet
from train.scoring.distances import distance_blocks
from train.scoring.metrics import JudgedRow, judge_rows
from train.scoring.scoring import Described, Member, describe_split, score

_PLACES = 10
_RIGHT, _WRONG = "tab:green", "tab:red"


@dataclass(frozen=True)
class RankedList:
    """The first places of one query's ranking, the most alike first.

    query, found: positions in query and gallery. right_images: how many the gallery has in all.
    """

    query: int
    average_precision: float
    first_right_place: int
    right_images: int
    found: NDArray[np.int64]
    cosines: NDArray[np.floating]
    is_right: NDArray[np.bool_]


def rank_queries(query: Described, gallery: Described, *, count: int, worst_first: bool, seed: int) -> list[RankedList]:
    """Ranking lists of `count` queries that have a right image: those of lowest average precision, or
    drawn by the seed.

    gallery: without junk. Images of the query's identity and camera are left out, as in scoring.

    Raises:
        DataError: fewer such queries, or see `train.scoring.scoring.score`.
    """
    scores = score(query, gallery)
    valid = np.flatnonzero([len(row.right) > 0 for row in _judged(query, gallery)])
    if len(valid) < count:
        raise DataError(f"asked for {count} queries, found {len(valid)} with a right image in the gallery")
    if worst_first:
        chosen = np.argsort(scores.average_precision, kind="stable")[:count]
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(len(valid), count, replace=False))
    rows = _judged(_only(query, valid[chosen]), gallery)
    return [
        _ranked_list(
            row,
            query=int(valid[number]),
            average_precision=float(scores.average_precision[number]),
            first_right_place=int(scores.first_match[number]) + 1,
        )
        for number, row in zip(chosen, rows, strict=True)
    ]


def _judged(query: Described, gallery: Described) -> Iterator[JudgedRow]:
    return judge_rows(
        distance_blocks(query.descriptors, gallery.descriptors, distance="cosine"),
        query_identities=query.identities,
        gallery_identities=gallery.identities,
        query_cameras=query.cameras,
        gallery_cameras=gallery.cameras,
    )


def _only(described: Described, chosen: NDArray[np.int64]) -> Described:
    return Described(described.descriptors[chosen], described.identities[chosen], described.cameras[chosen])


def _ranked_list(row: JudgedRow, *, query: int, average_precision: float, first_right_place: int) -> RankedList:
    order = np.argsort(row.distances, kind="stable")[:_PLACES]
    order = order[np.isfinite(row.distances[order])]
    return RankedList(
        query,
        average_precision,
        first_right_place,
        len(row.right),
        found=order,
        cosines=1 - row.distances[order],
        is_right=np.isin(order, row.right),
    )


def draw_ranking(
    member: Member, data: ReidData, *, picture: Path, name: str, queries: int, worst_first: bool, seed: int
) -> None:
    """Describe a data set and draw ranking lists. name: of the model.

    Raises:
        DataError: an image cannot be decoded, a descriptor is broken, or too few queries have a right image.
    """
    query = describe_split(member, data.query, label="query")
    gallery = describe_split(member, data.ranked_gallery, label="gallery")
    lists = rank_queries(query, gallery, count=queries, worst_first=worst_first, seed=seed)
    rows = [_row(ranked, data.query, gallery=data.ranked_gallery, input_=member.input_) for ranked in lists]
    chosen = "the lowest AP first" if worst_first else f"drawn with seed {seed}"
    explanation = (
        f"Each row: a query, and the {_PLACES} gallery images most like it. Green: the same person. Red: another one. "
        "The number is the cosine of both descriptors; 1 is most alike. AP: average precision of the whole ranking. "
        "Images of the query's person by the query's camera are left out. "
        f"{len(rows)} of {len(data.query)} queries, {chosen}."
    )
    heads = ("query", *(str(place) for place in range(1, _PLACES + 1)))
    draw_sheet(Sheet(f"What {name} finds in {data.name}", explanation, heads, rows), picture)


def _row(ranked: RankedList, query: Sequence[Sample], *, gallery: Sequence[Sample], input_: Input) -> SheetRow:
    samples = [query[ranked.query], *(gallery[position] for position in ranked.found)]
    images = load_images(samples, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize)
    tiles = [
        Tile(image, f"{'✓' if is_right else '✗'} {cosine:.2f}", _RIGHT if is_right else _WRONG)
        for image, cosine, is_right in zip(images[1:], ranked.cosines, ranked.is_right, strict=True)
    ]
    label = (
        f"{samples[0].path.name}\nAP {ranked.average_precision:.2f}\nfirst right at place {ranked.first_right_place}\n"
        f"{ranked.right_images} right in the gallery"
    )
    return SheetRow(label, [Tile(images[0]), *tiles])
