"""The Pareto page as one HTML file, which needs no other file; a short script sorts its table."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.reporting.pareto_front import Advice, EngineOption, find_front
from benchmarks.reporting.text import network_title

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; margin: 0 auto; padding: 2rem 1.25rem;
  max-width: 80rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p { max-width: 46rem; margin: .4rem 0; }
.note { color: #4b5563; font-size: .9rem; }
.advice { border-left: 4px solid #b91c1c; background: #fef2f2; padding: .6rem 1rem; margin: .7rem 0; }
.advice b { display: block; }
img { max-width: 100%; height: auto; border: 1px solid #e5e7eb; border-radius: 6px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; white-space: nowrap; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e5e7eb; text-align: right; }
th:nth-child(-n+4), td:nth-child(-n+4) { text-align: left; }
thead th { background: #f3f4f6; vertical-align: bottom; white-space: normal; }
th button { font: inherit; font-weight: 600; text-align: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; color: inherit; }
th button:hover { text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
.paper { background: #f9fafb; color: #4b5563; }
.front td:first-child { font-weight: 700; }
.chosen { background: #fef2f2; }
.none { color: #9ca3af; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem; max-width: 46rem; }
"""

_SCRIPT = """
document.querySelectorAll("th button").forEach(button => button.addEventListener("click", () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0];
  const column = head.cellIndex, rising = head.getAttribute("aria-sort") !== "ascending";
  head.parentElement.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = row => row.cells[column].dataset.value;
  const compare = (one, other) => one - other || String(one).localeCompare(String(other));
  const known = row => value(row) !== "";
  [...body.rows].sort((one, other) => known(other) - known(one) ||
    (rising ? 1 : -1) * compare(value(one), value(other))).forEach(row => body.append(row));
}));
"""

_WORDS = {
    "median, 95th percentile": "half of all calls take no longer than the median; of a hundred calls five take longer "
    "than the 95th percentile. A system that must keep up is planned with the latter.",
    "mAP": "mean average precision: how far up the right images stand when a gallery is searched for a person; 100 % "
    "means that all of them come first. In brackets the interval in which it lies with 95 % certainty, given the "
    "number of searches.",
    "rank-1": "share of searches whose nearest image shows the right person.",
    "fp32, fp16, bf16, int8": "how many bits the network computes with: 32, 16 or 8. Fewer can be faster and may cost "
    "accuracy.",
    "front": "engines for which there is none that is both faster and more accurate. Only these are worth choosing; "
    "their names are bold.",
    "not trained": "the engine was timed with random weights, because speed does not depend on them; nobody has "
    "trained this network at this size yet.",
    "not measured": "there are trained weights, but this engine was not scored.",
}


@dataclass(frozen=True)
class PageOrigin:
    """Where and when the page's figures were measured."""

    device: str
    data_set: str | None
    protocol: str | None
    images: str | None
    trained_on: tuple[str, ...]
    created: tuple[str, ...]


