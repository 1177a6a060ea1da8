"""How a network is quantised: the rule for ranges and the groups left in float, as a table row or a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration.layer_groups import GROUPS, Group
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import replace_file

Backend = Literal["onnxruntime", "openvino", "tensorrt"]
Activations = Literal["uint8", "int8"]
Method = Literal["max", "percentile", "entropy", "mse"]
PERCENTILE = 99.99
"""What `percentile` keeps of a tensor's values, in percent."""


class GroupCost(BaseModel):
    """What quantising one group of layers costs and gains, measured.

    loss: mean of 1 - cosine to float32 with only this group quantised; lost_map: percentage points of mAP.
    saved_us: microseconds per image, beside the rest of the choice; negative where float is faster.
    low_us, high_us: quartiles of the same over the rounds of timing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Group
    loss: float
    lost_map: float
    saved_us: float
    low_us: float
    high_us: float


class Choice(BaseModel):
    """What `quantize` needs to know besides network and images. decided_by: the record that the choice rests on.

    method: see `range_rules`. equalised: see `equalisation`. kept_in_float: groups that are not quantised.
    measured: what the choice was made from, where it was made by measuring.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    backend: Backend
    method: Method = "max"
    equalised: bool = True
    kept_in_float: tuple[Group, ...]
    decided_by: str
    measured: tuple[GroupCost, ...] = ()

    @property
    def activations(self) -> Activations:
        """The type of activations that the backend runs fast: TensorRT takes nothing but int8."""
        return "int8" if self.backend == "tensorrt" else "uint8"


# ONNX Runtime is fastest when steps chain in INT8 without a gap, OpenVINO when gates and sums stay in float.
CHOICES = (
    Choice(
        backend="onnxruntime",
        kept_in_float=("descriptor",),
        decided_by="benchmarks/records/cpu-epyc/sensitivity_osnet_x1_0_onnxruntime.json",
    ),
    Choice(
        backend="openvino",
        kept_in_float=("gates", "sums", "descriptor"),
        decided_by="benchmarks/records/cpu-epyc/sensitivity_osnet_x0_25_openvino.json",
    ),
    Choice(
        backend="tensorrt",
        kept_in_float=("gates", "sums", "residuals", "descriptor"),
        decided_by="not measured: no GPU was there; only convolutions are quantised",
    ),
)
"""What `quantize` does unless it is told otherwise."""


def default_choice(backend: Backend) -> Choice:
    """The row of the table for a backend."""
    return next(choice for choice in CHOICES if choice.backend == backend)


def choose_groups(costs: Sequence[GroupCost], *, largest_loss: float) -> tuple[Group, ...]:
    """The groups to keep in float: those that save no time, and those whose time is bought with most retrieval.

    Groups are quantised in the order of their loss per microsecond as long as all losses together, which add up almost
    linearly, stay within `largest_loss`.
    """
    kept = {cost.group for cost in costs}
    total = 0.0
    for cost in sorted((cost for cost in costs if cost.saved_us > 0), key=lambda cost: cost.loss / cost.saved_us):
        if total + cost.loss <= largest_loss:
            total += cost.loss
            kept.remove(cost.group)
    return tuple(group for group in GROUPS if group in kept)


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
    try:
        replace_file(path, choice.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write the choice {path}: {error.strerror}; give another --output") from error
