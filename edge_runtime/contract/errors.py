"""Errors a user can act on. A message says what was expected, what was found, where, and what to do."""


class ReidError(Exception):
    """Base of all errors that entry scripts report as one sentence and a non-zero exit code."""


class ConfigError(ReidError):
    """A setting, recipe or command-line value is wrong."""


class ManifestError(ReidError):
    """A manifest is missing, unreadable, or does not describe the artefact beside it."""


class DataError(ReidError):
    """A folder, image, list or message that was given as data cannot be used."""


class CheckpointError(ReidError):
    """A checkpoint is unreadable or belongs to another network."""


class TrainingError(ReidError):
    """A training run cannot continue: the loss is NaN or infinite, or memory is full."""


class ExportError(ReidError):
    """A network could not be exported, quantized or built, or the result is not accurate enough."""


class EngineError(ReidError):
    """An engine could not be opened or run."""


class DeviceError(EngineError):
    """The GPU failed in a way that may be temporary: the driver is not ready yet, or GPU memory is full."""


class StreamError(ReidError):
    """A camera or video could not be opened or read."""


class PublishError(ReidError):
    """A message could not be stored, sent or read: the spool, the broker, the connection or the message is faulty."""


class GalleryError(ReidError):
    """The store of a gallery could not be opened, read or written."""


class FetchError(ReidError):
    """A public network could not be downloaded, or is not the one that was asked for."""


class BundleError(ReidError):
    """A bundle is damaged, was not signed with a trusted key, or its network is not good enough on this machine."""


class RolloutError(ReidError):
    """An engine cannot be exchanged now: another install runs, or the daemon cannot be restarted or is not ready."""
