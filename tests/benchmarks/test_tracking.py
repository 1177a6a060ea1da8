"""Our tracker beside others: what is looked at, what is refused, and that the record says what our tracker does."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.measuring.records import RECORDS, read_record
from benchmarks.measuring.tracked_clips import (
    Clip,
    ClipFrame,
    ClipLook,
    LookSequence,
    as_nv12,
    as_sequences,
    read_clips,
)
from benchmarks.measuring.tracking_scores import TrackedFrame
from benchmarks.measuring.weak_engine import RememberingEngine, WeakEngine
from benchmarks.reporting.tracking_tables import tracking_table
from benchmarks.tracking import run_ours, run_peers, score_tracker
from edge_runtime.contract.errors import ConfigError
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.detector import Detection
from tests.conftest import ROOT
from tests.support.sample_messages import MANIFEST

PIXELS = as_nv12(np.random.default_rng(0).integers(0, 256, (200, 400, 3), np.uint8))
NOBODY = ClipFrame(PIXELS, (), np.zeros((0, 4), np.float32), TrackedFrame(np.zeros(0, np.int64), np.zeros((0, 4))))
RECORD = RECORDS / "cpu-epyc" / "tracking.json"


def clip(count: int) -> Clip:
    return Clip("street", 25.0, (NOBODY,) * count)


def walk(rate: float) -> LookSequence:
    """A person who walks to the right, found in every look."""
    looks = []
    for number in range(10):
        left = 100 + 60 * number / rate
        box = (left, 50.0, left + 40, 150.0)
        truth = TrackedFrame(np.array([4]), np.array([box]))
        looks.append(
            ClipLook(number / rate, ClipFrame(PIXELS, (Detection(box, 0.9),), np.ones((1, 4), np.float32), truth))
        )
    return LookSequence("street", rate, tuple(looks))


class MeanEngine(Engine):
    """Describes a crop by the means of its colours, and counts what it was given."""

    backend = "mean"

    def __init__(self) -> None:
        super().__init__(MANIFEST)
        self.crops = 0

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.crops += len(crops)
        means = crops.mean(axis=(1, 2)) + 1
        return np.resize(means, (len(crops), MANIFEST.descriptor.length)).astype(np.float32)


def test_an_engine_remembers_what_it_has_described() -> None:
    """Each crop is computed once, and the same is given again."""
    engine = MeanEngine()
    remembering = RememberingEngine(engine)
    size = (3, MANIFEST.input.height_px, MANIFEST.input.width_px, 3)
    crops = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    first = remembering.describe(crops)
    np.testing.assert_array_equal(remembering.describe(crops[::-1]), first[::-1])
    assert engine.crops == 3


def test_a_weak_engine_sees_fewer_dimensions() -> None:
    """All of its descriptors lie in a space of so many; with all dimensions they are as before."""
    random = np.random.default_rng(0)

    class Random(MeanEngine):
        def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
            return random.normal(0, 1, (len(crops), MANIFEST.descriptor.length)).astype(np.float32)

    crops = np.zeros((20, MANIFEST.input.height_px, MANIFEST.input.width_px, 3), np.uint8)
    length = MANIFEST.descriptor.length
    for dimensions in (2, length):
        rows = WeakEngine(Random(), dimensions=dimensions).describe(crops)
        assert np.linalg.matrix_rank(rows, tol=1e-4) == min(dimensions, 20)


def test_a_rate_above_the_clip_is_that_of_the_clip() -> None:
    """Frames that there are not cannot be looked at."""
    assert clip(50).rates([30, 25, 10, 2]) == [25, 10, 2]
    assert clip(50).rates([10, 2]) == [10, 2]


@pytest.mark.parametrize("rate", [25.0, 10.0, 5.0, 3.0, 2.0])
def test_looks_are_evenly_spaced_and_start_at_different_frames(rate: float) -> None:
    """To less than one frame; so a short clip gives many sequences at a low rate."""
    looks = clip(71).looks(rate)
    assert [frames[0] for frames in looks] == sorted({frames[0] for frames in looks})
    assert len(looks) == min(13, int(np.ceil(25 / rate)))
    for frames in looks:
        assert max(frames) < 71
        assert all(abs(frame - frames[0] - n * 25 / rate) < 1 for n, frame in enumerate(frames))


def test_our_tracker_follows_who_walks_straight_on() -> None:
    """All of one person under one id, at any rate, with descriptors and without."""
    sequences = [walk(rate) for rate in (25.0, 5.0, 2.0)]
    told, ms = run_ours(sequences, [], engine=MeanEngine(), sure_score=0.5)
    for name, tracked in told.items():
        assert min(one.idf1 for one in score_tracker(name, tracked, sequences=sequences)) >= 95
    assert list(ms) == list(told)


def test_an_environment_without_the_others_is_said_with_what_to_do() -> None:
    """They are no part of this project's environment, which is what runs this test."""
    with pytest.raises(ConfigError, match=r"the other trackers failed: .*No module.*; see --help"):
        run_peers([walk(5.0)], [], sure_score=0.5, python=Path(sys.executable))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A typo on the command line."""
    with pytest.raises(ConfigError, match=r"cannot run .*nowhere: No such file"):
        run_peers([walk(5.0)], [], sure_score=0.5, python=tmp_path / "nowhere")


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    """Nothing to score; and true tracks need their video."""
    detector = open_detector(DetectorSettings())
    with open_engine(ROOT / "edge_runtime/models/osnet_x0_25.onnx") as engine:
        with pytest.raises(ConfigError, match=r"expected clips .* NAME\.webm beside NAME\.gt\.txt; found none"):
            read_clips(tmp_path, detector=detector, engine=engine)
        (tmp_path / "a.gt.txt").write_text("1,1,0,0,10,10\n")
        with pytest.raises(ConfigError, match=r"expected a video a\.webm"):
            read_clips(tmp_path, detector=detector, engine=engine)
        (tmp_path / "a.mp4").write_bytes(b"no video")
        with pytest.raises(ConfigError, match=r"cannot decode .*a\.mp4"):
            read_clips(tmp_path, detector=detector, engine=engine)


def test_the_table_shows_other_trackers_with_their_better_settings() -> None:
    """Of two lines of one tracker the reader needs the stronger one."""
    scores = [
        {"tracker": name, "clip": "street", "rate": 5.0, "hota": hota, "idf1": 50.0}
        for name, hota in (("ours, a", 40.0), ("ours, b", 41.0), ("Sort", 30.0), ("Sort, tuned", 35.0))
    ]
    timings = [{"tracker": one["tracker"], "boxes": 20, "cpu_ms": 1.0, "times_ours": 1.0} for one in scores]
    table = tracking_table({"scores": scores, "timings": timings})
    assert table.splitlines()[2:] == [
        "| ours, a | street | 40.0 / 50.0 | 1.0 |",
        "| ours, b | street | 41.0 / 50.0 | 1.0 |",
        "| Sort, tuned | street | 35.0 / 50.0 | 1.0 |",
    ]


@pytest.mark.shared_data
def test_the_record_says_what_our_tracker_does(shared_data: Path, tmp_path: Path) -> None:
    """On the shorter clip; within 0.5, because other versions of ONNX Runtime round boxes differently."""
    for name in ("TUD-Campus.webm", "TUD-Campus.gt.txt"):
        (tmp_path / name).symlink_to(shared_data / "tud" / name)
    detector = open_detector(DetectorSettings(shared_data / "yolox_nano.onnx"))
    with open_engine(ROOT / "edge_runtime/models/osnet_x0_25.onnx") as engine:
        [street] = read_clips(tmp_path, detector=detector, engine=engine)
        sequences = [one for rate in (25.0, 5.0) for one in as_sequences(street, rate)]
        told, _ = run_ours(sequences, [], engine=engine, sure_score=detector.sure_score)
    expected = {
        (one["tracker"], one["rate"]): one["hota"]
        for one in read_record(RECORD)["scores"]
        if one["clip"] == street.name
    }
    for name, tracked in told.items():
        for one in score_tracker(name, tracked, sequences=sequences):
            assert one.hota == pytest.approx(expected[name, one.rate], abs=0.5)
