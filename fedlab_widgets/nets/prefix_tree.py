import torch
from pydantic import Field
from torch import Tensor, nn

from ..part import part
from ..slots import Net

SURE = 4.0   # how far the two outputs lie apart


class Tree(nn.Module):
    """A list of prefixes: their bits [W, M], how many of them are known [W] (0: no prefix), estimated users [W]."""

    def __init__(self, width: int, bits: int):
        super().__init__()
        self.bits = nn.Parameter(torch.zeros(width, bits))
        self.length = nn.Parameter(torch.zeros(width))
        self.estimate = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[:, None]
        known = torch.arange(x.shape[-1], device=x.device) < self.length[:, None] - 0.5
        apart = ((x - self.bits).abs() * known).sum(-1)                                     # [B, W] bits that differ
        listed = ((apart < 0.5) & (self.length > 0.5)).any(-1).to(x)
        return torch.stack([torch.zeros_like(listed), SURE * (2 * listed - 1)], dim=-1)


@part
class PrefixTree(Net):
    """A list of prefixes that may begin a frequent item: the lowest leaves of a tree that grows round by round.

    build: rows [B, *inputs] of 0 and 1, M in each -> [B, 2], "other" and "heavy hitter": +-4 for the second, as the
    row's first bits are on the list or not. Parameters: bits [W, M], length [W], estimate [W]; all zero at first, an
    empty list. It has no gradient: PrefixExtension, which asks users, fills it.
    Raises BadInput for other ways to learn.
    Source: the prefix tree of Zhang, Ye, Hu, SIGMOD 2025 (arXiv 2412.14832), as a table.
    """

    width: int = Field(40, ge=1, le=4096, description="prefixes that are kept at most, W")

    def build(self, inputs, outputs):
        return Tree(self.width, inputs.numel())

    def misfits(self, e):
        from ..local.prefix_extension import PrefixExtension  # which imports this

        if not isinstance(e.local, PrefixExtension):
            yield (f"net = prefix_tree has no gradient, and local = {e.local.name} needs one; set local to "
                   "'prefix_extension', or net to 'mlp'")
