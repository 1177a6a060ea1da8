"""HOTA and IDF1, against their definitions written out as loops."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measuring.tracking_scores import (
    TrackedFrame,
    box_overlaps,
    count_tracking,
    score_tracking,
)

FRAMES = st.lists(
    st.dictionaries(st.integers(1, 3), st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=3),
    min_size=4,
    max_size=4,
)


def frames(people: list[dict[int, tuple[int, int]]]) -> list[TrackedFrame]:
    """Boxes of 4 x 8 at the given places."""
    return [
        TrackedFrame(
            np.array(list(frame), np.int64),
            np.array([[x, y, x + 4, y + 8] for x, y in frame.values()], np.float64).reshape(-1, 4),
        )
        for frame in people
    ]


def idf1_by_trying(truth: list[TrackedFrame], tracked: list[TrackedFrame]) -> float:
    """The best of all ways to give each true id an own tracked id, or none."""
    most = 0
    for way in permutations([1, 2, 3, None, None, None], 3):
        pairs = dict(zip((1, 2, 3), way, strict=True))
        hits = 0
        for one, other in zip(truth, tracked, strict=True):
            for row, true_id in enumerate(one.ids):
                for column, id_ in enumerate(other.ids):
                    overlap = box_overlaps(one.boxes[row : row + 1], other.boxes[column : column + 1])[0, 0]
                    hits += pairs[int(true_id)] == id_ and overlap >= 0.5
        most = max(most, hits)
    boxes = sum(len(frame.ids) for frame in truth) + sum(len(frame.ids) for frame in tracked)
    return 200 * most / max(boxes, 1)


@settings(max_examples=50, deadline=None)
@given(truth=FRAMES, tracked=FRAMES)
def test_idf1_is_that_of_the_best_pairing_of_ids(
    truth: list[dict[int, tuple[int, int]]], tracked: list[dict[int, tuple[int, int]]]
) -> None:
    """Counted for every pairing, one box after the other."""
    one, other = frames(truth), frames(tracked)
    scores = score_tracking([count_tracking(one, other)])
    assert scores.idf1 == pytest.approx(idf1_by_trying(one, other))
    assert 0 <= scores.hota <= 100


def test_the_truth_scores_100() -> None:
    """Under any ids."""
    people = [{1: (n, 0), 2: (10, n)} for n in range(5)]
    others = [{7: (n, 0), 5: (10, n)} for n in range(5)]
    scores = score_tracking([count_tracking(frames(people), frames(others))])
    assert (scores.hota, scores.idf1) == (pytest.approx(100), pytest.approx(100))


def test_half_a_track_under_another_id() -> None:
    """All boxes are found, each half has a Jaccard index of 1/2: HOTA is the root of that, IDF1 is one half."""
    truth = [{1: (n, 0)} for n in range(8)]
    tracked = [{1 if n < 4 else 2: (n, 0)} for n in range(8)]
    scores = score_tracking([count_tracking(frames(truth), frames(tracked))])
    assert scores.hota == pytest.approx(100 * np.sqrt(0.5))
    assert scores.idf1 == pytest.approx(50)


def test_a_box_that_is_half_off_counts_below_its_overlap() -> None:
    """An overlap of 1/3: matched at the 6 of 19 thresholds up to 0.3."""
    truth, tracked = frames([{1: (0, 0)}] * 3), frames([{1: (2, 0)}] * 3)
    assert box_overlaps(truth[0].boxes, tracked[0].boxes)[0, 0] == pytest.approx(1 / 3)
    assert score_tracking([count_tracking(truth, tracked)]).hota == pytest.approx(100 * 6 / 19)


def test_sequences_add_up() -> None:
    """Two sequences together score as their boxes do, not as the mean of their scores."""
    good = count_tracking(frames([{1: (0, 0)}] * 9), frames([{1: (0, 0)}] * 9))
    none = count_tracking(frames([{1: (0, 0)}]), frames([{}]))
    assert score_tracking([good, none]).idf1 == pytest.approx(100 * 9 / 9.5)
    assert score_tracking([none]).hota == 0
