"""Files of weights in every form that trainers write are read; what is none is named."""

import argparse
import collections
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from edge_runtime.contract.errors import CheckpointError
from train.models.catalog import build
from train.models.checkpoint import weights_sha256
from train.models.weight_files import read, read_weights


def weights() -> dict[str, torch.Tensor]:
    """The weights of a small network, with random classifier."""
    torch.manual_seed(0)
    return build("osnet_x0_25", classes=5).state_dict()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    """The same weights under a wrapper's names."""
    return {f"{prefix}{key}": value for key, value in weights().items()}


def shifted() -> dict[str, torch.Tensor]:
    """Other weights of the same names."""
    return {key: value + 1 for key, value in weights().items()}


FORMS = {
    "bare": lambda: weights(),
    "torchreid": lambda: {
        "state_dict": prefixed("module."),
        "epoch": 3,
        "rank1": np.float64(0.7),
        "mAP": np.float32(0.5),
        "curve": np.arange(3.0),
        "optimizer": torch.optim.Adam([nn.Parameter(torch.zeros(2))]).state_dict(),
        "scheduler": {"milestones": collections.Counter([60])},
    },
    "fast-reid": lambda: {"model": weights(), "iteration": 9},
    "lightning": lambda: {
        "state_dict": {**prefixed("model."), "criterion.centres": torch.zeros(2)},
        "hyper_parameters": {"args": argparse.Namespace(width=0.25), "more": collections.defaultdict(list)},
        "pytorch-lightning_version": "2.4",
    },
    "compiled in parallel": lambda: {"net": prefixed("module._orig_mod.")},
    "averaged beside": lambda: {"state_dict": shifted(), "state_dict_ema": weights()},
    "averaged, wrapped": lambda: {"model": shifted(), "ema": {"state_dict": prefixed("module.")}},
    "averaged as numbers only": lambda: {"state_dict": weights(), "ema": {"decay": 0.99, "shadow": [1, 2]}},
    "averaged by torch": lambda: AveragedModel(_filled()).state_dict(),
    "parameters": lambda: {
        key: nn.Parameter(value) if value.is_floating_point() else value for key, value in weights().items()
    },
}


def _filled() -> nn.Module:
    network = build("osnet_x0_25", classes=5)
    network.load_state_dict(weights())
    return network


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_weights(tmp_path: Path, form: str) -> None:
    """Wrappers, prefixes, scores, optimisers and settings beside the weights change nothing."""
    torch.save(FORMS[form](), tmp_path / "model.pth")
    assert weights_sha256(read_weights(tmp_path / "model.pth")) == weights_sha256(weights())


def test_the_old_file_format_is_read(tmp_path: Path) -> None:
    """Before PyTorch 1.6 a checkpoint was a pickle and no archive."""
    torch.save(
        {"state_dict": weights(), "rank1": np.float64(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False
    )
    assert weights_sha256(read_weights(tmp_path / "old.pth")) == weights_sha256(weights())


@pytest.mark.parametrize("core", ["core", "_core"])
def test_scores_by_any_numpy_are_read(tmp_path: Path, core: str) -> None:
    """numpy 1 and 2 write their numbers under different names; a file may come from either."""
    torch.save({"rank1": np.float64(0.25)}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "other.pth", "w") as other:
        for name in new.namelist():
            content = new.read(name)
            for written in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
                content = content.replace(written + b"\n", f"numpy.{core}.multiarray\n".encode())
            other.writestr(name, content)
    assert read(tmp_path / "other.pth")["rank1"] == 0.25


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Averaged weights that were preferred, and a loss that lies beside the network."""
    torch.save({"model": shifted(), "ema": {**prefixed("module."), "criterion.a": torch.zeros(1)}}, tmp_path / "m.pth")
    with caplog.at_level("INFO"):
        read_weights(tmp_path / "m.pth")
    assert "the averaged weights are taken, those under 'ema'" in caplog.text
    assert "not used of it: criterion" in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b'{"message": "Not Found"}', "a JSON text"),
        (b"\x1f\x8b\x08\x00rest", "a gzip archive"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"conv1": {}}', "a safetensors file"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0", "an ONNX file"),
        (b"PK\x03\x04 cut", "it is cut or damaged"),
        (b"hello world\n" * 50, "those of no file that PyTorch writes"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """A user who gave the wrong file learns what it is, not that it may be incomplete."""
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"model.pth is not a checkpoint that can be read: .*{says}"):
        read_weights(tmp_path / "model.pth")


@pytest.mark.parametrize("content", [nn.Linear(2, 2), {"model": nn.Linear(2, 2)}])
def test_a_pickled_module_is_refused_by_name(tmp_path: Path, content: Any) -> None:
    """It would run code; the sentence says which class was found and what to write instead."""
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(
        CheckpointError, match=r"it holds torch\.nn\.modules\.linear\.Linear, which is code.*state_dict"
    ):
        read_weights(tmp_path / "model.pth")


def test_weights_of_a_diverged_training_are_refused_by_name(tmp_path: Path) -> None:
    """But a classifier's do not matter: no descriptor depends on it."""
    state = weights()
    state["classifier.weight"][0] = torch.nan
    torch.save(state, tmp_path / "model.pth")
    read_weights(tmp_path / "model.pth")
    state["conv2.0.conv1.bn.running_var"][0] = torch.inf
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"1 of the \d+ weights .* conv2\.0\.conv1\.bn\.running_var.* diverged"):
        read_weights(tmp_path / "model.pth")
