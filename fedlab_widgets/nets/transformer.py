import torch
from pydantic import Field
from torch import Tensor, nn

from ..part import BadInput, part
from ..slots import Net


class Block(nn.Module):
    """Attention to what came before, then a small perceptron at every place; each reads a LayerNorm and is added."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.out = (nn.Linear(width, n * width) for n in (1, 2, 1))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, last: bool) -> Tensor:
        """h [B, T, W] -> [B, T, W], or of the last place alone [B, 1, W]."""
        seen = self.before(h)
        query = self._by_head(self.query(seen[:, -1:] if last else seen))
        key, value = map(self._by_head, self.key_value(seen).chunk(2, -1))
        scores = query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5
        if not last:   # the last place may see all; a mask made here is no buffer
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=h.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        mixed = scores.softmax(-1) @ value
        h = (h[:, -1:] if last else h) + self.out(mixed.transpose(1, 2).flatten(2))
        return h + self.mlp(self.between(h))

    def _by_head(self, rows: Tensor) -> Tensor:
        """[B, T, W] -> [B, heads, T, W / heads]."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Decoder(nn.Module):
    """Tokens [B, T] -> what may follow the last one [B, K]; `everywhere` gives what may follow each, [B, T, K]."""

    def __init__(self, context: int, tokens: int, width: int, layers: int, heads: int):
        super().__init__()
        self.context, self.tokens = context, tokens
        self.token, self.place = nn.Embedding(tokens, width), nn.Parameter(torch.empty(context, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens)
        # Small (0.02 is usual) they leave plain SGD with short batches on a plateau; Embedding draws with deviation 1.
        nn.init.normal_(self.place, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self._through(x, True)[:, 0]

    def everywhere(self, x: Tensor) -> Tensor:
        return self._through(x, False)

    def _through(self, x: Tensor, last: bool) -> Tensor:
        # Rows that hold no tokens are refused before a run (`lacks`); a place outside the table would end a GPU.
        h = self.token(x.long().clamp(0, self.tokens - 1)) + self.place
        for i, block in enumerate(self.blocks, 1):
            h = block(h, last and i == len(self.blocks))
        return self.head(self.norm(h))


@part
class CharTransformer(Net):
    """A small transformer that guesses the next character: for text, with the task austen.

    build: tokens [T], as whole numbers below K in floats -> [B, K], what follows the last one. Learned places, blocks
    with LayerNorm first (no buffers), attention to what came before, and a perceptron of 4 widths with GELU.
    2 K W + K + T W + layers (12 W^2 + 13 W) + 2 W parameters of width W: 30 851 by default on austen.
    Raises BadInput for a width that heads do not divide, and for rows that hold anything else than tokens.
    Source: decoder of Vaswani et al., NeurIPS 2017, with LayerNorm first as in GPT-2 (textbook); no dropout.
    """

    width: int = Field(32, ge=4, le=512, description="numbers that stand for a character, a multiple of heads")
    layers: int = Field(2, ge=1, le=12, description="blocks of attention and perceptron")
    heads: int = Field(2, ge=1, le=16, description="parts of the width that attend on their own")

    def build(self, inputs, outputs):
        if len(inputs) != 1:
            raise BadInput(f"net = {self.name} needs rows of tokens, one after another, and rows here have shape "
                           f"{list(inputs)}; choose task=austen, or net=cnn for images")
        if self.width % self.heads:
            raise BadInput(f"net.width = {self.width} is no multiple of net.heads = {self.heads}; give "
                           f"{self.width // self.heads * self.heads or self.heads}")
        return Decoder(inputs[0], outputs, self.width, self.layers, self.heads)

    def lacks(self, plan):
        x, tokens = plan.world.data.x[:1000], len(plan.world.data.labels)
        if bool(((x != x.round()) | (x < 0) | (x >= tokens)).any()):
            yield (f"net = {self.name} reads tokens, whole numbers from 0 to {tokens - 1} as the labels are, and "
                   f"task = {plan.experiment.task.name} has other features; choose task=austen, or net=mlp")
