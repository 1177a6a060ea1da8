"""The kinds of detection networks that users bring, and which of them a file is."""

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.network_kind import NetworkForm, NetworkKind
from edge_runtime.people.stretched_kinds import STRETCHED_KINDS
from edge_runtime.people.yolo_kinds import YOLO_KINDS

KINDS: tuple[NetworkKind, ...] = (*YOLO_KINDS, *STRETCHED_KINDS)
"""In the order in which they are asked. Recommended for their licences: YOLOX, D-FINE, RF-DETR."""


def find_kinds(form: NetworkForm) -> tuple[NetworkKind, ...]:
    """All kinds that a form can be of. Of several, those that usually have as many classes, if there are any."""
    kinds = tuple(kind for kind in KINDS if kind.describes(form))
    usual = tuple(kind for kind in kinds if kind.classes(form) in (None, *kind.usual_classes))
    return usual or kinds


def kind_named(name: str) -> NetworkKind:
    """Look a kind up.

    Raises:
        EngineError: unknown.
    """
    known = {kind.name: kind for kind in KINDS}
    if name not in known:
        raise EngineError(f"unknown kind of detector {name!r}; known kinds: {', '.join(known)}")
    return known[name]
