"""Whether scores on a data set can be had and mean something: said before the work, not after it."""

import logging
from collections import defaultdict

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Manifest
from train.datasets.samples import ReidData

logger = logging.getLogger(__name__)


def check_queries(data: ReidData) -> None:
    """Check that somebody can be found again: one query at least has an image of its person by another camera.

    Raises:
        DataError: nobody can; the reason is named.
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
        raise DataError(f"nobody can be found again: {where} of the gallery show different people; are names cut off?")
    raise DataError(
        f"nobody can be found again: {where} of the gallery show each person with one camera only; images by the "
        "query's own camera do not count, so add images by another camera, or name cameras right"
    )


def warn_of_shared_people(data: ReidData) -> None:
    """Warn where somebody who trains is looked for, too: scores then look better than they are."""
    shared = {sample.identity for sample in data.train} & {sample.identity for sample in data.query}
    if shared:
        logger.warning(
            "%d of the %d people who are looked for in %s have the number of somebody who trains, %d for one; if they "
            "are the same people, scores look better than they are: give each person to one split only",
            len(shared),
            len({sample.identity for sample in data.query}),
            data.name,
            min(shared),
        )


def warn_of_other_people(manifest: Manifest, data: ReidData) -> None:
    """Warn where a network was trained on this data set when others of its people trained."""
    trained = manifest.trained_on
    if trained is None or trained.data_set != data.name or trained.people_sha256 == data.people_sha256:
        return
    logger.warning(
        "%s was trained on %s when other people of it trained, so it may know some of those who are looked for now, "
        "and scores look better than they are; were people added or taken away? put them into train/ and test/, so "
        "that everybody stays in one half",
        manifest.model_id,
        data.name,
    )
