"""HOG on real people, and the rules that hold for the boxes of every detector."""

import tarfile
from collections.abc import Iterator
from itertools import combinations, islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.detector import Detection, best_detections
from edge_runtime.people.hog import HogDetector


def iou(one: Box, other: Box) -> float:
    """Intersection over union, by its definition."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / (area - shared)


def person_crops(shared_data: Path) -> Iterator[NDArray[np.uint8]]:
    """Crops of people, (128, 64, 3) RGB, in the order of the archive."""
    with tarfile.open(shared_data / "cuhk03_np_detected.tar.xz", "r|xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".jpg") else None
            if file is not None:
                image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
                yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.shared_data
def test_hog_finds_upright_people_where_they_stand(shared_data: Path) -> None:
    """Of 40 people in the middle of a picture at least 30 are found, boxed to the person and not to HOG's window."""
    place = (88.0, 56.0, 152.0, 184.0)
    overlaps, extra = [], 0
    for crop in islice(person_crops(shared_data), 40):
        frame = cv2.copyMakeBorder(crop, 56, 56, 88, 88, cv2.BORDER_REPLICATE)
        found = HogDetector().detect(np.asarray(frame, np.uint8))
        overlaps += [iou(found[0].box, place)] if found else []
        extra += len(found[1:])
    assert sum(overlap > 0.4 for overlap in overlaps) >= 30
    assert np.mean(overlaps) > 0.6
    assert extra <= 10


def test_nobody_is_found_in_an_empty_picture() -> None:
    """A blank frame holds no people, nor does one smaller than the detector's window."""
    detector = open_detector(DetectorSettings())
    assert detector.detect(np.full((240, 320, 3), 128, np.uint8)) == []
    assert detector.detect(np.zeros((20, 20, 3), np.uint8)) == []
    assert detector.detect(np.zeros((1, 700, 3), np.uint8)) == []


@pytest.mark.shared_data
def test_hog_reads_the_luma_of_nv12(shared_data: Path) -> None:
    """A decoder's picture gives the people of its conversion, without the conversion."""
    crop = next(iter(person_crops(shared_data)))
    rgb = np.asarray(cv2.copyMakeBorder(crop, 56, 56, 88, 88, cv2.BORDER_REPLICATE), np.uint8)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    chroma = np.full((len(grey) // 2, grey.shape[1] // 2, 2), 128, np.uint8)
    full = Nv12(np.asarray(grey, np.uint8), chroma, is_full_range=True)
    assert HogDetector().detect(full) == HogDetector().detect(rgb) != []
    video = Nv12(np.round(grey * (219 / 255) + 16).astype(np.uint8), chroma)
    [found], [expected] = HogDetector().detect(video), HogDetector().detect(rgb)
    assert iou(found.box, expected.box) > 0.9
    assert found.score == pytest.approx(expected.score, abs=0.1)


@pytest.mark.shared_data
def test_hog_shrinks_a_large_frame_and_looks_for_small_people_when_asked(shared_data: Path) -> None:
    """People are found in a frame of 2.8 million pixels, shrunk by half; those of 48 pixels mostly when asked for."""
    near_place, far_place = (6 * 88, 6 * 56, 6 * 152, 6 * 184), (88, 56, 112, 104)
    near_found, far_found, asked_found = 0, 0, 0
    for crop in islice(person_crops(shared_data), 8):
        frame = np.asarray(cv2.copyMakeBorder(crop, 56, 56, 88, 88, cv2.BORDER_REPLICATE), np.uint8)
        near = np.asarray(cv2.resize(frame, None, fx=6, fy=6), np.uint8)
        small = cv2.resize(crop, (24, 48), interpolation=cv2.INTER_AREA)
        far = np.asarray(cv2.copyMakeBorder(small, 56, 56, 88, 88, cv2.BORDER_REPLICATE), np.uint8)
        near_found += any(iou(found.box, near_place) > 0.4 for found in HogDetector().detect(near))
        far_found += any(iou(found.box, far_place) > 0.4 for found in HogDetector().detect(far))
        asked_found += any(iou(found.box, far_place) > 0.4 for found in HogDetector(smallest_person_px=40).detect(far))
    assert near_found >= 6
    assert far_found <= 2
    assert asked_found >= 6


BOXES = st.lists(
    st.tuples(
        st.floats(-50, 350), st.floats(-50, 250), st.floats(1, 200), st.floats(1, 200), st.floats(0.0625, 4, width=32)
    ),
    max_size=12,
    unique_by=lambda row: row[4],
)


@given(rows=BOXES)
def test_only_the_best_of_overlapping_boxes_stay(rows: list[tuple[float, ...]]) -> None:
    """Best first, each box is kept unless it overlaps a kept one by more than the limit; checked one by one."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    found = best_detections(boxes, table[:, 4], overlap=0.4, frame_shape=(200, 300, 3))

    kept: list[tuple[float, Box]] = []
    for box, score in sorted(zip(boxes.tolist(), table[:, 4].tolist(), strict=True), key=lambda pair: -pair[1]):
        overlaps = [iou(box, other) for _, other in kept]
        if any(abs(overlap - 0.4) < 1e-4 for overlap in overlaps):
            return  # too near the limit for float32 to decide
        if all(overlap <= 0.4 for overlap in overlaps):
            kept.append((score, box))
    inside = [(score, (max(x0, 0.0), max(y0, 0.0), min(x1, 300.0), min(y1, 200.0))) for score, (x0, y0, x1, y1) in kept]
    sizes = [(box[2] - box[0], box[3] - box[1]) for _, box in inside]
    if any(abs(side - 8) < 1e-3 for size in sizes for side in size):
        return
    expected = [Detection(box, score) for (score, box), size in zip(inside, sizes, strict=True) if min(size) >= 8]
    assert [detection.score for detection in found] == [detection.score for detection in expected]
    np.testing.assert_allclose(
        np.array([detection.box for detection in found]), np.array([detection.box for detection in expected]), atol=1e-3
    )


@pytest.mark.shared_data
def test_a_box_around_a_surer_smaller_one_is_left_out(shared_data: Path) -> None:
    """HOG's large windows respond to a small person: no box holds the centre of a better one of half its size."""
    crops = list(islice(person_crops(shared_data), 12))
    row = np.concatenate([cv2.copyMakeBorder(crop, 120, 60, 20, 20, cv2.BORDER_REPLICATE) for crop in crops], axis=1)
    found = HogDetector(score_threshold=-0.3).detect(row)
    assert len(found) >= 8
    for better, worse in combinations(found, 2):
        left, top, right, bottom = worse.box
        centre = ((better.box[0] + better.box[2]) / 2, (better.box[1] + better.box[3]) / 2)
        area = (better.box[2] - better.box[0]) * (better.box[3] - better.box[1])
        is_inside = left < centre[0] < right and top < centre[1] < bottom
        assert not (is_inside and 2 * area < (right - left) * (bottom - top))
