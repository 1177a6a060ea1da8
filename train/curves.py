"""A run's log as a picture."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def draw_curves(log: Path, picture: Path) -> None:
    """Draw loss, training accuracy and learning rate over epochs. log: JSON lines of `EpochReport`."""
    rows = {row["epoch"]: row for row in map(json.loads, log.read_text().splitlines())}
    epochs = sorted(rows)
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    for axis, key in zip(axes, ("loss", "accuracy", "learning_rate"), strict=True):
        axis.plot(epochs, [rows[epoch][key] for epoch in epochs])
        axis.set(xlabel="epoch", title=key.replace("_", " "))
        axis.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