def render_page(options: Sequence[EngineOption], advice: Sequence[Advice], *, picture: Path, origin: PageOrigin) -> str:
    """The whole page."""
    image = base64.b64encode(picture.read_bytes()).decode()
    words = "".join(f"<dt>{escape(word)}</dt><dd>{escape(meaning)}</dd>" for word, meaning in _WORDS.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Which model, at which size and precision?</title><style>{_STYLE}</style></head><body>
<h1>Which model, at which size and precision?</h1>
<p>A network turns the picture of a person into a descriptor, by which that person is found again. A larger network on
larger pictures finds more people and takes longer. This page shows what each choice costs on one machine:
<b>{escape(origin.device)}</b>, one thread.</p>
{_advice(advice)}
<h2>Latency and accuracy</h2>
<img alt="Latency across, accuracy up; the table below holds the same figures" src="data:image/png;base64,{image}">
<h2>Every engine that was measured</h2>
<p class="note">Click on a heading to sort. Where the intervals of two engines overlap,
their order may be chance. {_accuracy_note(origin)}</p>
<div class="scroll"><table><thead><tr>{_heads(options)}</tr></thead>
<tbody>
{_rows(options, advice)}
</tbody></table></div>
<p class="note">Grey columns: what the paper reports (Zhou et al., ICCV 2019, table 6), on Market-1501 with weights
pretrained on ImageNet. It is another data set and another training: compare the paper's rows with each other, not with
ours.</p>
<h2>Words</h2><dl>{words}</dl>
<p class="note">Records: {escape(", ".join(origin.created))}. Made by benchmarks/pareto.py.</p>
<script>{_SCRIPT}</script></body></html>
"""


def _advice(advice: Sequence[Advice]) -> str:
    boxes = [
        f'<div class="advice"><b>{"Recommended" if one.option else "No recommendation"} for {escape(str(one.budget))}'
        f"</b>{escape(one.reason)}</div>"
        for one in advice
    ]
    return "\n".join(boxes)


def _accuracy_note(origin: PageOrigin) -> str:
    if origin.data_set is None:
        return "Accuracy: not measured yet."
    training = f" Weights trained on {'; '.join(origin.trained_on)}." if origin.trained_on else ""
    return escape(f"Accuracy on {origin.data_set} ({origin.images}; {origin.protocol}).{training}")


def _heads(options: Sequence[EngineOption]) -> str:
    names = ["network", "input", "precision", "runs on", "ms for one: median", "ms for one: 95th percentile"]
    names += [f"ms each in a batch of {batch}" for batch in _batches(options)]
    names += ["times as fast as PyTorch", "memory MiB", "mAP %", "rank-1 %"]
    ours = "".join(f'<th scope="col"><button>{escape(name)}</button></th>' for name in names)
    paper = ("paper: mAP %", "paper: rank-1 %")
    return ours + "".join(f'<th scope="col" class="paper"><button>{name}</button></th>' for name in paper)


def _batches(options: Sequence[EngineOption]) -> list[int]:
    return sorted({batch for option in options for batch in option.each_ms if batch > 1})


def _rows(options: Sequence[EngineOption], advice: Sequence[Advice]) -> str:
    front, batches = find_front(options), _batches(options)
    chosen = [one.option for one in advice]
    return "\n".join(
        f'<tr class="{"front " * (option in front)}{"chosen" * (option in chosen)}">{_cells(option, batches)}</tr>'
        for option in sorted(options, key=lambda one: one.accuracy is None)  # those with a figure first
    )


def _cells(option: EngineOption, batches: Sequence[int]) -> str:
    height, width = option.input
    cells = [
        _cell(network_title(option.architecture)),
        _cell(f"{height}x{width}", value=height * width),
        _cell(option.precision),
        _cell(option.backend),
        _number(option.median_ms, 2),
        _number(option.p95_ms, 2),
        *(_number(option.each_ms.get(batch), 2) for batch in batches),
        _number(option.times_eager, 1),
        _number(option.resident_mib, 0),
    ]
    if option.accuracy:
        for score in (option.accuracy.mean_ap, option.accuracy.rank1):
            interval = f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"
            cells.append(_cell(interval, value=score.value))
    else:
        cells += [f'<td class="none" data-value="">{option.known}</td>'] * 2
    printed = (option.printed.mean_ap, option.printed.rank1) if option.printed else (None, None)
    return "".join(cells) + "".join(_number(None if p is None else 100 * p, 1, kind="paper") for p in printed)


def _cell(text: str, *, value: object = None) -> str:
    return f'<td data-value="{escape(str(text if value is None else value))}">{escape(text)}</td>'


def _number(value: float | None, digits: int, *, kind: str = "") -> str:
    if value is None:
        return f'<td class="none {kind}" data-value="">-</td>'
    return f'<td class="{kind}" data-value="{value}">{value:.{digits}f}</td>'
