"""Collect unlabelled people of a place: a site set, for INT8 calibration, acceptance and thresholds, without a label.

Its crops are personal data. They are kept on this device, readable by you alone, and deleted when they are too old:
whenever this or the daemon starts, and every hour while it runs.
"""

import argparse
import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge_runtime.camera.catalog import is_plain_path, known_forms, parse_address
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, raise_terminated, run, shipped_model
from edge_runtime.engine.catalog import EngineSettings
from edge_runtime.people.catalog import DetectorSettings
from edge_runtime.streams.site_keeper import CollectSettings, SiteKeeper, erase_site_set
from edge_runtime.upkeep.collecting import CollectingParts, collect_people

_EXAMPLES = """\
examples:
  python calibration/collect_site.py rtsp://10.0.0.7/stream1 --minutes 30 --output site
  python calibration/collect_site.py door=door.mp4 till=till.mp4 --cameras-apart --output site
  python calibration/collect_site.py --erase --output site       delete all of it
The daemon collects too, with `collect: {path: site}` in its configuration.
"""
_NAMED = re.compile(r"(?P<name>\w[\w.-]*)=(?P<address>.+)")
USUAL_MINUTES = 30.0


def command() -> int:
    """The installed command `reid-collect`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Collect, or erase. Returns the exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if arguments.erase:
        print(f"{arguments.output}: {erase_site_set(arguments.output)} crops are deleted, and all that was with them")
        return 0
    signal.signal(signal.SIGTERM, raise_terminated)
    settings = CollectSettings(
        path=arguments.output.absolute(),
        max_crops=arguments.max_crops,
        max_mib=arguments.max_mib,
        expire_after_h=arguments.expire_after_h,
        cameras_apart=arguments.cameras_apart,
    )
    collect_site(
        arguments.sources,
        settings=settings,
        seconds=60 * arguments.minutes,
        model=arguments.model,
        detector=arguments.detector,
    )
    return 0


def collect_site(
    sources: Sequence[str], *, settings: CollectSettings, seconds: float, model: Path, detector: Path | None = None
) -> None:
    """Collect people of some sources into a site set, and say what it holds, and for how long.

    sources: addresses, or `NAME=ADDRESS`. model: a network that helps to follow people. detector: None for HOG.

    Raises:
        ReidError: a source, the folder or a network cannot be used; see `collect_people`.
    """
    cameras = name_sources(sources)
    parts = CollectingParts(DetectorSettings(model=detector), EngineSettings(model), os.cpu_count() or 1)
    opened = [CameraSource(address, camera_id=name, paced=False) for name, address in cameras.items()]
    with SiteKeeper(settings) as keeper:
        before = keeper.counts
        if before.crops:
            print(f"{settings.path} has {before} already; this goes on")
        names = ", ".join(cameras)
        print(f"collecting people of {names} until {seconds / 60:g} min of it were seen; Ctrl-C ends it earlier")
        try:
            collect_people(opened, keeper=keeper, parts=parts, seconds=seconds, progress=partial(_show_counts, keeper))
        finally:
            print(
                f"{settings.path}: {keeper.counts} of {names}\n"
                f"these pictures of people are personal data: only you can read them, they are deleted after "
                f"{settings.expire_after_h:g} h, and `--erase` deletes all of them now"
            )


def _show_counts(keeper: SiteKeeper) -> None:
    """Show on a terminal what was collected so far; in a log the last line is enough."""
    if sys.stderr.isatty():
        print(f"\r{keeper.counts}", end="\r", file=sys.stderr, flush=True)


def name_sources(sources: Sequence[str]) -> dict[str, str]:
    """Addresses by the name of the camera: the one that is given, or a clip's file name, or `camera` and a number.

    Raises:
        ConfigError: two sources have one name.
        StreamError: an address has none of the known forms.
    """
    named: list[tuple[str, str]] = []
    for number, source in enumerate(sources, start=1):
        match = _NAMED.fullmatch(source)
        address = match["address"] if match else source
        parse_address(address)
        usual = Path(address).stem if is_plain_path(address) else f"camera{number}"
        named.append((match["name"] if match else usual, address))
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise ConfigError(f"expected a name of its own for each camera, found {twice[0]} twice; write NAME=SOURCE")
    return dict(named)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="CLIP --output site",
        next_step="python export/build_engine.py --int8 --calibration site --data site",
        examples=_EXAMPLES,
    )
    usual = {name: field.default for name, field in CollectSettings.__dataclass_fields__.items()}
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"{known_forms()}; NAME=SOURCE names the camera")
    parser.add_argument("--output", type=Path, required=True, help="folder of the site set; one that is there goes on")
    parser.add_argument("--minutes", type=float, default=USUAL_MINUTES, help="how long (default: %(default)g)")
    parser.add_argument("--max-crops", type=int, default=usual["max_crops"], help="default: %(default)s")
    parser.add_argument("--max-mib", type=float, default=usual["max_mib"], help="default: %(default)g")
    parser.add_argument(
        "--expire-after-h", type=float, default=usual["expire_after_h"], help="hours (default: %(default)g)"
    )
    parser.add_argument(
        "--cameras-apart", action="store_true", help="no two of the cameras see the same place: they tell more then"
    )
    parser.add_argument(
        "--model", type=Path, default=Path(shipped_model()), help="helps to follow people (default: %(default)s)"
    )
    parser.add_argument("--detector", type=Path, help="detection network; without one OpenCV's HOG, which misses many")
    parser.add_argument("--erase", action="store_true", help="delete the site set instead")
    arguments = parser.parse_args(argv)
    if not arguments.erase and not arguments.sources:
        parser.error("expected a SOURCE to collect from, or --erase")
    if min(arguments.minutes, arguments.max_mib, arguments.expire_after_h) <= 0 or arguments.max_crops < 10:
        parser.error("expected --minutes, --max-mib and --expire-after-h above 0, and --max-crops of 10 or more")
    return arguments


if __name__ == "__main__":
    sys.exit(command())
