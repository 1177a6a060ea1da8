"""The golden retrieval set: 60 queries, 600 gallery and 160 extra images of 25 people, 6 cameras, and its figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden.rule import symmetric, uniform

METRICS = Path(__file__).resolve().parent / "metrics"
FIGURES: dict[str, Any] = json.loads((METRICS / "retrieval.json").read_text())
_SIZES = {"query": (60, 1), "gallery": (600, -1), "multiquery": (160, 1)}


def labels(tag: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras of a split: `query`, `gallery` or `multiquery`."""
    count, lowest = _SIZES[tag]
    identities = np.floor(uniform(f"retrieval.{tag}.pid", count) * (26 - lowest)).astype(np.int64) + lowest
    cameras = np.floor(uniform(f"retrieval.{tag}.cam", count) * 6).astype(np.int64)
    if tag == "gallery":
        identities[(identities == 25) & (cameras != 0)] = 0
    elif tag == "query":
        cameras[identities == 25] = 0
    return identities, cameras


def features(tag: str) -> NDArray[np.float64]:
    """(N, 64) descriptors of a split, not of unit length."""
    identities, cameras = labels(tag)
    count = len(identities)
    centres, junk = symmetric("retrieval.identity", 26, 64), symmetric(f"retrieval.{tag}.junk", count, 64)
    base = np.where((identities > 0)[:, None], centres[np.maximum(identities, 0)], junk)
    camera = 0.55 * symmetric("retrieval.camera", 6, 64)
    return base + camera[cameras] + 1.8 * symmetric(f"retrieval.{tag}.noise", count, 64)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of unit length."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def label_arguments(*, with_junk: bool = True) -> dict[str, NDArray[np.int64]]:
    """The golden labels as `train.scoring.metrics` takes them."""
    query, query_cameras = labels("query")
    gallery, gallery_cameras = labels("gallery")
    kept = np.full(len(gallery), True) if with_junk else gallery != -1
    return {
        "query_identities": query,
        "gallery_identities": gallery[kept],
        "query_cameras": query_cameras,
        "gallery_cameras": gallery_cameras[kept],
    }
