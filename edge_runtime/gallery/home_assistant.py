"""Counts of people for Home Assistant, which finds the sensors by itself (MQTT discovery)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from edge_runtime.contract.settings import checked_by
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.link.topics import check_name, count_topic

_HOUR_NS = 3_600_000_000_000
_STALE = 5  # counts that were not renewed so many times are unknown
_DAY_S = 86_400


@dataclass(frozen=True)
class HomeAssistantSettings:
    """A sensor for each camera: people in the hour of the clock. prefix: of Home Assistant's discovery topics."""

    prefix: Annotated[str, checked_by(lambda name: check_name(name, what="prefix"))] = "homeassistant"
    every_s: Annotated[int, Field(ge=5, le=3600)] = 60


@dataclass(frozen=True)
class Notice:
    """A retained message, which the broker forgets after `expiry_s`."""

    topic: str
    payload: bytes
    expiry_s: int


class PeopleSensors:
    """Makes the messages; thread-safe."""

    def __init__(self, settings: HomeAssistantSettings, sightings: Sightings) -> None:
        self.every_s = settings.every_s
        self._prefix, self._sightings = settings.prefix, sightings

    def notices(self, now_ns: int) -> list[Notice]:
        """Description and count of each camera that is known.

        Raises:
            GalleryError: the sightings cannot be read.
        """
        hour_ns = now_ns // _HOUR_NS * _HOUR_NS
        counts = {(one.site, one.node, one.camera): one for one in self._sightings.flow(hour_ns, now_ns + 1)}
        found = []
        for camera in self._sightings.cameras():
            count = counts.get(camera)
            state = {"people": count.people if count else 0, "tracks": count.tracks if count else 0}
            name = _sensor_name(camera)
            topic, expiry_s = count_topic(camera[0], sensor=name), _STALE * self.every_s
            card = _card(camera, name=name, topic=topic, expiry_s=expiry_s)
            found.append(Notice(f"{self._prefix}/sensor/reid_gallery/{name}/config", card, _DAY_S))
            found.append(Notice(topic, json.dumps(state).encode(), expiry_s))
        return found


def _sensor_name(camera: tuple[str, str, str]) -> str:
    """Letters and digits for any names."""
    return hashlib.sha256("/".join(camera).encode()).hexdigest()[:16]


def _card(camera: tuple[str, str, str], *, name: str, topic: str, expiry_s: int) -> bytes:
    """How Home Assistant shows the sensor. Source: its documentation, "MQTT discovery" and "MQTT sensor"."""
    site, node, own = camera
    card = {
        "name": "People this hour",
        "unique_id": f"reid_gallery_{name}_people",
        "state_topic": topic,
        "value_template": "{{ value_json.people }}",
        "json_attributes_topic": topic,
        "unit_of_measurement": "people",
        "state_class": "measurement",
        "icon": "mdi:account-group",
        "expire_after": expiry_s,
        "device": {"identifiers": [f"reid_gallery_{name}"], "name": f"{site} {node} {own}", "model": "camera"},
        "origin": {"name": "reid-gallery"},
    }
    return json.dumps(card).encode()
