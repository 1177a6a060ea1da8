"""A CUDA driver of ours in C whose device is the CPU: memory is memory, and our kernels run thread by thread.

So everything above the driver's interface runs for real: uploads, launches, recordings, and the order of release.
"""

import ctypes
import subprocess
from pathlib import Path

import pytest

from edge_runtime.engine.tensorrt.frame_kernels import SOURCE

DRIVER = r"""
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define __device__ static
#define __global__
static struct { int x, y, z; } blockIdx, blockDim, threadIdx;
static int min(int a, int b) { return a < b ? a : b; }
static int max(int a, int b) { return a > b ? a : b; }
#include "kernels.h"

static char calls[1 << 20], failing[64];
static int alive;
static size_t used;
static long recording, graphs; /* the number of the graph that is recorded, and of all */
struct copy { void *to, *from; size_t size; };
static struct { struct copy up[8], down[8]; int ups, downs; } recorded[64];
static void keep(struct copy *list, int *count, void *to, void *from, size_t size)
{
    struct copy one = {to, from, size};
    list[(*count)++] = one;
}
static void replay(struct copy *list, int count)
{
    for (; count--; list++) memcpy(list->to, list->from, list->size);
}
static void (*launched)(long);
void when_launched(void (*function)(long)) { launched = function; }
long is_recording(void) { return recording; }
void note(const char *what) { if (strlen(calls) + 99 < sizeof calls) strcat(strcat(calls, what), " "); }
const char *noted(void) { return calls; }
int held(void) { return alive; }
size_t held_bytes(void) { return used; }
void fail(const char *name) { strncpy(failing, name, 63); }
static int call(const char *name) { note(name); return strcmp(name, failing) ? 0 : 901; }
#define CALL(name, ...) int name(__VA_ARGS__) { int status = call(#name); if (status) return status;
#define DONE return 0; }

CALL(cuInit, unsigned flags) DONE
CALL(cuDeviceGet, int *device, int ordinal) *device = ordinal; DONE
CALL(cuDeviceGetName, char *name, int size, int device) strncpy(name, "CPU", size); DONE
CALL(cuDeviceGetAttribute, int *value, int what, int device) *value = what == 75 ? 8 : what == 76 ? 7 : 16; DONE
CALL(cuDeviceTotalMem_v2, size_t *bytes, int device) *bytes = 8ul << 30; DONE
CALL(cuDriverGetVersion, int *version) *version = 12060; DONE
CALL(cuDevicePrimaryCtxSetFlags_v2, int device, unsigned flags) if (flags != 4) return 1; DONE
CALL(cuDevicePrimaryCtxRetain, void **context, int device) *context = &alive; alive++; DONE
CALL(cuDevicePrimaryCtxRelease_v2, int device) alive--; DONE
CALL(cuCtxPushCurrent_v2, void *context) DONE
CALL(cuCtxPopCurrent_v2, void **context) DONE
CALL(cuMemGetInfo_v2, size_t *left, size_t *total) *total = 8ul << 30; *left = *total - used; DONE
static void *take(size_t size)
{
    size_t *block = malloc(size + 16);
    alive++, used += *block = size;
    return block + 2;
}
static void give(void *memory)
{
    size_t *block = (size_t *)memory - 2;
    alive--, used -= *block;
    free(block);
}
CALL(cuMemAlloc_v2, uint64_t *address, size_t size) *address = (uint64_t)take(size); DONE
CALL(cuMemFree_v2, uint64_t address) give((void *)address); DONE
CALL(cuMemHostAlloc, void **address, size_t size, unsigned flags) *address = take(size); DONE
CALL(cuMemFreeHost, void *address) give(address); DONE
#define NOW recorded[recording % 64]
CALL(cuMemcpyHtoDAsync_v2, uint64_t to, void *from, size_t size, void *s)
    if (recording) keep(NOW.up, &NOW.ups, (void *)to, from, size);
    else memcpy((void *)to, from, size);
    DONE
CALL(cuMemcpyDtoHAsync_v2, void *to, uint64_t from, size_t size, void *s)
    if (recording) keep(NOW.down, &NOW.downs, to, (void *)from, size);
    else memcpy(to, (void *)from, size);
    DONE
CALL(cuStreamCreate, void **stream, unsigned flags) *stream = malloc(1); alive++; if (flags != 1) return 1; DONE
CALL(cuStreamDestroy_v2, void *stream) free(stream); alive--; DONE
CALL(cuStreamSynchronize, void *stream) DONE
CALL(cuModuleLoadData, void **module, const char *code) *module = &alive; alive++; DONE
CALL(cuModuleUnload, void *module) alive--; DONE
static const char *names[] = {"crop_rgb", "crop_nv12", "letterbox", "sharpness_sums"};
CALL(cuModuleGetFunction, void **function, void *module, const char *name)
    for (long n = 0; n < 4; n++) if (!strcmp(name, names[n])) { *function = (void *)(n + 1); return 0; }
    return 500; }
static void run(long kernel, void **a)
{
#define P(n) (*(void **)a[n])
#define I(n) (*(int *)a[n])
    if (kernel == 1) crop_rgb(P(0), P(1), P(2), I(3), I(4));
    if (kernel == 2) crop_nv12(P(0), P(1), P(2), I(3), I(4));
    if (kernel == 3) letterbox(P(0), P(1), P(2), I(3), I(4));
    if (kernel == 4) sharpness_sums(P(0), P(1), I(2), I(3));
}
#define TIMES(of, what, number) for (of.what = 0; of.what < number; of.what++)
CALL(cuLaunchKernel, void *f, int gx, int gy, int gz, int bx, int by, int bz, int m, void *s, void **a, void **e)
    blockDim.x = bx, blockDim.y = by, blockDim.z = bz;
    TIMES(blockIdx, z, gz) TIMES(blockIdx, y, gy) TIMES(blockIdx, x, gx)
        TIMES(threadIdx, z, bz) TIMES(threadIdx, y, by) TIMES(threadIdx, x, bx) run((long)f, a);
    DONE
CALL(cuStreamBeginCapture_v2, void *stream, int mode) recording = ++graphs; NOW.ups = NOW.downs = 0; DONE
int cuStreamEndCapture(void *stream, void **graph)
{
    long number = recording;
    recording = 0; /* a recording that fails has ended, too */
    int status = call("cuStreamEndCapture");
    if (!status) *graph = (void *)number, alive++;
    return status;
}
CALL(cuGraphInstantiateWithFlags, void **exec, void *graph, unsigned long long flags) *exec = graph; alive++; DONE
CALL(cuGraphUpload, void *exec, void *stream) DONE
CALL(cuGraphExecDestroy, void *exec) alive--; DONE
CALL(cuGraphDestroy, void *graph) alive--; DONE
CALL(cuGraphLaunch, void *exec, void *stream)
    long number = (long)exec;
    replay(recorded[number % 64].up, recorded[number % 64].ups);
    launched(number);
    replay(recorded[number % 64].down, recorded[number % 64].downs);
    DONE
"""
_USERS = ("cuda", "cuda_driver", "cuda_graph")


def build_driver(folder: Path) -> ctypes.CDLL:
    """Compile the driver with the kernels as they are. A mistake in memory or arithmetic ends the process."""
    (folder / "kernels.h").write_text(SOURCE.read_text().replace('extern "C" ', ""))
    library = folder / "libcuda.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover", f"-I{folder}"]
    command = ["cc", *flags, "-x", "c", "-", "-lm", "-o", str(library)]
    subprocess.run(command, input=DRIVER, text=True, check=True, timeout=60)
    driver = ctypes.CDLL(str(library))
    driver.noted.restype, driver.held_bytes.restype = ctypes.c_char_p, ctypes.c_size_t
    driver.is_recording.restype = ctypes.c_long
    return driver


def use_driver(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our code call it instead of NVIDIA's."""
    for module in _USERS:
        monkeypatch.setattr(f"edge_runtime.engine.tensorrt.{module}.LIBRARY", driver._name)
    monkeypatch.setitem(__import__("sys").modules, "pycuda", None)
    driver.fail(b"")
