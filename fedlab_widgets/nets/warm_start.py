import torch
from pydantic import Field
from torch import nn

from ..part import part, slot
from ..slots import Net
from .mlp import MLP


@part
class WarmStart(Net):
    """Another net, trained a little on a few pooled rows before the first round: it stands for a pretrained one.

    build: what `of` builds. Some training rows of all clients, chosen by the run's seed, are taken for public; SGD
    makes `steps` steps on batches of them by cross-entropy, and its end is where everybody begins. Methods that only
    nudge weights (seeded directions) need such a start, as the papers' do with language models. Those rows remain
    their owners' as well; test rows are never seen. Raises what `of` raises, and BadInput for fields out of range.
    Source: none; the practice of federated tuning.
    """

    of: slot(Net) = Field(MLP(), description="the net that is trained")
    rows: int = Field(150, ge=1, le=1_000_000, description="training rows that are taken for public")
    steps: int = Field(60, ge=1, le=100_000, description="steps of SGD on them")
    batch: int = Field(32, ge=1, le=100_000, description="rows in a step")
    lr: float = Field(0.1, gt=0, le=100, description="step size")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept")

    def build(self, inputs, outputs):
        return self.of.build(inputs, outputs)

    def warm(self, module, data):
        self.of.warm(module, data)
        public = torch.randperm(len(data.y))[:self.rows]
        x, y = (t[public].to("cpu") for t in (data.x, data.y))
        like = next(module.parameters(), None)
        free = [p for p in module.parameters() if p.requires_grad]
        if not free:
            return
        walk = torch.optim.SGD(free, lr=self.lr, momentum=self.momentum)
        with torch.enable_grad():
            for _ in range(self.steps):
                some = torch.randint(len(y), (min(self.batch, len(y)),))
                walk.zero_grad()
                nn.functional.cross_entropy(module(x[some].to(like.dtype)), y[some]).backward()
                walk.step()
        for p in free:
            p.grad = None
