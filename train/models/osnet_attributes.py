"""OSNet for person attributes, many yes-or-no questions at once.

Source: Zhou, Yang, Cavallaro, Xiang, "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019,
section 4.2.
"""

from torch import Tensor

from train.models.osnet import OSNet


class OSNetAttributes(OSNet):
    """OSNet whose classes are attributes: one logit each, for a sigmoid.

    Differs: global max pooling, as in the authors' code; the text does not say.
    """

    def _pool(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=(2, 3))  # (N, C)
