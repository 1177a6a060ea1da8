"""Asks a running daemon how it is, and prints what its status page shows."""

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.script import ScriptParser

_TIMEOUT_S = 5.0
_COLUMNS = ("camera", "state", "since", "looks/s", "people", "last message", "why")
Json = Mapping[str, Any]


def main(argv: list[str]) -> int:
    """Print the status. Returns 0 if the node is ready, else 1."""
    parser = ScriptParser(
        prog="reid-edge status",
        purpose=__doc__,
        shortest="http://127.0.0.1:9464",
        next_step="the same as a page: open that address in a browser",
        examples="example: reid-edge status http://127.0.0.1:9464 --json",
    )
    parser.add_argument("address", help="host and port of `health:` in the daemon's configuration")
    parser.add_argument("--json", action="store_true", help="print the daemon's JSON as it is")
    arguments = parser.parse_args(argv)
    report = read_status(arguments.address)
    print(json.dumps(report, indent=2) if arguments.json else "\n".join(describe(report)))
    return 0 if report["is_ready"] else 1


def read_status(address: str) -> Json:
    """What a daemon says at /status. address: with or without `http://`.

    Raises:
        StreamError: nobody answers there, or not as a daemon does.
    """
    base = address if address.startswith(("http://", "https://")) else f"http://{address}"
    try:
        with urllib.request.urlopen(f"{base.rstrip('/')}/status", timeout=_TIMEOUT_S) as answer:
            report = json.loads(answer.read())
    except (OSError, ValueError) as error:
        raise StreamError(
            f"expected a running daemon at {base}, found: {error}; is it started, and is `health:` at that port?"
        ) from error
    if not isinstance(report, dict) or "is_ready" not in report:
        raise StreamError(f"expected a daemon's status at {base}, found something else; give its `health:` address")
    return report


def describe(report: Json) -> Iterator[str]:
    """The status in lines of text."""
    verdict = "ready" if report["is_ready"] else "NOT READY"
    yield f"{report['site']}/{report['node']}: {verdict}, version {report['version']}, up {span(report['uptime_s'])}"
    yield from (f"  fault: {fault}" for fault in report["faults"])
    yield from _table([_COLUMNS, *map(_camera_row, report["cameras"])])
    model, broker, spool, clock = report["model"], report["broker"], report["spool"], report["clock"]
    yield f"model: {model['model']}, {model['precision']}, on {model['backend']}, space {model['space']}"
    state = "connected" if broker["is_connected"] else f"not connected ({broker['fault'] or 'connecting'})"
    yield f"broker: {broker['address']} {state}, {broker['delivered']} messages delivered"
    lasts = "" if spool["lasts_h"] is None else f", lasts {spool['lasts_h']:.1f} h without a broker"
    yield f"spool: {spool['waiting']} waiting, {sum(spool['given_up'].values())} given up{lasts}"
    synchronised = {True: "synchronised", False: "NOT synchronised", None: "nobody can tell"}[clock["is_synchronised"]]
    error_s = clock["uncertainty_s"]
    yield f"clock: {synchronised}" + ("" if error_s is None else f", right to {1000 * error_s:.0f} ms")


def span(seconds: float | None) -> str:
    """A time in its largest fitting unit."""
    if seconds is None:
        return "none yet"
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} s"


def _camera_row(camera: Json) -> tuple[str, ...]:
    looks = f"{camera['looks_got_per_s']:.1f} of {camera['looks_wanted_per_s']:.1f}"
    said, told = span(camera["since_s"]), span(camera["last_message_s"])
    return camera["id"], camera["state"], said, looks, str(camera["people"]), told, camera["fault"] or ""


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
