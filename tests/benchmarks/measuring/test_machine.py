"""Each machine has one folder of records, named so that a reader knows it."""

import pytest

from benchmarks.measuring.machine import machine_slug, slug_of
from benchmarks.measuring.records import RECORDS, record_folder

JETSON = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"


@pytest.mark.parametrize(
    ("board", "gpu", "cpu", "slug"),
    [
        (None, None, "AMD EPYC", "cpu-epyc"),
        (None, None, "AMD EPYC 7763 64-Core Processor", "cpu-epyc-7763"),
        (None, None, "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "cpu-xeon-platinum-8370c"),
        (None, "NVIDIA H100 80GB HBM3", "AMD EPYC", "h100"),
        (None, "NVIDIA GeForce RTX 4090", "AMD EPYC", "geforce-rtx-4090"),
        (JETSON, "Orin", "ARMv8 Processor rev 1 (v8l)", "orin-nano"),
        ("Raspberry Pi 5 Model B", None, "Cortex-A76", "cpu-cortex-a76"),
        (None, None, "", "cpu-unknown"),
    ],
)
def test_a_machine_is_named_by_what_sets_its_speed(board: str | None, gpu: str | None, cpu: str, slug: str) -> None:
    """A Jetson by its board, because all Orins have a GPU of the same name; else the GPU, else the CPU."""
    assert slug_of(board=board, gpu=gpu, cpu=cpu) == slug


def test_records_of_this_machine_lie_in_a_folder_of_its_name() -> None:
    """On any machine, the one that runs this test too."""
    assert record_folder() == RECORDS / machine_slug()
