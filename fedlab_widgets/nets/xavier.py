from pydantic import Field
from torch import nn

from ..part import part, slot
from ..slots import Net
from .mlp import MLP


@part
class Xavier(Net):
    """Begin with weights wide enough for deep nets: signals keep their size from layer to layer.

    build: the net `of` for rows [B, ...] -> [B, K], with the weights of its linear and convolutional layers drawn
    uniformly with variance 2 / (fan in + fan out), and their biases zero; other layers stay as that net has them. Torch
    itself draws them with variance 1 / (3 fan in). Raises BadInput as that net does.
    Source: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    """

    of: slot(Net) = Field(MLP(), description="the net that begins so")

    def build(self, inputs, outputs):
        net = self.of.build(inputs, outputs)
        for layer in net.modules():
            if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return net
