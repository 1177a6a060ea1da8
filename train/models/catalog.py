"""Architecture name -> network."""

from collections.abc import Callable
from functools import partial

from torch import nn

from edge_runtime.contract.errors import ConfigError
from train.models.osnet import OSNet
from train.models.osnet_ain import OSNetAIN

_WIDTHS = {"x1_0": 1.0, "x0_75": 0.75, "x0_5": 0.5, "x0_25": 0.25}

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **{f"osnet_{name}": partial(OSNet, width=width) for name, width in _WIDTHS.items()},
    **{f"osnet_ibn_{name}": partial(OSNet, width=width, with_instance_norm=True) for name, width in _WIDTHS.items()},
    **{f"osnet_ain_{name}": partial(OSNetAIN, width=width) for name, width in _WIDTHS.items()},
}


def architectures() -> tuple[str, ...]:
    """Every name that `build` knows."""
    return tuple(_BUILDERS)


def build(name: str, *, classes: int) -> nn.Module:
    """Build a network with random weights.

    In eval mode forward(images (N, 3, H, W) float32, RGB, normalised) gives descriptors (N, D), not L2-normalised;
    in train mode a `TrainingOutput`. It takes any input size.

    Raises:
        ConfigError: unknown name.
    """
    if name not in _BUILDERS:
        raise ConfigError(f"unknown architecture {name!r}; known: {', '.join(_BUILDERS)}")
    return _BUILDERS[name](classes=classes)
