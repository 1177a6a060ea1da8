"""Street clips with ground truth, on which networks that never saw them look for people."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from train.datasets.samples import ReidData
from train.datasets.tracked_clip import TrackedClip, read_tracked_clips


def add_clip_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the options that name clips, what records call them, and their licence."""
    parser.add_argument(
        "--clip",
        type=Path,
        nargs=2,
        action="append",
        required=required,
        metavar=("VIDEO", "TRUTH"),
        help="a clip and its ground truth in MOTChallenge's form; may be given several times",
    )
    parser.add_argument("--clip-name", default="street", help="what the record calls the clips (default: %(default)s)")
    parser.add_argument("--clip-terms", default="terms not stated", help="licence of the clips, for the record")


@contextlib.contextmanager
def open_street(arguments: argparse.Namespace) -> Iterator[ReidData | None]:
    """The people of the clips as a data set, inside the `with` block; None where no clip is given.

    Raises:
        DataError: see `read_tracked_clips`.
    """
    clips = [TrackedClip(video, truth) for video, truth in arguments.clip or ()]
    with tempfile.TemporaryDirectory() as crops:
        yield (
            read_tracked_clips(clips, crops=Path(crops), name=arguments.clip_name, terms=arguments.clip_terms)
            if clips
            else None
        )
