"""Measure a site set with a network: from which cosine on two are one person here, and what moved since last time."""

import argparse
import logging
import os
import sys
from pathlib import Path

from calibration.site_figures import SiteFigures, find_moved, measure_figures, read_site_figures, write_site_figures
from calibration.site_pairs import describe_site
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from edge_runtime.engine.catalog import open_engine

_EXAMPLES = """\
examples:
  python calibration/measure_site.py site --model engine.onnx --output june.json
  python calibration/measure_site.py site --model engine.onnx --output july.json --before june.json
"""


def command() -> int:
    """The installed command `reid-site`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Print limits and drift, and write the figures. Returns the exit code: 3 where something moved."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    before = read_site_figures(arguments.before) if arguments.before else None
    with open_engine(arguments.model, threads=os.cpu_count() or 1) as engine:
        site = describe_site(arguments.site, engine.describe, input_=engine.manifest.input)
        figures = measure_figures(site, engine.manifest)
    moved = find_moved(before, figures) if before else []
    print(format_figures(figures))
    if arguments.output:
        write_site_figures(figures, arguments.output)
    if before:
        print("\n".join(["moved since then:", *moved]) if moved else "nothing moved since then beyond chance")
    return 3 if moved else 0


def format_figures(figures: SiteFigures) -> str:
    """A table of the limits, with what is not known."""
    lines = [
        f"{figures.model_id} in {figures.precision}: {figures.crops} crops of {figures.tracks} tracks, "
        f"{', '.join(figures.cameras)}",
        f"{'two':8}{'mean off':10}{'promised':>10}{'  really, 95 %':18}{'cosine':>8}{'  95 %':14}{'found':>8}",
    ]
    for one in figures.limits:
        really = "borrowed" if one.is_borrowed else f"{100 * one.share_low:.2g} to {100 * one.share_high:.2g} %"
        span = "" if one.is_borrowed else f"{one.cosine_low:.3f} to {one.cosine_high:.3f}"
        found = "-" if one.found is None else f"{100 * one.found:.0f} %"
        off = "yes" if one.mean_off else "no"
        lines.append(
            f"{one.compared:8}{off:10}{100 * one.share:>8g} %  {really:16}{one.cosine:>8.3f}  {span:16}{found:>4}"
        )
    if not figures.limits or any(one.is_borrowed for one in figures.limits):
        lines.append(
            "too few tracks were there at one moment, 20 pairs of 5 tracks are needed: what is borrowed comes from the "
            "network's own test images and may be far off; collect for longer, where several people are seen at once"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="site --output figures.json",
        next_step="export/README.md, on the site set",
        examples=_EXAMPLES,
    )
    parser.add_argument("site", type=Path, help="a site set of calibration/collect_site.py or of the daemon")
    parser.add_argument(
        "--model", type=Path, default=Path(shipped_model()), help="the network that runs there (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--before", type=Path, help="figures of an earlier time: say what moved since")
    return parser


if __name__ == "__main__":
    sys.exit(command())
