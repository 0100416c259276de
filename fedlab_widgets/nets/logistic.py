from torch import nn

from ..part import part
from ..slots import Net


@part
class Logistic(Net):
    """One linear layer: multinomial logistic regression, convex, so every run finds the same model.

    build: inputs of any shape, flattened to F columns -> [B, K]; F * K + K parameters.
    Raises nothing of its own. Source: textbook.
    """

    def build(self, inputs, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs.numel(), outputs))
