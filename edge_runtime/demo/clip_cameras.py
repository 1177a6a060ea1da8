"""Two cameras out of one clip: its left and its right half, which overlap by about the width of a person who walks."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import StreamError

_OVERLAP = 0.1  # of the clip's width
_MOST_FRAMES = 600  # as long as a demo lasts; a longer clip is cut
_MEDIAN_OF = 25


def split_clip(clip: Path, folder: Path) -> dict[str, Path]:
    """Write both halves into a folder. Returns camera -> file.

    Raises:
        StreamError: OpenCV cannot read the clip.
    """
    capture = cv2.VideoCapture(str(clip))
    width, height = (int(capture.get(one)) for one in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    rate = capture.get(cv2.CAP_PROP_FPS)
    if width < 2 or rate <= 0:
        raise StreamError(f"expected a clip that OpenCV can read, found {clip}; give another file, or a camera")
    views = halves(width)
    files = {camera: folder / f"{camera}.avi" for camera in views}
    writers = {
        camera: cv2.VideoWriter(
            str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (views[camera].stop - views[camera].start, height)
        )
        for camera, path in files.items()
    }
    for _ in range(_MOST_FRAMES):
        is_read, frame = capture.read()
        if not is_read:
            break
        for camera, columns in views.items():
            writers[camera].write(np.ascontiguousarray(frame[:, columns]))
    for writer in writers.values():
        writer.release()
    capture.release()
    return files


def halves(width_px: int) -> dict[str, slice]:
    """Camera -> the columns of a frame that it sees."""
    half = int(width_px * (1 + _OVERLAP) / 2) // 2 * 2
    return {"left": slice(0, half), "right": slice(width_px - half, width_px)}


def empty_street(clip: Path) -> NDArray[np.uint8]:
    """What a camera sees when nobody is there: the median of frames over the clip, (H, W, 3) BGR."""
    capture = cv2.VideoCapture(str(clip))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for position in np.linspace(0, count - 1, _MEDIAN_OF).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(position))
        is_read, frame = capture.read()
        if is_read:
            frames.append(frame)
    capture.release()
    return np.asarray(np.median(np.stack(frames), axis=0), np.uint8)
