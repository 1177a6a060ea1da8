"""What every test may use: the shared data beside the project, where it exists."""

import os
import subprocess
from pathlib import Path

import pytest

# The tests' networks are tiny. Torch's threads would wait for each other by spinning: beside one busy core a run of two
# seconds took half a minute. Set before anything imports torch; the subprocesses of tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, video and models beside the project; a user's clone does not have it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data folder beside the project")
    return folder


@pytest.fixture(scope="session")
def cuhk03(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real CUHK03, new protocol, detected boxes, unpacked."""
    folder = tmp_path_factory.mktemp("cuhk03")
    subprocess.run(["tar", "-xJf", shared_data / "cuhk03_np_detected.tar.xz", "-C", folder], check=True)
    return folder / "cuhk03_np_detected"
