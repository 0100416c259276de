from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import nn

from ..part import part
from ..slots import Net


@part
class MLP(Net):
    """Linear layers with ReLU between them: the usual choice for tables.

    build: inputs of any shape, flattened to F columns -> [B, K].
    Raises BadInput for more than 8 hidden layers or a width outside 1 to 8192. Source: textbook.
    """

    hidden: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        (64,), min_length=1, max_length=8, description="width of each hidden layer")

    def build(self, inputs, outputs):
        widths = (inputs.numel(), *self.hidden)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], outputs))
