"""Messages about boxes as other programs send them, of our own making, with values that a test chooses."""

import json
from typing import Any

NOON_NS = 1_767_268_800_000_000_000
NOON = "2026-01-01T12:00:00"
SHARES = (0.25, 0.5, 0.375, 0.875)
PIXELS = (320.0, 360.0, 480.0, 630.0)  # the same in a picture of 1280 x 720


def encoded(message: object) -> bytes:
    """As JSON."""
    return json.dumps(message).encode()


def plain(**changes: Any) -> dict[str, Any]:
    """Our own form: one person."""
    box = {"box": list(SHARES), "score": 0.75, "track": "7"}
    return {"camera": "door", "capture_ns": NOON_NS, "boxes": [box]} | changes


def frigate(**changes: Any) -> dict[str, Any]:
    """An event of Frigate; changes are of the object as it is now."""
    after = {
        "id": "1767268795.5-q1w2e3",
        "camera": "door",
        "frame_time": NOON_NS / 1e9,
        "label": "person",
        "sub_label": None,
        "score": 0.75,
        "top_score": 0.9,
        "false_positive": False,
        "box": list(PIXELS),
        "area": 43200,
        "region": [200, 300, 700, 800],
        "current_zones": ["step"],
        "end_time": None,
    } | changes
    return {"type": "update", "before": after | {"box": [0, 0, 9, 9]}, "after": after}


def deepstream_minimal(*objects: str, **changes: Any) -> dict[str, Any]:
    """The minimal payload of nvmsgconv."""
    left, top, right, bottom = PIXELS
    mine = f"7|{left}|{top}|{right}|{bottom}|Person|#|female|30|brown|none|casual|0.75"
    frame = {"version": "4.0", "id": "120", "@timestamp": f"{NOON}.000Z", "sensorId": "door"}
    return frame | {"objects": list(objects) or [mine]} | changes


def deepstream_full(**changes: Any) -> dict[str, Any]:
    """The full payload of nvmsgconv; changes are of its object."""
    left, top, right, bottom = PIXELS
    found = {
        "id": "7",
        "speed": 0.0,
        "direction": 0.0,
        "orientation": 0.0,
        "person": {"age": 30, "gender": "female", "confidence": 0.75},
        "bbox": {"topleftx": left, "toplefty": top, "bottomrightx": right, "bottomrighty": bottom},
        "location": {"lat": 0.0, "lon": 0.0, "alt": 0.0},
        "coordinate": {"x": 0.0, "y": 0.0, "z": 0.0},
    } | changes
    return {
        "messageid": "b7c1",
        "mdsversion": "1.0",
        "@timestamp": f"{NOON}.000Z",
        "place": {"id": "1", "name": "shop"},
        "sensor": {"id": "door", "type": "Camera"},
        "analyticsModule": {"id": "m", "source": "nvinfer"},
        "object": found,
        "event": {"id": "e", "type": "entry"},
        "videoPath": "",
    }


def axis(*detections: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A frame of AXIS Scene Metadata, version 1."""
    left, top, right, bottom = SHARES
    mine = {
        "object_track_id": "7",
        "bounding_box": {"left": left, "top": top, "right": right, "bottom": bottom},
        "class": {"type": "Human", "score": 0.75, "upper_clothing_colors": [{"name": "Red", "score": 0.5}]},
    }
    frame = {"channel_id": 1, "timestamp": f"{NOON}.000000Z", "detections": list(detections) or [mine]}
    return frame | changes


def axis_beta() -> dict[str, Any]:
    """The same frame in the beta before it, with other names."""
    frame = axis()
    [found] = frame["detections"]
    rest = {name: value for name, value in found.items() if name != "object_track_id"}
    return {"frame": {"timestamp": frame["timestamp"], "observations": [rest | {"track_id": "7"}], "operations": []}}


def onvif_xml(*, transformed: bool = False, track: str = 'ObjectId="7"') -> bytes:
    """A scene description of ONVIF as XML, in normalised coordinates or in pixels of a picture of 1280 x 720."""
    left, top, right, bottom = SHARES
    sides = (2 * left - 1, 1 - 2 * top, 2 * right - 1, 1 - 2 * bottom)
    transformation = ""
    if transformed:
        sides = PIXELS
        scale = f'<tt:Scale x="{2 / 1280}" y="{-2 / 720}"/>'
        transformation = f'<tt:Transformation><tt:Translate x="-1" y="1"/>{scale}</tt:Transformation>'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:own="http://camera.example/schema">
 <tt:VideoAnalytics>
  <tt:Frame UtcTime="{NOON}Z" Source="People">{transformation}
   <tt:Object {track}>
    <tt:Appearance>
     <tt:Shape>
      <tt:BoundingBox left="{sides[0]}" top="{sides[1]}" right="{sides[2]}" bottom="{sides[3]}"/>
      <tt:CenterOfGravity x="0" y="0"/>
     </tt:Shape>
     <tt:Class><tt:Type Likelihood="0.25">Vehicle</tt:Type><tt:Type Likelihood="0.75">Human</tt:Type></tt:Class>
     <own:Coat>red</own:Coat>
    </tt:Appearance>
   </tt:Object>
   <tt:Object ObjectId="8"/>
  </tt:Frame>
 </tt:VideoAnalytics>
</tt:MetadataStream>""".encode()


def onvif_json() -> dict[str, Any]:
    """The same as Profile M sends it over MQTT, where numbers may be text."""
    left, top, right, bottom = SHARES
    sides = {"@left": str(2 * left - 1), "@top": 1 - 2 * top, "@right": 2 * right - 1, "@bottom": str(1 - 2 * bottom)}
    kinds = [{"@Likelihood": 0.25, "#text": "Vehicle"}, {"@Likelihood": "0.75", "#text": "Human"}]
    appearance = {"Shape": {"BoundingBox": sides}, "Class": {"Type": kinds}}
    return {"Frame": [{"@UtcTime": NOON, "@Source": "People", "Object": [{"@ObjectId": 7, "Appearance": appearance}]}]}
