"""Takes over a changed configuration while the daemon runs: cameras come, go and change, all else goes on."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.boxes.box_receiver import BoxReceiver
from edge_runtime.boxes.boxed_source import BoxedSource, BoxSupply
from edge_runtime.camera.source import CameraSource
from edge_runtime.config import Config, read_config
from edge_runtime.contract.errors import ReidError
from edge_runtime.contract.log_lines import set_up_log
from edge_runtime.service import Service
from edge_runtime.streams.camera_settings import CameraSettings
from edge_runtime.streams.stream import CameraStream
from edge_runtime.upkeep.risks import tell_risks

logger = logging.getLogger(__name__)

_TAKEN_OVER = ("cameras", "log", "rollout")  # settings that a running daemon can change, or has no use for


@dataclass(frozen=True)
class ConfiguredCamera:
    """A camera as the configuration has it. address: its source, which may lie in a file of its own with a password."""

    settings: CameraSettings
    address: str = field(repr=False)

    @classmethod
    def read(cls, settings: CameraSettings) -> "ConfiguredCamera":
        """Read the address.

        Raises:
            ConfigError: see `CameraSettings.read_address`.
        """
        return cls(settings, settings.read_address())

    def make_source(self, receiver: BoxReceiver) -> CameraSource:
        """A source that is not started. receiver: brings boxes from outside, for cameras that want them.

        Raises:
            StreamError: the address has none of the known forms.
        """
        camera = self.settings
        if camera.boxes is None:
            return CameraSource(self.address, camera_id=camera.id, trust=camera.trust)
        supply = BoxSupply(camera.boxes, receiver)
        return BoxedSource(self.address, camera_id=camera.id, supply=supply, max_fps=camera.max_fps, trust=camera.trust)


class Reloader:
    """Reads the configuration again when it is asked to, and gives the service the cameras that differ.

    A configuration with a fault is refused as a whole, and what runs goes on. A camera of which anything differs, also
    the address in its `source_file`, is closed and opened anew; the others are not touched.

    make_stream: makes the stream of a camera. tell_cameras: is told all cameras when others are there.
    fault: why the configuration that was read last was refused; None if it was not.
    Threads: the thread that runs the service calls `reload`; `fault` may be read from any thread.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        *,
        cameras: Sequence[ConfiguredCamera],
        service: Service,
        make_stream: Callable[[ConfiguredCamera], CameraStream],
        tell_cameras: Callable[[Sequence[ConfiguredCamera]], None],
    ) -> None:
        self.fault: str | None = None
        self._path, self._config, self._cameras = path, config, tuple(cameras)
        self._service, self._make_stream, self._tell_cameras = service, make_stream, tell_cameras

    def reload(self) -> None:
        """Read the configuration again and take over what differs; a fault is logged, and kept in `fault`."""
        try:
            config = read_config(self._path)
            tell_risks(config)
            cameras = tuple(ConfiguredCamera.read(camera) for camera in config.cameras)
            coming = [camera for camera in cameras if camera not in self._cameras]
            streams = [self._make_stream(camera) for camera in coming]
        except ReidError as error:
            self.fault = str(error)
            logger.error("the configuration is not taken over, all goes on as before: %s", error)
            return
        self.fault = None
        before, now = self._ids(self._cameras), self._ids(cameras)
        leaving = self._ids([camera for camera in self._cameras if camera not in cameras])
        self._service.exchange(leaving=leaving, coming=streams)
        if before != now:
            self._tell_cameras(cameras)
        set_up_log(config.log)
        self._report(config, changes=_describe(before=before, now=now, coming=self._ids(coming)))
        self._cameras = cameras
        self._config = self._config.model_copy(update={name: getattr(config, name) for name in _TAKEN_OVER})

    def _report(self, config: Config, *, changes: list[str]) -> None:
        """Say what has changed, and what has not and needs a restart; again at every reload until it has come."""
        if config.log != self._config.log:
            changes = [*changes, f"log {config.log.format} from level {config.log.level} on"]
        logger.info("configuration read again: %s", "; ".join(changes) or "cameras and log are as before")
        others = [name for name in Config.model_fields if name not in _TAKEN_OVER]
        if waiting := [name for name in others if getattr(config, name) != getattr(self._config, name)]:
            logger.warning("a change of %s needs a restart; until then the daemon runs as before", ", ".join(waiting))

    @staticmethod
    def _ids(cameras: Sequence[ConfiguredCamera]) -> list[str]:
        return [camera.settings.id for camera in cameras]


def _describe(*, before: list[str], now: list[str], coming: list[str]) -> list[str]:
    """One phrase for each camera that differs."""
    changes = [f"camera {id_} {'changed' if id_ in before else 'added'}" for id_ in coming]
    return changes + [f"camera {id_} removed" for id_ in before if id_ not in now]
