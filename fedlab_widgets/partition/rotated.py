from dataclasses import replace

import torch
from pydantic import Field

from ..part import BadInput, part, slot
from ..slots import Partition
from .iid import IID


@part
class Rotated(Partition):
    """Let clients see turned images: the same labels, other features from client to client.

    The inner partition deals the rows out; holding i then has its images turned by (i mod turns) quarter turns against
    the clock. Test rows stay upright, so that the official accuracy asks for the clients of turn 0; the other clients
    are read on their own held-out rows.
    assign: rows -> holding [rows]; seen: x [rows, channels, H, H] turned. Raises BadInput for rows that are no square
    images. Source: feature skew by rotation, as in Ghosh et al., An Efficient Framework for Clustered Federated
    Learning, NeurIPS 2020 (Rotated MNIST, with turns by 90 degrees).
    """

    tag = "other features"

    turns: int = Field(4, ge=2, le=4, description="2: upright and a quarter turn; 4: all four ways round")
    of: slot(Partition) = Field(IID(clients=10), description="how the rows are dealt out")

    def count(self, data):
        return self.of.count(data)

    def holdings(self, data):
        return self.of.holdings(data)

    def assign(self, data, key):
        return self.of.assign(data, key)

    def seen(self, data, owner, key):
        data = self.of.seen(data, owner, key)
        if data.x.dim() < 3 or data.x.shape[-1] != data.x.shape[-2]:
            raise BadInput(f"partition = rotated turns square images, and these rows have shape "
                           f"{list(data.x.shape[1:])}; choose partition=noisy, or a task of images (digits, mnist)")
        x = data.x.clone()
        for turn in range(1, self.turns):
            rows = owner % self.turns == turn
            x[rows] = torch.rot90(data.x[rows], turn, (-2, -1))
        return replace(data, x=x)
