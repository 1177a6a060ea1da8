"""Every TensorRT name our code uses exists in the bindings of each version we promise, or is asked for first."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.promised_tensorrt import FEATURES, PACKAGES, must_have
from tests.support.tensorrt_site import ROOT, SiteUnavailableError, bindings_site, environment

FILES = (
    "export/building/tensorrt_builder.py",
    "export/building/tensorrt_versions.py",
    "edge_runtime/engine/tensorrt/tensorrt_engine.py",
    "edge_runtime/engine/tensorrt/fixed_network.py",
    "edge_runtime/engine/tensorrt/library.py",
    "edge_runtime/engine/tensorrt/slot.py",
)
# What the variables of those files hold; a leading underscore does not count.
HOLDERS = {
    "trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "flag": "NetworkDefinitionCreationFlag",
    "tensor": "ITensor",
    "parser": "OnnxParser",
    "fault": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "severity_type": "ILogger.Severity",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
PRINT_MISSING = """
import json, sys
import tensorrt

def exists(name, holder=tensorrt):
    first, _, rest = name.partition(".")
    return hasattr(holder, first) and (not rest or exists(rest, getattr(holder, first)))

print(json.dumps([name for name in json.load(sys.stdin) if not exists(name)]))
"""


def used_names() -> set[str]:
    """The names our files use, from the module down: `Builder.create_network`."""
    names: set[str] = set()
    for file in FILES:
        names |= set(names_in((ROOT / file).read_text()))
    return names


def names_in(source: str) -> Iterator[str]:
    """Attribute chains on a variable or attribute that holds an object of TensorRT."""
    for node in ast.walk(ast.parse(source)):
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        chain = [node.id, *attributes] if isinstance(node, ast.Name) else []
        if chain[:1] == ["self"]:
            chain = chain[1:]
        holder = HOLDERS.get(chain[0].lstrip("_")) if chain else None
        if holder is not None and len(chain) > 1 and chain[1] != "__version__":
            yield ".".join(filter(None, [holder, *chain[1:]]))


def missing_names(site: Path, names: Iterable[str]) -> list[str]:
    """Those of the names that the site's `tensorrt` lacks."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_MISSING],
        input=json.dumps(sorted(names)), env=environment(site), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    missing: list[str] = json.loads(done.stdout)
    return missing


def site_of(version: str) -> Path:
    """The bindings of a version, or a skip where this Python has none."""
    try:
        return bindings_site(PACKAGES[version])
    except SiteUnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("version", PACKAGES)
def test_each_version_has_the_names_our_code_uses(version: str) -> None:
    """All but the declared features exist in every version, and each feature where it is declared."""
    names = {name for name in used_names() if must_have(version, name)}
    assert missing_names(site_of(version), names) == []


@pytest.mark.parametrize("version", PACKAGES)
def test_the_file_decides_on_precision_wherever_it_can(version: str) -> None:
    """8.x makes networks with a batch axis, 10 and later strongly typed ones; 11 numbers the flags anew."""
    asked = (
        "import tensorrt; from export.building.tensorrt_versions import network_flags; print(network_flags(tensorrt))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=environment(site_of(version)), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(done.stdout) == (1 << 1 if version.startswith("10.") else 1 << 0)


def test_the_names_are_found_in_the_code() -> None:
    """The walk sees modules, objects in variables and objects in attributes; no declared feature is out of use."""
    names = used_names()
    assert {"Builder.build_serialized_network", "ParserError.node", "IExecutionContext.execute_async_v3"} <= names
    assert set(FEATURES) <= names


def test_a_name_a_version_lacks_is_found() -> None:
    """The look-up is not satisfied with anything: 10.3 dropped what 8.6 had."""
    dropped = ["Builder.build_engine", "IBuilderConfig.max_workspace_size"]
    assert missing_names(site_of("10.3"), [*dropped, "Builder.create_network"]) == dropped
