"""What the settings of the parts are made of. Each part declares its own settings as a dataclass, field by field.

The configuration file holds these dataclasses. Limits stand beside the fields (`Annotated[int, Field(ge=1)]`) and are
checked when a file is read; code that makes settings itself is not checked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ValidationInfo

from edge_runtime.contract.errors import ReidError

Value = TypeVar("Value")


def checked_by(check: Callable[[Value], Value]) -> AfterValidator:
    """Check a setting with a function that raises a ReidError, so that the fault is listed with its place."""

    def apply(value: Value) -> Value:
        try:
            return check(value)
        except ReidError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(apply)


def absolute_path(path: Path, info: ValidationInfo) -> Path:
    """The path counted from the configuration file's folder, which is the context of the validation."""
    folder: Any = info.context
    try:
        return Path(folder, path.expanduser())
    except RuntimeError as error:
        raise ValueError(f"{path} is in the home of a user who has none; write the whole path") from error


FilePath = Annotated[Path, AfterValidator(absolute_path)]
"""A file; a relative path counts from the configuration file's folder. Every path in settings has this type."""
