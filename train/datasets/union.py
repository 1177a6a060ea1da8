"""Joining several data sets into one."""

from collections.abc import Sequence
from dataclasses import replace

from train.datasets.samples import DISTRACTOR, ReidData, Sample


def join_data_sets(name: str, parts: Sequence[ReidData]) -> ReidData:
    """One data set with the images of all parts. Identities and cameras are renumbered, so that no two parts share one;
    junk and distractors keep their numbers.
    """
    joined = ReidData(name, "; ".join(part.terms for part in parts), (), (), ())
    identities = cameras = 0
    for part in parts:
        train, query, gallery, multi_query = (
            tuple(_moved(sample, identities=identities, cameras=cameras) for sample in split)
            for split in (part.train, part.query, part.gallery, part.multi_query)
        )
        joined = replace(
            joined,
            train=joined.train + train,
            query=joined.query + query,
            gallery=joined.gallery + gallery,
            multi_query=joined.multi_query + multi_query,
        )
        everything = (*train, *query, *gallery, *multi_query)
        identities = max(sample.identity for sample in everything)
        cameras = 1 + max(sample.camera_id for sample in everything)
    return joined


def _moved(sample: Sample, *, identities: int, cameras: int) -> Sample:
    identity = sample.identity if sample.identity <= DISTRACTOR else sample.identity + identities
    return replace(sample, identity=identity, camera_id=sample.camera_id + cameras)
