"""Topic names, `reid/v1/<site>/<node>/...`, built and parsed in one place. `v1` is the messages' major version."""

from dataclasses import dataclass
from functools import lru_cache

from edge_runtime.contract.errors import ConfigError, PublishError

ROOT = ("reid", "v1")
_NODE_LEAVES = ("status", "birth", "gap", "metrics")
_CAMERA_LEAVES = ("status", "track")
_FORBIDDEN = "+#\0"
_MOST_IN_NAME = 200
_MOST_IN_TOPIC = 1_000  # MQTT allows 65,535 bytes, and receivers remember topics and the names in them


@dataclass(frozen=True)
class Topic:
    """The parts of a topic. `leaf` is the kind of the message; `camera` and `space` are None where there is none."""

    site: str
    node: str
    camera: str | None
    leaf: str
    space: str | None = None


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it may be one level of a topic.

    Raises:
        ConfigError: it is empty or too long, or contains `+`, `#`, `/` or NUL.
    """
    found = [repr(sign) for sign in f"{_FORBIDDEN}/" if sign in name]
    if not 0 < len(name) <= _MOST_IN_NAME or found:
        fault = f"it contains {', '.join(found)}" if found else f"it has {len(name)} of 1 to {_MOST_IN_NAME} characters"
        # The name is not repeated: it may be a camera's address with a password, written under the wrong key.
        raise ConfigError(f"this {what} cannot be part of an MQTT topic: {fault}; use letters, digits, '-' and '_'")
    return name


def node_topic(site: str, node: str, *, leaf: str) -> str:
    """The topic of a message about a whole node: `status`, `birth`, `gap` or `metrics`."""
    return "/".join((*ROOT, check_name(site, what="site"), check_name(node, what="node"), leaf))


def camera_topic(site: str, node: str, *, camera: str, leaf: str) -> str:
    """The topic of a message about one camera: `status` or `track`."""
    return f"{node_topic(site, node, leaf=check_name(camera, what='camera'))}/{leaf}"


def descriptor_topic(site: str, node: str, *, camera: str, space: str) -> str:
    """The topic of the descriptors of one camera in one space."""
    return f"{camera_topic(site, node, camera=camera, leaf='descriptor')}/{check_name(space, what='space')}"


def identity_topic(site: str, *, space: str) -> str:
    """The topic on which a gallery says which tracks of a site and space are one person."""
    return "/".join((*ROOT, check_name(site, what="site"), "identity", check_name(space, what="space")))


def count_topic(site: str, *, sensor: str) -> str:
    """The topic on which a gallery says how many people a camera of a site has seen."""
    return "/".join((*ROOT, check_name(site, what="site"), "count", check_name(sensor, what="sensor")))


@lru_cache(maxsize=10_000)
def parse_topic(topic: str) -> Topic:
    """Split a topic into its parts.

    Raises:
        PublishError: it does not belong to this system, or to another major version of it, or is too long.
    """
    if len(topic) > _MOST_IN_TOPIC:
        raise PublishError(f"a topic of {len(topic)} characters is too long: expected at most {_MOST_IN_TOPIC}")
    levels = topic.split("/")
    if tuple(levels[:2]) == ROOT and all(levels) and not any(sign in topic for sign in _FORBIDDEN):
        match levels[2:]:
            case [site, node, leaf] if leaf in _NODE_LEAVES:
                return Topic(site, node, None, leaf)
            case [site, "identity", space]:
                return Topic(site, "", None, "identity", space)
            case [site, node, camera, leaf] if leaf in _CAMERA_LEAVES:
                return Topic(site, node, camera, leaf)
            case [site, node, camera, "descriptor", space]:
                return Topic(site, node, camera, "descriptor", space)
    if len(levels) > 2 and levels[0] == ROOT[0] and levels[1] != ROOT[1]:
        raise PublishError(f"{topic!r} is of version {levels[1]}, expected {ROOT[1]}; receive it with that version")
    raise PublishError(f"{topic!r} is no topic of this system: expected {'/'.join(ROOT)}/<site>/<node>/...")


def check_filter(pattern: str) -> str:
    """Return `pattern` if one may subscribe to it: a topic where `+` stands for one level and a last `#` for the rest.

    Raises:
        ConfigError: it is no such pattern.
    """
    *levels, last = pattern.split("/")
    is_wrong = any("#" in level for level in levels) or any("+" in level and level != "+" for level in (*levels, last))
    if not pattern or "\0" in pattern or is_wrong or ("#" in last and last != "#"):
        raise ConfigError("expected a topic of MQTT, in which + stands for a whole level and # for the last ones")
    return pattern


def fits_filter(topic: str, pattern: str) -> bool:
    """Whether a subscription to `pattern` brings messages of `topic`."""
    levels, wanted = topic.split("/"), pattern.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(levels) == len(wanted) and all(part in ("+", level) for part, level in zip(wanted, levels, strict=True))
