"""Reads a program's settings from one YAML file. Every fault is reported with its place, all at once."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.strict_model import StrictModel

Settings = TypeVar("Settings")
Model = TypeVar("Model", bound=StrictModel)


def _list_fault(value: object, make: ValidatorFunctionWrapHandler) -> Any:
    """Make a part's settings; what the part itself refuses is listed beside the other faults."""
    try:
        return make(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error


Part = Annotated[Settings, WrapValidator(_list_fault)]
"""Settings of one part of a program, a dataclass."""


def read_settings_file(path: Path, model: type[Model], *, help_command: str) -> Model:
    """Read and check a file. help_command: what shows an example of such a file.

    Raises:
        ConfigError: unreadable, not YAML, or any setting is unknown, missing or wrong; all faults are listed.
    """
    try:
        settings = yaml.load(path.read_bytes(), _UniqueKeys)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}; name a YAML file") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply for a configuration; correct it") from error
    # What PyYAML raises for a tag that does not fit its value, such as `!!timestamp x` and `!!bool x`.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ConfigError(f"{path} is not YAML: {_yaml_fault(error)}; correct it") from error
    if settings is None:
        raise ConfigError(f"{path} is empty; {help_command} shows a configuration")
    try:
        return model.model_validate(settings, context=path.resolve().parent)
    except ValidationError as error:
        faults = "; ".join(f"{_place(e['loc'])}: {_reason(e)}" for e in error.errors(include_url=False))
        raise ConfigError(f"{path} has faults ({error.error_count()}): {faults}") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key may appear only once in a mapping, as the standard says; PyYAML takes the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """See `yaml.composer.Composer`."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, "this key appears twice", key.start_mark)
            seen.add(key.value)
        return node


def _yaml_fault(error: Exception) -> str:
    """What is wrong and where. The text of the file is not quoted: a camera's address may hold a password."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"position {error.position}: {error.reason}"
    return "a number, date or other value that does not exist"


def _place(location: tuple[str | int, ...]) -> str:
    # A key that is not a plain word may be a value in the wrong place, such as an address with a password.
    return ".".join(str(part) if re.fullmatch(r"\w+", str(part)) else "..." for part in location) or "file"


def _reason(error: Any) -> str:
    if error["type"] == "dataclass_type":
        return "expected settings in the form `name: value`"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return "unknown key, remove it or correct its spelling"
    return str(error["msg"]).removeprefix("Value error, ")
