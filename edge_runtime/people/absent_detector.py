"""What stands where a detector would, on a node all of whose cameras get their boxes from outside."""

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12


class AbsentDetector:
    """Finds nobody, and costs nothing. `sure_score` is that of boxes from outside: a network's usual one."""

    sure_score = 0.35

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> NoReturn:
        """See `Detector.detect`.

        Raises:
            EngineError: always; frames that come with boxes are never shown to a detector.
        """
        raise EngineError("no detector is open, since all cameras had boxes from outside at the start; restart")
