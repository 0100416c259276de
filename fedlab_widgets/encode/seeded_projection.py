import math

import torch
from pydantic import Field
from torch import Tensor

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode

TILE = 1 << 20   # numbers of directions drawn at once


@part
class SeededProjection(Encode):
    """Send how far the row lies along random directions that follow from a seed, and only the seed goes out with it.

    encode: rows [C, D] -> arrays "seed" [C, 1] int64, "budgets" [C, L] int32 and "coefficients" [C, K]: 4 K + 8 + 4 L
    bytes in float32, whatever D. Each of the L tensors of the row, of d entries, gets its budget K_l of the K
    directions: two, and of the others a share in proportion to the length of its part x of the row. Entries of a
    direction v are normal numbers cut off at 1 / sqrt(d), of variance rho = 1 / (3 d) almost; its coefficient is
    v x / (rho K_l), and sum_k coefficient_k v_k arrives: right on average, with an error of sqrt(d / K_l) times the
    length of x, so that what arrives of one client is mostly noise, which many rounds average out. No matrix is
    inverted. Every client draws its own directions in every round, in turn: it holds a few of them at a time.
    Raises BadInput for fewer than two directions a tensor. Source: Shu et al., Ferret: Federated Full-Parameter Tuning
    at Scale for Large Language Models, ICML 2025 (arXiv 2409.06277): its abstract, summaries of its method and its
    released code, not its text. The two that every budget begins with are ours (there budgets in proportion are raised
    to two). The code differs: it leaves out the 3 of 1 / rho, and all clients share one pool of directions.
    """

    tag = "fewer entries"

    takes, smooth = VALUES, False   # a rounding error may move a direction from one tensor to another

    count: int = Field(256, ge=2, le=1_000_000, description="directions of all tensors together: numbers that are sent")

    def lacks(self, plan):
        tensors = len(_sizes(plan.space))
        if self.count < 2 * tensors:
            yield (f"encode.count = {self.count} is fewer than two directions for each of the {tensors} tensors that "
                   f"are sent; give at least {2 * tensors}")

    def remarks(self, plan):
        """What a reader should know before the run, in sentences."""
        if self.count >= plan.space.width:
            yield (f"encode = seeded_projection sends {self.count} numbers for a row of {plan.space.width}; with "
                   "encode = update it would be shorter, and exact")

    def wire(self, space, dtype):
        return {"seed": (1, torch.int64), "budgets": (len(_sizes(space)), torch.int32),
                "coefficients": (self.count, dtype)}

    def encode(self, rows, space, keys, mine):
        pieces = rows.split(_sizes(space), 1)
        budgets = self.budgets(torch.stack([x.norm(dim=1) for x in pieces], 1))
        coefficients, first = rows.new_zeros(len(rows), self.count), budgets.cumsum(1) - budgets
        for l, x in enumerate(pieces):
            scale = 1 / (variance(x.shape[1]) * budgets[:, l].clamp(min=1))
            for k, v in directions(keys, l, budgets[:, l], x):
                number = k + torch.arange(len(v), device=v.device)[:, None]
                place, there = (first[:, l] + number).clamp(max=self.count - 1), number < budgets[:, l]
                found = (v * x).sum(2) * scale.to(x)
                coefficients.scatter_add_(1, place.T, torch.where(there, found, 0).T)
        return {"seed": keys[:, None], "budgets": budgets.to(torch.int32), "coefficients": coefficients}, mine

    def decode(self, arrays, space):
        keys, coefficients, budgets = arrays["seed"][:, 0], arrays["coefficients"], arrays["budgets"].long()
        rows, first = coefficients.new_zeros(len(keys), space.width), budgets.cumsum(1) - budgets
        for l, x in enumerate(rows.split(_sizes(space), 1)):   # views of rows
            for k, v in directions(keys, l, budgets[:, l], x):
                for i, each in enumerate(v, start=k):   # one after another, so that bits depend on no tile or chunk
                    place = (first[:, l] + i).clamp(max=self.count - 1)[:, None]
                    c = torch.where((i < budgets[:, l])[:, None], coefficients.gather(1, place), 0)
                    x.addcmul_(each, c)
        return rows

    def budgets(self, norms: Tensor) -> Tensor:
        """Directions [C, L] of tensors whose parts have lengths norms [C, L]; K a client. Largest remainders round up.

        >>> SeededProjection(count=10).budgets(torch.tensor([[3.0, 1.0, 0.0]])).tolist()
        [[5, 3, 2]]
        """
        tensors = norms.shape[1]
        least = min(2, self.count // tensors)
        norms = norms.double()
        total = norms.sum(1, keepdim=True)
        shares = torch.where(total > 0, norms / total, 1 / tensors) * (self.count - least * tensors)
        whole = shares.floor()
        left = self.count - least * tensors - whole.sum(1, keepdim=True)
        rank = (whole - shares).argsort(dim=1, stable=True).argsort(1)
        return least + whole.long() + (rank < left).long()


def _sizes(space) -> list[int]:
    return [size for block in space.blocks for size in block.sizes]


def directions(keys: Tensor, l: int, budgets: Tensor, x: Tensor):
    """(k, v [T, C, d]): the directions k, k + 1, … of clients' keys [C] in tensor number l, as many as the largest of
    their budgets [C], a tile at a time; in the type of x [C, d]."""
    most, (clients, d) = int(budgets.max()) if len(budgets) else 0, x.shape
    tile = max(1, TILE // max(1, clients * d))
    keys, edge = seeds.fold(keys, l), math.erf(1 / math.sqrt(2 * d))
    for k in range(0, most, tile):
        some = torch.arange(k, min(k + tile, most), device=keys.device)[:, None]
        u = seeds.uniforms(seeds.fold(keys, some), d)   # the same in every precision
        yield k, torch.erfinv((2 * u.to(x) - 1) * edge) * math.sqrt(2)


def variance(d: int) -> float:
    """rho, of a normal number cut off at b = 1 / sqrt(d): 1 - 2 b phi(b) / (2 Phi(b) - 1), close to 1 / (3 d).

    >>> round(4096 * variance(4096), 5)
    0.33332
    """
    b = d**-0.5
    return 1 - math.sqrt(2 / math.pi) * b * math.exp(-b * b / 2) / math.erf(b / math.sqrt(2))
