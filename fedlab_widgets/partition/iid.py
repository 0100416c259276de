import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Partition


@part
class IID(Partition):
    """Deal the shuffled rows out evenly: every client is a small copy of the whole.

    assign: rows -> client [rows]; sizes differ by at most one.
    Raises BadInput for clients out of range. Source: textbook; first of the three splits of the PID study
    (Hamman & Dutta, ICLR 2024).
    """

    tag = "alike"

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        order = seeds.permutations(key, len(data.y))
        owner = torch.empty_like(order)
        owner[order] = torch.arange(len(order)) % self.clients
        return owner
