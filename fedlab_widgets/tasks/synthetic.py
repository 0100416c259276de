"""Data that are drawn, not collected: two clouds of points whose label nearly tells the group."""

import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..shards import Data
from ..slots import Classification

MEANS = ((-2.0, -2.0), (2.0, 2.0))                                          # of label 0, of label 1
COVARIANCES = (((10.0, 1.0), (1.0, 3.0)), ((5.0, 1.0), (1.0, 5.0)))
TEST_SHARE = 0.3
GROUPS = ("A", "B")


@part
class TwoGaussians(Classification):
    """Two clouds of points in the plane, one a label; the group agrees with the label nearly always.

    load: x [rows, 2] float32, as drawn; y 0 or 1, half of the rows each; group A goes with label 0 and B with label 1,
    for each point with chance `agree`, else the other way round; label 1 is favourable. The group is not among the
    features: the model knows of it through x alone. 30 % of the rows, drawn at random, are the test set.
    Raises BadInput for fields out of range.
    Source: the synthetic set in the released code of Hamman & Dutta (ICLR 2024), as read there: label 1 from
    N((2, 2), [[5, 1], [1, 5]]), label 0 from N((-2, -2), [[10, 1], [1, 3]]), 500 points each, group = label with chance
    0.95, 30 % to test on. The draws here are our own (counter-based), so rows differ from theirs.
    """

    rows: int = Field(1000, ge=40, le=1_000_000, description="points in all, half of them of each label")
    agree: float = Field(0.95, ge=0, le=1, description="chance that a point's group is its label")
    seed: int = Field(0, ge=0, le=2**53 - 1, description="of the points; the run's own seed leaves them as they are")

    def load(self):
        key = seeds.keys(self.seed, "two gaussians", 0, 0)
        y = torch.arange(self.rows) % 2
        roots = torch.linalg.cholesky(torch.tensor(COVARIANCES, dtype=torch.float64))
        noise = seeds.normals(seeds.fold(key, 0), 2 * self.rows, torch.float64).view(-1, 2)
        x = torch.tensor(MEANS, dtype=torch.float64)[y] + (roots[y] @ noise[:, :, None])[:, :, 0]
        flips = seeds.uniforms(seeds.fold(key, 1), self.rows, torch.float64) >= self.agree
        group = y ^ flips.long()
        order = seeds.permutations(seeds.fold(key, 2), self.rows)
        held = round(TEST_SHARE * self.rows)
        test, train, x = order[:held], order[held:], x.float()
        return Data(x[train], y[train], group[train], x[test], y[test], group[test], labels=("0", "1"),
                    groups=GROUPS, features=("x1", "x2"), favourable=1)
