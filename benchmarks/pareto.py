"""Write one page on which a buyer sees latency and accuracy of every measured engine, and which one fits a budget."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.latency_record import parse_results
from benchmarks.measuring.records import RECORDS, read_record, record_folder
from benchmarks.reporting.pareto_front import (
    Advice,
    Budget,
    EngineOption,
    advise,
    find_front,
    list_options,
    require_one_device,
)
from benchmarks.reporting.pareto_page import PageOrigin, render_page
from benchmarks.reporting.pareto_picture import draw_picture
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run

_ACCURACY = "accuracy_cuhk03_np_detected.json"
_EXAMPLES = """\
examples:
  python benchmarks/pareto.py --budget-ms 5
  python benchmarks/pareto.py --people 20 --fps 10 --latency latency_grid.json --accuracy accuracy.json --output page
"""


def main(argv: list[str] | None = None) -> int:
    """Write page and picture, print the recommendations. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    budgets = _budgets(arguments)
    here = record_folder()
    records = {path: read_record(path) for path in arguments.latency or sorted(here.glob("latency_*.json"))}
    accuracy_file = arguments.accuracy or _accuracy_file(here)
    accuracy = read_record(accuracy_file) if arguments.accuracy or accuracy_file.exists() else None
    cases = [case for path, record in sorted(records.items(), key=_age) for case in parse_results(record, source=path)]
    device = require_one_device(records)
    options = _options(cases, accuracy, source=accuracy_file)
    advice = [advise(options, budget) for budget in budgets]
    output = arguments.output or here
    picture, html = output / "pareto.png", output / "pareto.html"
    origin = _origin(device, records, accuracy=accuracy)
    try:
        output.mkdir(parents=True, exist_ok=True)
        draw_picture(options, advice, path=picture, device=device, data_set=origin.data_set)
        html.write_text(render_page(options, advice, picture=picture, origin=origin))
    except OSError as error:
        raise ConfigError(f"cannot write in {output}: {error.strerror}; give another --output") from error
    print(_report(options, advice))
    print(f"{html}, {picture}")
    return 0


def _budgets(arguments: argparse.Namespace) -> list[Budget]:
    """The budgets that were asked for; each gets its own answer."""
    if (arguments.people is None) != (arguments.fps is None):
        raise ConfigError("--people and --fps belong together: how many people in each of how many frames per second")
    values = (arguments.budget_ms, arguments.people, arguments.fps)
    if any(value is not None and not value > 0 for value in values):
        raise ConfigError("--budget-ms, --people and --fps must be above 0")
    found = []
    if arguments.budget_ms is not None:
        found.append(Budget(ms=arguments.budget_ms))
    if arguments.people is not None:
        found.append(Budget(people=arguments.people, fps=arguments.fps))
    return found or [Budget(ms=5), Budget(people=20, fps=10)]


def _accuracy_file(here: Path) -> Path:
    """This machine's accuracy record, else another's: scores hardly depend on the machine."""
    places = [here / _ACCURACY, *sorted(RECORDS.glob(f"*/{_ACCURACY}"))]
    return next((path for path in places if path.exists()), places[0])


def _age(item: tuple[Path, Mapping[str, Any]]) -> str:
    return str(item[1].get("created", ""))


def _options(cases: Sequence[Any], accuracy: Mapping[str, Any] | None, *, source: Path) -> list[EngineOption]:
    try:
        options = list_options(cases, accuracy)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{source} is no record of benchmarks/accuracy.py: {error} is missing or wrong") from error
    if not options:
        raise ConfigError("the latency records hold no engine timed with one image; run benchmarks/latency.py --grid")
    return options


def _origin(
    device: str, records: Mapping[Path, Mapping[str, Any]], *, accuracy: Mapping[str, Any] | None
) -> PageOrigin:
    created = [f"{path.name} of {record['created']}" for path, record in sorted(records.items(), key=_age)]
    if accuracy is None:
        return PageOrigin(device, None, None, None, (), tuple(created))
    return PageOrigin(
        device=device,
        data_set=accuracy["data_set"],
        protocol=accuracy["protocol"],
        images=f"{accuracy['queries']} searches in {accuracy['gallery']} images",
        trained_on=tuple(sorted({one["trained_on"] for one in accuracy["engines"]})),
        created=(*created, f"accuracy of {accuracy['created']}"),
    )


def _report(options: Sequence[EngineOption], advice: Sequence[Advice]) -> str:
    lines = [f"{len(options)} engines, {sum(option.known == 'measured' for option in options)} with an accuracy"]
    lines += [
        f"front: {one.title}: {one.median_ms:.2f} ms, mAP {100 * one.mean_ap:.1f} %" for one in find_front(options)
    ]
    lines += [f"for {one.budget}: {one.reason}" for one in advice]
    return "\n".join(lines)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--budget-ms 5",
        next_step="open pareto.html in a browser",
        examples=_EXAMPLES,
    )
    parser.add_argument("--budget-ms", type=float, metavar="MS", help="one image at a time takes at most this long")
    parser.add_argument("--people", type=int, help="people in a frame, with --fps")
    parser.add_argument("--fps", type=float, help="frames per second in which all of them are described")
    parser.add_argument(
        "--latency",
        type=Path,
        nargs="+",
        help="latency records of one device (default: all of this machine, benchmarks/records/MACHINE)",
    )
    parser.add_argument(
        "--accuracy", type=Path, help="accuracy record (default: that of CUHK03, of this machine if there is one)"
    )
    parser.add_argument("--output", type=Path, help="folder (default: benchmarks/records/MACHINE)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
