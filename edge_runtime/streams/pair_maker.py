"""Describes told moments with a second model, too: pairs, from which a gallery learns a bridge of two spaces.

The second descriptor is a message of its own: in its own space, with the track and the time of the capture of the
first. Of each track the first, second, fourth, eighth ... told moment makes a pair, so that those who stay for long do
not crowd out the others.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import resize
from edge_runtime.engine.catalog import EngineSettings, open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import DescriptorMessage, Vector
from edge_runtime.people.best_shot import Shot

logger = logging.getLogger(__name__)

_MOST_TRACKS = 10_000  # whose moments are counted


class PairMaker:
    """Notes moments that were told, and describes them in one batch. One thread uses it.

    engine: of the second model. limit: how many pairs it makes, until the daemon starts again.
    """

    def __init__(self, engine: Engine, *, limit: int, codec: Codec) -> None:
        self.manifest = engine.manifest
        self._engine, self._codec = engine, codec
        self._left = limit
        self._told: OrderedDict[str, int] = OrderedDict()
        self._noted: list[tuple[str, DescriptorMessage, NDArray[np.uint8]]] = []

    @property
    def is_done(self) -> bool:
        """Whether it has made all its pairs."""
        return self._left <= 0

    def note(self, camera: str, message: DescriptorMessage, *, shot: Shot) -> None:
        """Note a moment that was told. shot: with its pixels."""
        told = self._told.pop(message.track, 0) + 1
        self._told[message.track] = told
        if len(self._told) > _MOST_TRACKS:
            self._told.popitem(last=False)
        if self.is_done or told & (told - 1):
            return
        assert shot.pixels is not None, "the camera's own pixels are described"
        spec = self.manifest.input
        crop = resize(shot.pixels, height_px=spec.height_px, width_px=spec.width_px, rule=spec.resize)
        self._noted.append((camera, message, crop))
        self._left -= 1
        if self.is_done:
            logger.info("all pairs are made: people are described with %s alone from now on", message.model)

    def describe(self) -> list[tuple[str, DescriptorMessage]]:
        """Describe what was noted. Returns camera and message of each.

        Raises:
            EngineError: the engine failed.
        """
        noted, self._noted = self._noted, []
        if not noted:
            return []
        descriptors = self._engine.describe(np.stack([crop for _, _, crop in noted]))
        return [
            (camera, self._as_second(message, descriptor))
            for (camera, message, _), descriptor in zip(noted, descriptors, strict=True)
        ]

    def _as_second(self, message: DescriptorMessage, descriptor: NDArray[np.float32]) -> DescriptorMessage:
        return message.model_copy(
            update={
                "space": self.manifest.space_id,
                "model": self.manifest.model_id,
                "precision": self.manifest.build.precision,
                "descriptor": Vector.of(encode(descriptor, codec=self._codec)),
            }
        )


@contextlib.contextmanager
def open_pairs(settings: EngineSettings, engine: Engine, *, threads: int, codec: Codec) -> Iterator[PairMaker | None]:
    """What describes moments with a second model inside the `with` block, if the settings name one.

    Raises:
        ManifestError, EngineError: see `open_engine`.
        ConfigError: the second model is of the same space.
    """
    if settings.also is None:
        yield None
        return
    with open_engine(settings.also, threads=threads) as second:
        check_two_spaces(engine.manifest, second.manifest)
        logger.info(
            "%d moments are also described with %s, for a bridge from space %s to %s or back",
            settings.pairs,
            second.manifest.model_id,
            engine.manifest.space_id,
            second.manifest.space_id,
        )
        yield PairMaker(second, limit=settings.pairs, codec=codec)


def check_two_spaces(first: Manifest, second: Manifest) -> None:
    """Refuse two models whose descriptors can be compared as they are.

    Raises:
        ConfigError: both are of one space.
    """
    if first.space_id == second.space_id:
        raise ConfigError(
            f"engine.also: expected a model of another space than {first.model_id}, found {second.model_id} of the "
            f"same space {second.space_id}: their descriptors can be compared as they are; take `also` out"
        )
