"""Folders that make `import tensorrt` work without a GPU; put one on the PYTHONPATH of a subprocess. For tests only.

- `builder_site()`: TensorRT-RTX, out of a wheel that carries it, behind the Python bindings of TensorRT 11. It parses
  ONNX files and builds plans without a driver. NVIDIA does not support this pairing.
- `bindings_site(package)`: the bindings of any version over libraries that do nothing: every name is there to be
  looked at, and nothing can be called.

Both are made once, by pip and the C compiler, and kept in `.cache` beside the tests.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.support.promised_tensorrt import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"

RTX = "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0"
CORE, PARSER = "libtensorrt_rtx", "libtensorrt_onnxparser_rtx"

# What the bindings call, with the arguments to pass on. RTX counts its versions from 1, so it must hear its own.
FORWARDED = {
    "createInferBuilder_INTERNAL": (CORE, "a, version()"),
    "createInferRefitter_INTERNAL": (CORE, "a, version()"),
    "createInferRuntime_INTERNAL": (CORE, "a, version()"),
    "getPluginRegistry": (CORE, ""),
    "getBuilderPluginRegistry": (CORE, "a"),
    "getNvOnnxParserVersion": (PARSER, ""),
    "createNvOnnxParser_INTERNAL": (PARSER, "a, b, version()"),
    "createNvOnnxParserRefitter_INTERNAL": (PARSER, "a, b, version()"),
}
VERSION_OF = {CORE: "getInferLibVersion", PARSER: "getNvOnnxParserVersion"}
# What only 8.x asks for besides, to read UFF and Caffe files.
LEGACY = (
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
MODULE = '''"""TensorRT's bindings over the libraries beside this file, for tests without a GPU."""
import ctypes
from pathlib import Path

from tests.support.promised_tensorrt import PACKAGES

for _name in {libraries!r}:
    ctypes.CDLL(str(Path(__file__).with_name(_name)), mode=ctypes.RTLD_GLOBAL)
from tensorrt_bindings import *
from tensorrt_bindings import __version__
'''


class SiteUnavailableError(Exception):
    """This machine cannot have such a folder; the message says what it lacks."""


def builder_site() -> Path:
    """A folder whose `tensorrt` parses and builds. About 150 MB are downloaded the first time."""
    return _make_once(f"tensorrt-rtx/{RTX}-{PYTHON}", _fill_builder_site)


def bindings_site(package: str) -> Path:
    """A folder whose `tensorrt` has the names of one version; `package` is as `tensorrt-bindings==8.6.1`."""
    return _make_once(f"tensorrt-names/{package}-{PYTHON}", lambda folder: _fill_bindings_site(folder, package))


def environment(site: Path) -> Mapping[str, str]:
    """The environment of a subprocess in which `import tensorrt` finds this site."""
    return {**os.environ, "PYTHONPATH": str(site)}


def _make_once(name: str, fill: Callable[[Path], None]) -> Path:
    """Let `fill` make the folder unless it exists; it appears whole or not at all, however many ask at once."""
    if (sys.platform, platform.machine(), sys.implementation.name) != ("linux", "x86_64", "cpython"):
        raise SiteUnavailableError("needs Linux on x86-64 and CPython: TensorRT's wheels exist for nothing else")
    if not shutil.which("cc"):
        raise SiteUnavailableError("needs a C compiler, cc")
    site = CACHE / name
    site.parent.mkdir(parents=True, exist_ok=True)
    with site.with_name(site.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.is_dir():
            with tempfile.TemporaryDirectory(dir=site.parent) as folder:
                made = Path(folder) / "site"
                (made / "tensorrt").mkdir(parents=True)
                fill(made)
                made.rename(site)
    return site


def _fill_builder_site(site: Path) -> None:
    libraries = []
    for wheel in _download(RTX):
        for member in wheel.namelist():
            library, _, _ = Path(member).name.partition(".so")
            if library in VERSION_OF:
                libraries.append(f"{library}.so.1")
                (site / "tensorrt" / libraries[-1]).write_bytes(wheel.read(member))
    libraries.sort(reverse=True)  # the core before the parser that needs it
    _extract_bindings(site, PACKAGES["11.4"])
    source = "#include <dlfcn.h>\n" + "".join(map(_forwarder, FORWARDED)) + _do_nothing("initLibNvInferPlugins")
    names = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
    _finish(site, names, major=11, source=source, preloaded=libraries)


def _fill_bindings_site(site: Path, package: str) -> None:
    major = int(package.split("==")[1].split(".")[0])
    _extract_bindings(site, package)
    source = "".join(map(_do_nothing, (*FORWARDED, "initLibNvInferPlugins", *LEGACY)))
    names = ("nvinfer", "nvonnxparser", "nvinfer_plugin", *(["nvparsers"] if major == 8 else []))
    _finish(site, names, major=major, source=source, preloaded=[])


def _forwarder(function: str) -> str:
    """C text of a function that calls its namesake in TensorRT-RTX."""
    library, arguments = FORWARDED[function]
    find = f'dlsym(dlopen("{library}.so.1", RTLD_NOW | RTLD_NOLOAD), "%s")'
    version = f"((long (*)(void)){find % VERSION_OF[library]})()"
    types = ", ".join("long" for _ in filter(None, arguments.split(","))) or "void"
    call = f"((void *(*)({types})){find % function})({arguments.replace('version()', version)})"
    return f"void *{function}(long a, long b, long c) {{ return {call}; }}\n"


def _do_nothing(function: str) -> str:
    return f"void *{function}(void) {{ return 0; }}\n"


def _finish(site: Path, names: Iterable[str], *, major: int, source: str, preloaded: list[str]) -> None:
    """Compile the libraries that the bindings look for, and write the module that loads them first."""
    libraries = [f"lib{name}.so.{major}" for name in names]
    for library in libraries:
        command = ["cc", "-w", "-shared", "-fPIC", "-x", "c", "-", f"-Wl,-soname,{library}", "-ldl"]
        command += ["-o", str(site / "tensorrt" / library)]
        subprocess.run(command, input=source, text=True, check=True, timeout=60)
    (site / "tensorrt" / "__init__.py").write_text(MODULE.format(libraries=[*preloaded, *libraries]))


def _extract_bindings(site: Path, package: str) -> None:
    for wheel in _download(package):
        wheel.extractall(site, [member for member in wheel.namelist() if member.startswith("tensorrt_bindings/")])


def _download(package: str) -> Iterable[zipfile.ZipFile]:
    """The wheel of a package for this Python, from whatever index pip is set up for."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--dest", folder, package], capture_output=True, text=True, check=False, timeout=600
        )
        if done.returncode:
            reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise SiteUnavailableError(f"needs the wheel {package} for {PYTHON}, but pip says: {reasons[-1:]}")
        for path in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                yield wheel
