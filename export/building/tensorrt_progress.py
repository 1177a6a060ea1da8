"""Progress bars of a TensorRT build."""

from typing import Any


def show_progress(trt: Any, config: Any) -> None:
    """Show a bar per top-level phase of the build, where TensorRT (10 and later) tells of its progress."""
    if not hasattr(trt, "IProgressMonitor"):
        return
    from tqdm import tqdm

    base: Any = trt.IProgressMonitor

    class Bars(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self._bars: dict[str, tqdm[Any]] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._bars[name] = tqdm(total=steps, desc=name, leave=False, disable=None)

        def step_complete(self, name: str, step: int) -> bool:
            if name in self._bars:
                self._bars[name].update()
            return True

        def phase_finish(self, name: str) -> None:
            if name in self._bars:
                self._bars.pop(name).close()

    config.progress_monitor = Bars()
