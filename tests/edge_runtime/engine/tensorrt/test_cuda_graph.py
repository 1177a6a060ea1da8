"""What is asked of the driver to record and launch work, with a driver of ours in C that writes down its calls."""

import subprocess
import sys
from pathlib import Path

from tests.support.tensorrt_site import ROOT

DRIVER = r"""
#include <stdio.h>
#include <string.h>
static int call(const char *name) { puts(name); fflush(stdout); return strcmp(name, FAILING) ? 0 : 901; }
#define CALL(name, ...) int name(__VA_ARGS__) { return call(#name); }
#define GIVE(name, handle, ...) \
    int name(__VA_ARGS__) { int status = call(#name); *handle = status ? 0 : "x"; return status; }
CALL(cuStreamBeginCapture_v2, void *stream, int mode)
GIVE(cuGraphInstantiateWithFlags, launchable, void **launchable, void *graph, unsigned long long flags)
CALL(cuGraphUpload, void *launchable, void *stream)
CALL(cuGraphLaunch, void *launchable, void *stream)
CALL(cuGraphExecDestroy, void *launchable)
CALL(cuGraphDestroy, void *graph)
GIVE(cuStreamEndCapture, graph, void *stream, void **graph)
"""
RECORD = """
from types import SimpleNamespace
from edge_runtime.contract.errors import EngineError
from edge_runtime.engine.tensorrt.cuda_graph import CudaGraph

def work():
    print("work", flush=True)
    if {breaks}:
        raise EngineError("the work failed")

try:
    graph = CudaGraph(SimpleNamespace(handle=42), work)
    graph.launch()
    graph.launch()
    graph.close()
except EngineError as error:
    print(type(error).__name__, "refused:", error)
"""


def record(folder: Path, *, failing: str = "", breaks: bool = False) -> list[str]:
    """The driver's calls, and what was said, line by line."""
    library = folder / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", f'-DFAILING="{failing}"', "-o", str(library)]
    subprocess.run(command, input=DRIVER, text=True, check=True, timeout=60)
    return subprocess.run(
        [sys.executable, "-c", RECORD.format(breaks=breaks)],
        env={"LD_LIBRARY_PATH": str(folder)}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    ).stdout.splitlines()  # fmt: skip


RECORDING = ["cuStreamBeginCapture_v2", "work", "cuStreamEndCapture"]


def test_work_is_recorded_once_and_launched_as_often_as_asked(tmp_path: Path) -> None:
    """The work runs between begin and end of the recording, never again; both handles are given back."""
    expected = [
        *RECORDING,
        "cuGraphInstantiateWithFlags",
        "cuGraphUpload",
        *["cuGraphLaunch"] * 2,
        "cuGraphExecDestroy",
        "cuGraphDestroy",
    ]
    assert record(tmp_path) == expected


def test_a_driver_error_names_the_function(tmp_path: Path) -> None:
    """The number is the driver's, nothing goes on after it, and what there was of the recording is given back."""
    *calls, said = record(tmp_path, failing="cuGraphInstantiateWithFlags")
    assert calls == [*RECORDING, "cuGraphInstantiateWithFlags", "cuGraphDestroy"]
    assert said.startswith("DeviceError refused: the NVIDIA driver answers CUDA error 901 to cuGraphInst")


def test_work_that_fails_ends_the_recording(tmp_path: Path) -> None:
    """A stream left recording could run nothing any more; what is said is the reason, not that the recording broke."""
    for failing in ("", "cuStreamEndCapture"):
        said = record(tmp_path, breaks=True, failing=failing)
        given_back = [] if failing else ["cuGraphDestroy"]
        assert said == [*RECORDING, *given_back, "EngineError refused: the work failed"]
