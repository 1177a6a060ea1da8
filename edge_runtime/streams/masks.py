"""Parts of a camera's picture where nobody is looked at, such as a neighbour's garden or a poster with people."""

from collections.abc import Sequence

from edge_runtime.link.messages import normalise_box
from edge_runtime.people.detector import Detection
from edge_runtime.streams.polygons import Polygon, stands_in


def outside_masks(
    detections: Sequence[Detection], masks: Sequence[Polygon], *, height_px: int, width_px: int
) -> tuple[Detection, ...]:
    """The people who stand in no mask. height_px, width_px: of the frame in whose pixels the boxes are."""

    def is_masked(detection: Detection) -> bool:
        box = normalise_box(detection.box, frame_height_px=height_px, frame_width_px=width_px)
        return any(stands_in(box, mask) for mask in masks)

    return tuple(detection for detection in detections if not is_masked(detection))
