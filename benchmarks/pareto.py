"""One page for who decides: latency and accuracy of every engine that was measured, and which one fits a budget."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.latency_record import cases_of
from benchmarks.measuring.records import RECORDS, read_record, record_folder
from benchmarks.reporting.pareto_front import Advice, Budget, Choice, advise, choices_of, front_of, one_device
from benchmarks.reporting.pareto_page import Origin, page
from benchmarks.reporting.pareto_picture import draw
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import run

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
    cases = [case for path, record in sorted(records.items(), key=_age) for case in cases_of(record, source=path)]
    device = one_device(records)
    choices = _choices(cases, accuracy, source=accuracy_file)
    advice = [advise(choices, budget) for budget in budgets]
    output = arguments.output or here
    picture, html = output / "pareto.png", output / "pareto.html"
    origin = _origin(device, records, accuracy)
    try:
        output.mkdir(parents=True, exist_ok=True)
        draw(choices, advice, picture, device=device, data_set=origin.data_set)
        html.write_text(page(choices, advice, picture=picture, origin=origin))
    except OSError as error:
        raise ConfigError(f"cannot write in {output}: {error.strerror}; give another --output") from error
    print(_report(choices, advice))
    print(f"{html}, {picture}")
    return 0


def _budgets(arguments: argparse.Namespace) -> list[Budget]:
    """Those asked for, each by itself, so that each has its own answer."""
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


def _choices(cases: Sequence[Any], accuracy: Mapping[str, Any] | None, *, source: Path) -> list[Choice]:
    try:
        choices = choices_of(cases, accuracy)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{source} is no record of benchmarks/accuracy.py: {error} is missing or wrong") from error
    if not choices:
        raise ConfigError("the latency records hold no engine timed with one image; run benchmarks/latency.py --grid")
    return choices


def _origin(device: str, records: Mapping[Path, Mapping[str, Any]], accuracy: Mapping[str, Any] | None) -> Origin:
    created = [f"{path.name} of {record['created']}" for path, record in sorted(records.items(), key=_age)]
    if accuracy is None:
        return Origin(device, None, None, None, (), tuple(created))
    return Origin(
        device=device,
        data_set=accuracy["data_set"],
        protocol=accuracy["protocol"],
        images=f"{accuracy['queries']} searches in {accuracy['gallery']} images",
        trained_on=tuple(sorted({one["trained_on"] for one in accuracy["engines"]})),
        created=(*created, f"accuracy of {accuracy['created']}"),
    )


def _report(choices: Sequence[Choice], advice: Sequence[Advice]) -> str:
    lines = [f"{len(choices)} engines, {sum(choice.known == 'measured' for choice in choices)} with an accuracy"]
    lines += [f"front: {one.title}: {one.median_ms:.2f} ms, mAP {100 * one.mean_ap:.1f} %" for one in front_of(choices)]
    lines += [f"for {one.budget}: {one.reason}" for one in advice]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
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
