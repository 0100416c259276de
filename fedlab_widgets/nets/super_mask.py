import torch
from pydantic import Field
from torch import Tensor, nn

from ..part import BadInput, part, slot
from ..ranking import kept
from ..slots import Net
from .mlp import MLP

BARE = nn.Linear, nn.modules.conv._ConvNd, nn.GroupNorm, nn.LayerNorm   # these do without their vectors


class Masked(nn.Module):
    """A net with fixed weights, of which those with the highest scores are used: its parameters are the scores."""

    def __init__(self, net: nn.Module, keep: float):
        super().__init__()
        self.net, self.keep = net, keep
        for i, scores in enumerate(net.parameters()):
            inputs = scores[0].numel()
            signs = torch.randint(2, scores.shape).to(scores) * 2 - 1
            self.register_buffer(f"weight{i}", signs * (2 / inputs) ** 0.5)
            nn.init.uniform_(scores, 0, inputs ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        weights = {name: getattr(self, f"weight{i}") * mask(scores, self.keep)
                   for i, (name, scores) in enumerate(self.net.named_parameters())}
        return torch.func.functional_call(self.net, weights, (x,))


def mask(scores: Tensor, keep: float) -> Tensor:
    """1 for the highest ceil(keep n) of n scores and for all that equal the last of them, else 0; for gradients it is
    the scores themselves (straight through)."""
    least = scores.detach().flatten().kthvalue(scores.numel() - kept(keep, scores.numel()) + 1).values
    return (scores >= least).to(scores) + (scores - scores.detach())   # which is zero, to the last bit


@part
class SuperMask(Net):
    """Fixed random weights, of which clients learn which to use: every weight has a score, the highest are kept.

    build: rows [B, *inputs] -> [B, K] of the net `of` with weights sign * sqrt(2 / fan_in), signs drawn by seed and
    never changed. Of each tensor of n weights the ceil(keep n) with the highest scores are used, the others are 0.
    Scores are the parameters, uniform in 0 .. fan_in^-1/2 at first; their gradient is that of the mask (straight
    through). Biases, and scales of norms, are left out. One net is as large as `of` twice. Raises BadInput for keep
    out of range, and for nets that hold other vectors, or freeze weights.
    Source: edge-popup (Ramanujan et al., What's Hidden in a Randomly Weighted Neural Network?, CVPR 2020) as in FRL's
    released code (github.com/SPIN-UMass/FRL: signed constants, no biases). Differs: there the mask keeps the largest
    |scores| and clients rank the signed ones; here one quantity, above 0 at first, serves both.
    """

    of: slot(Net) = Field(MLP(), description="the net whose weights are masked")
    keep: float = Field(0.5, gt=0, lt=1, description="share of each layer's weights that is used")

    def build(self, inputs, outputs):
        net = self.of.build(inputs, outputs)
        for module in net.modules():
            for name, tensor in list(module.named_parameters(recurse=False)):
                if not tensor.requires_grad:
                    raise BadInput(f"net = super_mask cannot mask {self.of.name}, which freezes weights; let all of "
                                   "them learn, or choose another net.of")
                if tensor.dim() < 2 and not isinstance(module, BARE):
                    raise BadInput(f"net = super_mask masks matrices, and {self.of.name} has a vector {name!r} of "
                                   f"{tensor.numel()} numbers; set net.of to mlp, cnn or logistic")
                if tensor.dim() < 2:
                    setattr(module, name, None)
        return Masked(net, self.keep)
