"""The slot of links between clients, and the weights with which a client mixes what comes over them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from ..part import Part


class Topology(Part):
    """Which clients send to which, round by round."""

    slot = "topology"
    changes: ClassVar[bool] = False   # whether links are others in another round

    @abstractmethod
    def edges(self, clients: int, round: int, key: Tensor) -> Tensor:
        """Links [2, E] int64 from client to client, each direction a column; none to itself, none twice.

        `key` [] is the run's, the same in every round: links that change follow from it and the round, from 1.
        """

    def unfit(self, clients: int) -> Iterable[str]:
        """What keeps this many clients from being linked so: sentences, each with the way out."""
        return ()

    def lacks(self, plan):
        yield from self.unfit(plan.world.clients)


def both_ways(a: Tensor, b: Tensor) -> Tensor:
    """Links [2, E] that go from a [E / 2] to b [E / 2] and back.

    >>> both_ways(torch.tensor([0]), torch.tensor([1])).tolist()
    [[0, 1], [1, 0]]
    """
    return torch.stack([torch.cat([a, b]), torch.cat([b, a])])


def among(edges: Tensor, clients: int, ids: Tensor) -> Tensor:
    """Of links [2, E] between all clients those between clients ids [C], as places 0 .. C - 1 in `ids`.

    >>> among(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3, torch.tensor([2, 0])).tolist()
    [[0], [1]]
    """
    place = torch.full((clients,), -1)
    place[ids] = torch.arange(len(ids))
    edges = place[edges]
    return edges[:, (edges >= 0).all(0)]


def mixing(edges: Tensor, count: int, keep: float | None, like: Tensor) -> Tensor:
    """The matrix [C, C], C = count, of what each client (a row) takes of each (a column), in the type of `like`.

    A client keeps the share `keep` of its own, and all it hears share the rest alike; None: its own counts like one of
    them. Who hears nobody keeps all. Sparse where that is faster: rows sum to 1, of which most entries are zero.

    >>> mixing(torch.tensor([[0, 1], [1, 2]]), 3, None, torch.zeros(1)).to_dense().tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    heard = torch.bincount(edges[1], minlength=count).double()
    own = 1 / (heard + 1) if keep is None else torch.where(heard > 0, keep, 1.0)
    each = ((1 - own) / heard.clamp(min=1))[edges[1]]
    itself = torch.arange(count)
    places = torch.cat([torch.stack([itself, itself]), edges.flip(0)], dim=1)
    matrix = torch.sparse_coo_tensor(places, torch.cat([own, each]), (count, count), check_invariants=False).coalesce()
    # A sparse product on a GPU adds in any order, so that a run could not be repeated bit for bit.
    dense = like.is_cuda or 8 * places.shape[1] > count * count
    return (matrix.to_dense() if dense else matrix).to(like.device, like.dtype)
