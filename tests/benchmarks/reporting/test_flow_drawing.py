"""The drawing of the flow on the project's first page."""

from xml.etree import ElementTree

from benchmarks.reporting.flow_drawing import BOXES, FLOW, draw_flow
from tests.conftest import ROOT


def test_the_committed_drawing_is_what_the_script_writes() -> None:
    """Nobody edits it by hand; `python benchmarks/reporting/flow_drawing.py` makes it anew."""
    assert FLOW == ROOT / "flow.svg"
    assert FLOW.read_text() == draw_flow()


def test_the_drawing_needs_nothing_from_elsewhere() -> None:
    """No script, no picture, no style sheet: pages that show documents forbid them."""
    tags = {element.tag.partition("}")[2] for element in ElementTree.fromstring(draw_flow()).iter()}
    assert tags == {"svg", "title", "defs", "marker", "path", "rect", "line", "text"}
    assert "href" not in draw_flow()


def test_every_box_is_drawn_with_its_title() -> None:
    """And no two boxes lie on each other."""
    texts = [element.text for element in ElementTree.fromstring(draw_flow()).iter()]
    assert all(box.title in texts and box.detail in texts for box in BOXES)
    assert len({(box.left, box.top) for box in BOXES}) == len(BOXES)
