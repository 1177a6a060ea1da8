"""Runs a script as several processes that train together, as torchrun does, but loads PyTorch once for all of them.

`python tests/support/ranks.py COUNT SCRIPT ARGUMENTS...`; the exit code is the largest of theirs.
"""

import os
import runpy
import socket
import sys

import torch._dynamo  # noqa: F401 - with all that an optimiser loads, so that the forked processes have it


def main() -> int:
    """Fork the processes, and wait for all of them."""
    count, *command = sys.argv[1:]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = []
    for rank in range(int(count)):
        process = os.fork()
        if process == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
            return 0
        processes.append(process)
    return max(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes)


if __name__ == "__main__":
    sys.exit(main())
