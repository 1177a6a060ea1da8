"""Write edge_runtime/engine/tensorrt/frame_kernels.ptx, the kernels as every NVIDIA driver takes them.

Needs NVRTC of CUDA 12 (`pip download nvidia-cuda-nvrtc-cu12`, 24 MB, no GPU): later ones no longer know the oldest
Jetsons. The text is for compute capability 5.3 and upwards, and says PTX 6.3, which drivers from CUDA 10 on translate.

example: python tests/golden/frame_kernels.py path/to/libnvrtc.so.12
"""

import argparse
import ctypes
import hashlib
import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "edge_runtime/engine/tensorrt/frame_kernels.cu"
ARCHITECTURE, PTX_VERSION = "compute_53", "6.3"


def compile_ptx(source: bytes, nvrtc: ctypes.CDLL) -> str:
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = [f"--gpu-architecture={ARCHITECTURE}".encode()]
    arguments = (len(options), (ctypes.c_char_p * len(options))(*options))
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"frame_kernels.cu", 0, None, None) == 0
    status = nvrtc.nvrtcCompileProgram(program, *arguments)
    text = {}
    for what in ("ProgramLog", "PTX"):
        getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
        text[what] = buffer.value.decode()
    assert status == 0, text["ProgramLog"]
    return text["PTX"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nvrtc", type=Path, help="libnvrtc.so.12; its libnvrtc-builtins must lie beside it")
    source = SOURCE.read_bytes()
    ptx = compile_ptx(source, ctypes.CDLL(str(parser.parse_args().nvrtc)))
    lines = [re.sub(r"^\.version .*", f".version {PTX_VERSION}", line) for line in ptx.splitlines()]
    body = [line.rstrip() for line in lines if not line.startswith("//")]
    digest = hashlib.sha256(source).hexdigest()
    head = f"// {SOURCE.name}, sha256 {digest}; written by tests/golden/{Path(__file__).name}"
    SOURCE.with_suffix(".ptx").write_text("\n".join([head, *body]).rstrip() + "\n")


if __name__ == "__main__":
    main()
