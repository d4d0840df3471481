"""What every backbone is to the rest of the model: one image in, four maps out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from reference_model.backbones.official import OfficialLayout, load_into


class Backbone(nn.Module, ABC):
    """A backbone of four maps.

    Attributes:
        out_channels: channels of X3, X4, X5, X6.
        out_stages: the names of these maps in ``stage_features``.
    """

    out_channels: tuple[int, int, int, int]
    out_stages: tuple[str, str, str, str]

    @abstractmethod
    def stage_features(self, image: Tensor) -> dict[str, Tensor]:
        """Every intermediate map of one pass, in order of computation.

        Args:
            image: ``(B, 3, H, W)``, normalised RGB, sides of any size.

        Returns:
            Map name to ``(B, C, h, w)``; the names are the class's own.
        """

    @abstractmethod
    def official_layout(self) -> OfficialLayout:
        """How the modules of this backbone are called in the checkpoints of its authors."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image to the maps MobileInst decodes.

        Args:
            image: ``(B, 3, H, W)``, normalised RGB, sides of any size.

        Returns:
            X3, X4, X5, X6 at strides 8, 16, 32, 64, each side rounded up, ``out_channels`` wide.
        """
        stages = self.stage_features(image)
        x3, x4, x5, x6 = (stages[name] for name in self.out_stages)
        return x3, x4, x5, x6

    def load_official(self, state_dict: Mapping[str, Any], optional: tuple[str, ...] = ()) -> list[str]:
        """Take the weights of an upstream checkpoint, all of them or none.

        Args:
            state_dict: the loaded checkpoint of a classifier or a segmenter: the tensors by upstream's names, with or
                without the prefixes ``module.`` and ``backbone.``, or a dictionary that holds them under
                ``state_dict_ema``, ``state_dict`` or ``model``.
            optional: our module paths that a checkpoint without any of their weights leaves as drawn, e.g.
                ``"injection."`` of a TopFormer where the checkpoint is a classifier's.

        Returns:
            The keys that were not used because they belong to a head, as they are spelled in the checkpoint.

        Raises:
            OfficialCheckpointError: other keys are missing, unexpected or of the wrong shape; nothing was loaded.
        """
        return load_into(self, state_dict, replace(self.official_layout(), optional=optional))
