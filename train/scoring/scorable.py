"""Checks, before any work, that a data set can be scored and that the scores will mean something."""

import logging
from collections import defaultdict

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Manifest
from train.datasets.samples import ReidData

logger = logging.getLogger(__name__)


def check_queries(data: ReidData) -> None:
    """Check that at least one query has an image of the same person by another camera: else nothing can be scored.

    Raises:
        DataError: no query has one; the message says why.
    """
    cameras = defaultdict(set)
    for sample in data.ranked_gallery:
        cameras[sample.identity].add(sample.camera_id)
    known = [query for query in data.query if query.identity in cameras]
    if any(cameras[query.identity] - {query.camera_id} for query in known):
        return
    people = len({query.identity for query in data.query})
    where = f"the {len(data.query)} queries of {data.name}, {people} people, and its {len(data.ranked_gallery)} images"
    if not known:
        raise DataError(
            f"nobody can be found again: {where} of the gallery show different people; are the names cut off?"
        )
    raise DataError(
        f"nobody can be found again: {where} of the gallery show each person with one camera only; images by the "
        "query's own camera do not count, so add images by another camera, or correct the cameras in the names"
    )


def warn_of_shared_people(data: ReidData) -> None:
    """Warn if people of the training images are queries, too: scores then look better than they are."""
    shared = {sample.identity for sample in data.train} & {sample.identity for sample in data.query}
    if shared:
        logger.warning(
            "%d of the %d people in the queries of %s have the number of somebody in its training images, %d for one; "
            "if they are the same people, scores look better than they are: put each person into one split only",
            len(shared),
            len({sample.identity for sample in data.query}),
            data.name,
            min(shared),
        )


def warn_of_other_people(manifest: Manifest, data: ReidData) -> None:
    """Warn if a network was trained on this data set while its people were split in another way."""
    trained = manifest.trained_on
    if trained is None or trained.data_set != data.name or trained.people_sha256 == data.people_sha256:
        return
    logger.warning(
        "%s was trained on %s with another choice of training people, so it may have seen some of those who are tested "
        "now, and scores look better than they are; were people added or removed? put them into the folders train/ "
        "and test/, so that everybody stays in one half",
        manifest.model_id,
        data.name,
    )
