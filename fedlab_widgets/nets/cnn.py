from pydantic import Field
from torch import nn

from ..part import BadInput, part
from ..slots import Net


@part
class CNN(Net):
    """Two 5x5 convolutions, each halved by a max-pool, and a hidden layer: the usual choice for digits.

    build: images [1 or more channels, H, W], H and W at least 8 -> [B, K].
    Raises BadInput when rows are no images. Source: McMahan et al., AISTATS 2017 (their MNIST CNN has 32 and 64
    channels and 512 hidden units, 1 663 370 parameters with same padding; the defaults here suit a laptop).
    """

    channels: int = Field(8, ge=1, le=256, description="channels of the first convolution; the second has twice that")
    hidden: int = Field(64, ge=1, le=4096, description="width of the hidden layer")

    def build(self, inputs, outputs):
        if len(inputs) != 3 or min(inputs[1:]) < 8:
            raise BadInput(f"net = cnn needs images [channels, height, width] of at least 8 x 8, and rows here have "
                           f"shape {list(inputs)}; choose net=mlp, or task=mnist or digits")
        c, height, width = inputs
        return nn.Sequential(
            nn.Conv2d(c, self.channels, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(self.channels, 2 * self.channels, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(2 * self.channels * (height // 4) * (width // 4), self.hidden), nn.ReLU(),
            nn.Linear(self.hidden, outputs))
