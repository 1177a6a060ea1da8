"""What every test may use: the shared data beside the project, where it exists."""

import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# The tests' networks are tiny. Torch's threads would wait for each other by spinning: beside one busy core a run of two
# seconds took half a minute. Set before anything imports torch; the subprocesses of tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hypothesis would fail an example that takes 200 ms, as any may on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
MAY_SKIP = ("gpu", "shared_data", "machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`: the test command has set everything up, so a skip would hide a missing part."""
    parser.addoption("--no-skips", action="store_true", help=f"only tests marked {' or '.join(MAY_SKIP)} may skip")


def pytest_configure() -> None:
    """Let processes that tests start end by Ctrl-C: a shell that runs the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that is not allowed into a failure."""
    report = yield
    is_allowed = any(item.get_closest_marker(name) for name in MAY_SKIP)
    if report.skipped and not is_allowed and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but --no-skips was given: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, video and models beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        # Its images and models may not be passed on, so a user's clone cannot have them.
        pytest.skip("needs the shared data folder beside the project")
    return folder


@pytest.fixture(scope="session")
def cuhk03(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real CUHK03, new protocol, detected boxes, unpacked."""
    folder = tmp_path_factory.mktemp("cuhk03")
    subprocess.run(["tar", "-xJf", shared_data / "cuhk03_np_detected.tar.xz", "-C", folder], check=True)
    return folder / "cuhk03_np_detected"
