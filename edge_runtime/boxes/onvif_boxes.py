"""ONVIF scene descriptions: `tt:MetadataStream` as XML, and its JSON of Profile M over MQTT (`onvif-mj`).

XML is turned into that JSON by the specification's own rules (an attribute is `@name`, a text `#text`, what comes
several times is a list, prefixes of ONVIF's names are dropped) and then read as such. Coordinates go from -1 to 1, from
the left to the right and from the bottom to the top, after the transformations of object and frame.

Source: ONVIF Analytics Service Specification (onvif/specs, doc/Analytics.xml), "Scene description", "Spatial relation"
and "ONVIF Metadata in JSON over MQTT".
"""

import json
from math import isfinite
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from edge_runtime.boxes.given_boxes import BoxMessage, GivenBox, check_size, clip_score, utc_ns
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import Box

_ONVIF = "http://www.onvif.org/"
_MOST_DEPTH = 64


def read_onvif(payload: bytes) -> list[BoxMessage]:
    """Read a scene description; one without a frame, such as an event, has no boxes.

    Raises:
        DataError: it is neither XML nor JSON, or a field is missing or wrong.
    """
    text = check_size(payload).lstrip()
    tree = _to_tree(_parse_xml(text), 0) if text.startswith((b"<", b"\xef\xbb\xbf<")) else _parse_json(text)
    if not isinstance(tree, dict):
        raise DataError("expected an object of JSON, or a MetadataStream of XML")
    scenes = _children(tree.get("MetadataStream", tree), "VideoAnalytics") or [tree]
    return [_read_frame(frame) for scene in scenes for frame in _children(scene, "Frame")]


class _NoDoctype(TreeBuilder):
    """Builds the tree; entities, which may grow without bound or read files, need a DOCTYPE first."""

    def doctype(self, *_: object) -> NoReturn:
        raise DataError("expected XML without a DOCTYPE, found one")


def _parse_xml(text: bytes) -> Element:
    try:
        parser = XMLParser(target=_NoDoctype())
        parser.feed(text)
        tree: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise DataError(f"not XML: {error}") from error
    return tree


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"neither XML nor JSON: {error}") from error


def _to_tree(element: Element, depth: int) -> Any:
    """An element as the specification's JSON has it."""
    if depth > _MOST_DEPTH:
        raise DataError(f"expected elements at most {_MOST_DEPTH} deep")
    tree: dict[str, Any] = {f"@{name}": value for name, value in element.attrib.items()}
    for child in element:
        tree.setdefault(_plain_name(child.tag), []).append(_to_tree(child, depth + 1))
    text = (element.text or "").strip()
    return tree | {"#text": text} if tree else text or None


def _plain_name(tag: str) -> str:
    space, _, name = tag.rpartition("}")
    return name if space.startswith(f"{{{_ONVIF}") else tag


def _children(tree: Any, name: str) -> list[Any]:
    """All children of a name: none, one, or a list of them."""
    found = tree.get(name) if isinstance(tree, dict) else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _child(tree: Any, *path: str) -> Any:
    """The first child along a path of names, or None."""
    for name in path:
        found = _children(tree, name)
        if not found:
            return None
        tree = found[0]
    return tree


def _number(tree: Any, name: str, *, default: float | None = None) -> float:
    """An attribute that is a number; JSON may have it as text."""
    value = tree.get(f"@{name}", default) if isinstance(tree, dict) else default
    try:
        if (number := float(value)) is not None and isfinite(number):  # type: ignore[arg-type]
            return number
    except (TypeError, ValueError):
        pass
    raise DataError(f"expected a number as {name}, found {'none' if value is None else 'something else'}")


def _read_frame(frame: Any) -> BoxMessage:
    try:
        capture_ns = utc_ns(frame.get("@UtcTime") if isinstance(frame, dict) else None)
    except ValueError as error:
        raise DataError(f"Frame.UtcTime: {error}") from error
    assert isinstance(capture_ns, int)
    found = [_read_object(one, frame) for one in _children(frame, "Object")]
    return BoxMessage(None, capture_ns, tuple(box for box in found if box), is_whole=True)


def _read_object(found: Any, frame: Any) -> GivenBox | None:
    """An object with a box; None without one: it is only mentioned."""
    rectangle = _child(found, "Appearance", "Shape", "BoundingBox")
    if rectangle is None:
        return None
    corners = [(_number(rectangle, "left"), _number(rectangle, "top"))]
    corners.append((_number(rectangle, "right"), _number(rectangle, "bottom")))
    for transformation in (_child(found, "Appearance", "Transformation"), _child(frame, "Transformation")):
        corners = [_transform(corner, transformation) for corner in corners]
    label, score = _read_class(_child(found, "Appearance", "Class"))
    track = found.get("@ObjectId")
    return GivenBox(_to_shares(corners), score, label, None if track is None else str(track))


def _transform(point: tuple[float, float], transformation: Any) -> tuple[float, float]:
    """Scaled, then moved."""
    scale, move = _child(transformation, "Scale"), _child(transformation, "Translate")
    x = point[0] * _number(scale, "x", default=1.0) + _number(move, "x", default=0.0)
    y = point[1] * _number(scale, "y", default=1.0) + _number(move, "y", default=0.0)
    return x, y


def _to_shares(corners: list[tuple[float, float]]) -> Box:
    """From the normalised coordinates, whose y points up, to shares from the upper left corner."""
    xs = sorted((x + 1) / 2 for x, _ in corners)
    ys = sorted((1 - y) / 2 for _, y in corners)
    return xs[0], ys[0], xs[1], ys[1]


def _read_class(tree: Any) -> tuple[str | None, float]:
    """The likeliest label, and how likely it is; both the present and the older way to say it."""
    said = [(_text(one), _number(one, "Likelihood", default=1.0)) for one in _children(tree, "Type")]
    for one in _children(tree, "ClassCandidate"):
        likelihood = _text(_child(one, "Likelihood"))
        said.append((_text(_child(one, "Type")), _number({"@Likelihood": likelihood}, "Likelihood")))
    if isinstance(tree, dict) and not said and "#text" in tree:
        said = [(_text(tree), _number(tree, "Likelihood", default=1.0))]
    named = [(label, clip_score(score)) for label, score in said if label]
    return max(named, key=lambda one: one[1]) if named else (None, 1.0)


def _text(tree: Any) -> str | None:
    text = tree.get("#text") if isinstance(tree, dict) else tree
    return None if text is None else str(text)
