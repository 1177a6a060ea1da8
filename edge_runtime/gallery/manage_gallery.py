"""Look into the store of a gallery, erase from it and prove it, move it, and bridge it to the space of a new model."""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from edge_runtime.contract.errors import GalleryError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.gallery import erasure
from edge_runtime.gallery.bridge import BridgeManifest, Bridges, bridge_path, read_bridges, write_bridge
from edge_runtime.gallery.bridge_fitting import LEAST_KEPT, BridgeLimits, fit_bridge
from edge_runtime.gallery.descriptor_store import Camera, Store, StoredDay, Where
from edge_runtime.gallery.migration import migrate
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.gallery.space_pairs import read_pairs
from edge_runtime.gallery.sqlite_store import SqliteStore

_PROVED_VECTORS = 1_000
_SCHEME = "postgresql://"


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 1 where something erased was found again, or the log was changed."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def open_gallery_store(place: str) -> Store:
    """Open the store at a folder or a `postgresql://` address.

    Raises:
        GalleryError: it cannot be opened, or psycopg is not installed.
    """
    if not place.startswith(_SCHEME):
        return SqliteStore(Path(place))
    try:
        from edge_runtime.gallery.postgres_store import PostgresStore
    except ImportError as error:
        raise GalleryError(
            f"a gallery in PostgreSQL needs psycopg: pip install 'reid-edge[postgres]' ({error})"
        ) from error
    return PostgresStore(place)


def _list(arguments: argparse.Namespace) -> int:
    store = open_gallery_store(arguments.store)
    for part in store.days():
        print(
            f"{part.space}  {part.day}  {store.digest(part.where()).rows:>10} rows  {part.stored_bytes / 1e6:>9.1f} MB"
        )
    store.close()
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    where = Where(
        space=arguments.space,
        since_ns=arguments.since,
        until_ns=arguments.until,
        cameras=arguments.camera and tuple(arguments.camera),
        tracks=arguments.track and tuple(arguments.track),
        person=arguments.person,
    )
    store = open_gallery_store(arguments.store)
    vectors = [row.vector for row in islice(store.rows(where), _PROVED_VECTORS)] if arguments.prove else []
    receipt = erasure.erase(store, where, log=erasure.AuditLog(arguments.log))
    store.close()
    _erase_sightings(arguments.store, where)
    print(json.dumps(asdict(receipt), indent=2))
    if not arguments.prove:
        return 0
    remains = erasure.find_remains(arguments.prove, vectors)
    for one in remains:
        print(f"{one.path}: byte {one.offset} is of an erased vector", file=sys.stderr)
    print(f"searched for {len(vectors)} of {receipt.rows} erased vectors: {len(remains)} pieces found")
    return 1 if remains else 0


def _expire(arguments: argparse.Namespace) -> int:
    store = open_gallery_store(arguments.store)
    now_ns = time.time_ns()
    receipt = erasure.expire(store, now_ns=now_ns, log=erasure.AuditLog(arguments.log))
    store.close()
    _erase_sightings(arguments.store, Where(expired_by_ns=now_ns))
    _drop_expired_bridges(Path(arguments.store))
    print(json.dumps(asdict(receipt), indent=2) if receipt else "nothing has expired")
    return 0


def _erase_sightings(place: str, where: Where) -> None:
    """Erase who was where as well; the gallery's server keeps it beside the descriptors of a folder."""
    path = Path(place, "people.sqlite")
    if path.is_file():
        sightings = Sightings(path)
        sightings.erase(where)
        sightings.close()


def _check_log(arguments: argparse.Namespace) -> int:
    wrong = erasure.AuditLog(arguments.log).check()
    print(f"changed, or lines before it are missing: {', '.join(map(str, wrong))}" if wrong else "the log is whole")
    return 1 if wrong else 0


def _migrate(arguments: argparse.Namespace) -> int:
    source, target = open_gallery_store(arguments.store), open_gallery_store(arguments.target)
    added = migrate(source, target, progress=_show)
    source.close()
    target.close()
    print(f"{added} rows added; both stores hold the same rows")
    return 0


def _show(part: StoredDay, rows: int) -> None:
    print(f"{part.space}  {part.day}  {rows:>10} rows read", file=sys.stderr)


def _bridge(arguments: argparse.Namespace) -> int:
    folder = arguments.folder or Path(arguments.store)
    if not folder.is_dir():
        raise GalleryError(f"expected the gallery's folder, in which bridges are kept, found {folder}: --folder")
    limits = BridgeLimits(arguments.least_kept, keep_s=86_400.0 * arguments.days)
    store = open_gallery_store(arguments.store)
    try:
        pairs = read_pairs(store, arguments.from_space, to_space=arguments.to_space)
    finally:
        store.close()
    bridge = fit_bridge(pairs, limits, now_ns=time.time_ns())
    ends = (arguments.from_space, arguments.to_space)
    Bridges([*(one for one in read_bridges(folder) if one.manifest.ends != ends), bridge])
    path = write_bridge(folder, bridge)
    print(f"{_told(bridge.manifest)}\naccepted: {path}; the gallery uses it from its next start on")
    return 0


