"""Pixels are the same whether they are kept on the device, in memory or on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.contract.errors import DataError
from train.datasets.images import ImageArray, ImageFiles
from train.training.batches import store
from train.training.batches.loader import prepare_ahead
from train.training.batches.store import ImageSize, KeptPixels, StreamedPixels, open_store, pixel_statistics

CPU = torch.device("cpu")
SIZE = ImageSize(8, 4, "bilinear-half-pixel")
IMAGES = ImageArray(np.random.default_rng(0).integers(0, 256, (30, 16, 8, 3), np.uint8))


def test_images_too_large_for_memory_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are the same as those that are kept, channels-last both. Two processes need the memory twice."""
    monkeypatch.setattr(store, "free_host_memory", lambda: 2 * 30 * 8 * 4 * 3)
    kept = open_store(IMAGES, SIZE, device=CPU)
    streamed = open_store(IMAGES, SIZE, device=CPU, processes=2)
    assert (type(kept), type(streamed)) == (KeptPixels, StreamedPixels)
    positions = np.array([7, 0, 29, 7])
    assert torch.equal(kept.fetch(positions), streamed.fetch(positions))
    for images in (kept.fetch(positions), streamed.fetch(positions)):
        assert images.shape == (4, 3, 8, 4)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_too_large_for_the_gpu_stay_in_ordinary_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only batches are pinned: of the store it would be a second copy, and batches are copied out of it anyway."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pytest.fail("the store was pinned"))
    store = open_store(IMAGES, SIZE, device=torch.device("cuda"))
    assert isinstance(store, KeptPixels)
    assert not store.is_instant


def test_statistics_are_those_of_all_pixels() -> None:
    """Mean and deviation of each channel, in [0, 1]."""
    pixels = IMAGES.read(range(30), height_px=8, width_px=4, rule="bilinear-half-pixel") / 255
    mean, std = pixel_statistics(open_store(IMAGES, SIZE, device=CPU))
    assert mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-6)
    assert std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-6)


def test_what_is_prepared_ahead_keeps_its_order_and_fails_in_its_turn() -> None:
    """A broken image ends the epoch with its own error, after the batches before it."""
    assert list(prepare_ahead(lambda number: number * 2, range(20), count=3)) == list(range(0, 40, 2))
    files = ImageFiles(tuple(Path(f"missing{number}.jpg") for number in range(2)))
    broken = StreamedPixels(files, SIZE, device=CPU)
    good = StreamedPixels(IMAGES, SIZE, device=CPU)
    batches = prepare_ahead(lambda one: one.fetch(np.array([0, 1])), [good, broken, good], count=1)
    assert next(batches).shape == (2, 3, 8, 4)
    with pytest.raises(DataError, match=r"missing0\.jpg"):
        next(batches)
