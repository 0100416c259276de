from pydantic import Field
from torch import nn

from ..part import BadInput, part
from ..slots import Net


@part
class CNN(Net):
    """Two 5x5 convolutions, each halved by a max-pool, and a hidden layer: the usual choice for digits.

    build: images [1 or more channels, H, W], H and W at least 8 -> [B, K]. With `groups` a GroupNorm (Wu & He, ECCV
    2018) after each convolution: layers 1 and 5 of the net, then. It has no running statistics: each image is
    normalised by its own. Raises BadInput when rows are no images, and for groups that do not divide the channels.
    Source: McMahan et al., AISTATS 2017 (their MNIST CNN has 32 and 64 channels and 512 hidden units, 1 663 370
    parameters with same padding; the defaults here suit a laptop).
    """

    channels: int = Field(8, ge=1, le=256, description="channels of the first convolution; the second has twice that")
    hidden: int = Field(64, ge=1, le=4096, description="width of the hidden layer")
    groups: int | None = Field(None, ge=1, le=256, description="groups of channels that are normalised together after "
                               "each convolution; none when empty")

    def build(self, inputs, outputs):
        if len(inputs) != 3 or min(inputs[1:]) < 8:
            raise BadInput(f"net = cnn needs images [channels, height, width] of at least 8 x 8, and rows here have "
                           f"shape {list(inputs)}; choose net=mlp, or task=mnist or digits")
        if self.groups and self.channels % self.groups:
            raise BadInput(f"net.groups = {self.groups} does not divide net.channels = {self.channels}; choose a "
                           "divisor of it")
        c, height, width = inputs
        norms = [[nn.GroupNorm(self.groups, n)] if self.groups else [] for n in (self.channels, 2 * self.channels)]
        return nn.Sequential(
            nn.Conv2d(c, self.channels, 5, padding=2), *norms[0], nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(self.channels, 2 * self.channels, 5, padding=2), *norms[1], nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(2 * self.channels * (height // 4) * (width // 4), self.hidden), nn.ReLU(),
            nn.Linear(self.hidden, outputs))