def _bridges(arguments: argparse.Namespace) -> int:
    for one in read_bridges(arguments.folder):
        print(_told(one.manifest))
    return 0


def _drop_bridge(arguments: argparse.Namespace) -> int:
    path = bridge_path(arguments.folder, arguments.from_space, to_space=arguments.to_space)
    if not path.is_file():
        raise GalleryError(f"there is no bridge {path}; `manage_gallery.py bridges {arguments.folder}` lists them")
    path.unlink()
    print(f"deleted {path}; the gallery does without it from its next start on")
    return 0


def _told(one: BridgeManifest) -> str:
    shares = [
        f"{name} {100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
        for name, score in (
            ("old", one.found.before),
            ("new", one.found.native),
            ("bridged", one.found.after),
            ("kept", one.found.kept),
        )
    ]
    end = datetime.fromtimestamp(one.expires_ns / 1e9, tz=timezone.utc)
    state = "expired" if one.expires_ns <= time.time_ns() else "holds until"
    return (
        f"{one.from_space} -> {one.to_space}  {one.pairs} pairs of {one.tracks} tracks, found again (mAP): "
        f"{', '.join(shares)}; {state} {end:%Y-%m-%d %H:%M} UTC"
    )


def _drop_expired_bridges(folder: Path) -> None:
    for one in read_bridges(folder):
        if one.manifest.expires_ns <= time.time_ns():
            path = bridge_path(folder, one.manifest.from_space, to_space=one.manifest.to_space)
            path.unlink()
            print(f"deleted {path}, which has expired")


def _camera(text: str) -> Camera:
    names = text.split("/")
    if len(names) != 3 or not all(names):
        raise argparse.ArgumentTypeError(f"expected SITE/NODE/CAMERA, found {text!r}")
    return Camera(*names)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a time such as 2026-11-27T14:00+00:00: {error}") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"expected a time with its zone, such as {text}+00:00")
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1_000


def _share(text: str) -> float:
    return _between(text, low=0.0, high=1.0)


def _days(text: str) -> float:
    return _between(text, low=0.01, high=3660.0)


def _between(text: str, *, low: float, high: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, found {text!r}")
    return number


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="list gallery",
        next_step="edge_runtime/gallery/README.md",
        examples=(
            "examples:\n"
            "  manage_gallery.py list gallery\n"
            "  manage_gallery.py erase gallery --person p-17 --prove gallery\n"
            "  manage_gallery.py migrate gallery postgresql://gallery@db/gallery\n"
            "  manage_gallery.py bridge gallery --from 5b8c6869e126169e --to ea65f70d7b6579ac"
        ),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=argparse.ArgumentParser)
    _add(commands.add_parser("list", help="spaces and days, rows and size"), _list)
    erase = _add(commands.add_parser("erase", help="erase rows and print the receipt"), _erase)
    erase.add_argument("--space", help="only of this space")
    erase.add_argument("--since", type=_moment, help="captured at or after, such as 2026-11-27T14:00+00:00")
    erase.add_argument("--until", type=_moment, help="captured before")
    erase.add_argument("--camera", type=_camera, action="append", metavar="SITE/NODE/CAMERA", help="may be repeated")
    erase.add_argument("--track", action="append", help="may be repeated")
    erase.add_argument("--person")
    erase.add_argument(
        "--prove", type=Path, nargs="+", metavar="FOLDER", help="search all files in these folders for what was erased"
    )
    expire = _add(commands.add_parser("expire", help="erase what is past its time"), _expire)
    for one in (erase, expire):
        one.add_argument("--log", type=Path, default=Path("erasures.jsonl"), help="receipts (default: %(default)s)")
    check = commands.add_parser("check-log", help="say whether a log of receipts was changed")
    check.add_argument("log", type=Path)
    check.set_defaults(command=_check_log)
    move = _add(
        commands.add_parser("migrate", help="copy everything to another store; can be stopped and repeated"), _migrate
    )
    move.add_argument("target", help=f"folder or {_SCHEME} address")
    _add_bridge_commands(commands)
    return parser


def _add_bridge_commands(commands: Any) -> None:
    fit = _add(commands.add_parser("bridge", help="learn how to carry descriptors of one space into another"), _bridge)
    listed = commands.add_parser("bridges", help="list bridges with what they keep and until when they hold")
    drop = commands.add_parser("drop-bridge", help="delete a bridge")
    for one, command in ((listed, _bridges), (drop, _drop_bridge)):
        one.add_argument("folder", type=Path, help="the gallery's folder")
        one.set_defaults(command=command)
    for one in (fit, drop):
        one.add_argument("--from", dest="from_space", required=True, metavar="SPACE", help="of the old model")
        one.add_argument("--to", dest="to_space", required=True, metavar="SPACE", help="of the new model")
    fit.add_argument("--folder", type=Path, help="the gallery's folder (default: the store, if it is a folder)")
    fit.add_argument(
        "--least-kept",
        type=_share,
        default=LEAST_KEPT,
        help="least share of what the new model finds, by the lower end of its interval (default: %(default)s)",
    )
    fit.add_argument("--days", type=_days, default=30.0, help="how long it holds (default: %(default)g)")


def _add(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser.add_argument("store", help=f"folder or {_SCHEME} address")
    parser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
