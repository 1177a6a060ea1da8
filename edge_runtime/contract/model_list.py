"""The public networks that a user may fetch: one row each, with addresses, digests and licences; data, not code."""

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, PositiveInt, ValidationError

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Sha256
from edge_runtime.contract.strict_model import StrictModel

PUBLIC_MODELS = Path(__file__).parents[2] / "export" / "models.json"


class PublicFile(StrictModel):
    """One file of a network, as its maintainers publish it. size: in bytes."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    address: HttpUrl
    sha256: str = Sha256
    size: PositiveInt


class PublicLicence(StrictModel):
    """Terms of the code, of the weights, and of the images they were trained on."""

    code: str
    weights: str
    data: str


class PublicModel(StrictModel):
    """One network. page: where its maintainers describe it. pixels: `--input` of export/adopt.py; None for detectors
    and checkpoints. digest_from: who vouches for the digests. next_step: the command that uses it.
    """

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    task: Literal["re-identification", "person detection"]
    page: str
    height_px: PositiveInt
    width_px: PositiveInt
    pixels: str | None = None
    licence: PublicLicence
    files: tuple[PublicFile, ...] = Field(min_length=1)
    digest_from: str
    next_step: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def sha256(self) -> str:
        """The digest of the weights: those of an OpenVINO IR are in its second file."""
        return self.files[-1].sha256


class _Rows(StrictModel):
    models: tuple[PublicModel, ...]


def read_public_models(path: Path = PUBLIC_MODELS) -> tuple[PublicModel, ...]:
    """All rows of a list in the form of export/models.json.

    Raises:
        ConfigError: it cannot be read, or a row is wrong.
    """
    try:
        return _Rows.model_validate_json(path.read_bytes()).models
    except OSError as error:
        raise ConfigError(
            f"cannot read the list of networks {path}: {error.strerror}; install the package again"
        ) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])
        raise ConfigError(f"{path} is no list of networks: {faults}; its form is that of export/models.json") from error


def find_public_model(name: str, path: Path = PUBLIC_MODELS) -> PublicModel:
    """The row of a network.

    Raises:
        ConfigError: there is none; the message names those that there are.
    """
    rows = {row.name: row for row in read_public_models(path)}
    if name not in rows:
        raise ConfigError(f"there is no public network {name}; known: {', '.join(rows)}")
    return rows[name]
