"""What the health server shows of boxes from outside."""

from collections.abc import Sequence

from edge_runtime.boxes.boxed_source import BoxedSource
from edge_runtime.camera.source import CameraSource
from edge_runtime.health.server import Check, Figure


def check_boxes(sources: Sequence[CameraSource]) -> list[Check]:
    """One check for each camera whose boxes come from outside: whether they can arrive."""
    return [_check_source(source) for source in sources if isinstance(source, BoxedSource)]


def _check_source(source: BoxedSource) -> Check:
    """Whether boxes from outside can arrive; without them nobody is found in this camera."""
    facts = source.facts()
    told, matches = facts.messages, facts.matches
    detail = f"{told.messages} messages, {matches.matched} boxes on a frame of ours"
    unused = {
        "faulty messages": told.faulty,
        "without a track": told.nameless,
        "without a frame of their time": matches.without_frame,
        "more than frames are kept": matches.surplus,
        "too late": matches.late,
        "too small": matches.too_small,
    }
    detail = ", ".join([detail, *(f"{count} {why}" for why, count in unused.items() if count)])
    return Check(f"boxes of {source.camera_id}", facts.is_connected, "; ".join(filter(None, [detail, facts.fault])))


def box_figures(source: CameraSource) -> list[Figure]:
    """What /metrics shows of the boxes of a camera; nothing where they are found here."""
    if not isinstance(source, BoxedSource):
        return []
    facts, labels = source.facts(), {"camera": source.camera_id}
    told, matches = facts.messages, facts.matches
    unused = {
        "nameless": told.nameless,
        "without_frame": matches.without_frame,
        "surplus": matches.surplus,
        "late": matches.late,
        "too_small": matches.too_small,
    }
    return [
        Figure("reid_boxes_connected", "gauge", "1 while boxes from outside can arrive", facts.is_connected, labels),
        Figure("reid_box_messages_total", "counter", "messages about boxes", told.messages, labels),
        Figure("reid_box_messages_faulty_total", "counter", "those that could not be used", told.faulty, labels),
        Figure("reid_boxes_matched_total", "counter", "boxes that found their frame", matches.matched, labels),
        *(
            Figure("reid_boxes_unused_total", "counter", "boxes that were left out", count, labels | {"reason": reason})
            for reason, count in unused.items()
        ),
    ]
