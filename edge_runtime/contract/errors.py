"""Errors a user can act on. A message says what was expected, what was found, where, and what to do."""


class ReidError(Exception):
    """Base of every error that an entry script turns into one sentence and a non-zero exit code."""


class ConfigError(ReidError):
    """A setting, recipe or command-line value is wrong."""


class ManifestError(ReidError):
    """A manifest is missing, unreadable, or disagrees with the artefact beside it."""


class DataError(ReidError):
    """A folder, image or list that was given as data cannot be used."""


class CheckpointError(ReidError):
    """A checkpoint is unreadable or belongs to another network."""


class TrainingError(ReidError):
    """A training run cannot go on: the loss is no number, or memory is full."""


class ExportError(ReidError):
    """A network could not be exported, quantised or built, or the result is not good enough."""


class EngineError(ReidError):
    """An engine could not be opened or run."""


class DeviceError(EngineError):
    """The GPU failed, which may pass: its driver was not ready yet, or its memory was full."""


class StreamError(ReidError):
    """A camera or video could not be opened or read."""


class PublishError(ReidError):
    """The spool or the broker refused a message."""
