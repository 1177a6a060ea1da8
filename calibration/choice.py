"""How a network is quantised: the rule for ranges and the groups left in float, as a table row or a file."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration.layer_groups import Group
from edge_runtime.contract.errors import ConfigError

Backend = Literal["onnxruntime", "openvino", "tensorrt"]
Activations = Literal["uint8", "int8"]
Method = Literal["max", "percentile", "entropy", "mse"]
PERCENTILE = 99.99
"""What `percentile` keeps of a tensor's values, in percent."""


class Choice(BaseModel):
    """What `quantize` needs to know besides network and images. decided_by: the record that the choice rests on.

    method: see `range_rules`. equalised: see `equalisation`. kept_in_float: groups that are not quantised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    backend: Backend
    method: Method = "max"
    equalised: bool = True
    kept_in_float: tuple[Group, ...]
    decided_by: str

    @property
    def activations(self) -> Activations:
        """The type of activations that the backend runs fast: TensorRT takes nothing but int8."""
        return "int8" if self.backend == "tensorrt" else "uint8"


# No GPU was there for TensorRT's row: its groups are those that the CPU runtimes lose accuracy with.
CHOICES = (
    Choice(
        backend="onnxruntime",
        kept_in_float=("gates", "sums", "descriptor"),
        decided_by="benchmarks/records/int8_choices.json",
    ),
    Choice(
        backend="openvino",
        kept_in_float=("gates", "sums", "descriptor"),
        decided_by="benchmarks/records/int8_choices.json",
    ),
    Choice(
        backend="tensorrt",
        kept_in_float=("gates", "sums", "residuals", "descriptor"),
        decided_by="not measured: no GPU was there",
    ),
)


def default_choice(backend: Backend) -> Choice:
    """The row of the table for a backend."""
    return next(choice for choice in CHOICES if choice.backend == backend)


def read_choice(path: Path) -> Choice:
    """Read the file that export/sensitivity.py wrote.

    Raises:
        ConfigError: it cannot be read or is no choice.
    """
    try:
        return Choice.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"cannot read the choice {path}: {error.strerror}; write it with export/sensitivity.py"
        ) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(f"{path} is no choice of export/sensitivity.py: {faults}; write it again") from error


def write_choice(choice: Choice, path: Path) -> None:
    """Write a choice, atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(choice.model_dump_json(indent=2) + "\n")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"cannot write the choice {path}: {error.strerror}; give another --output") from error
