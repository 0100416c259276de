import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..slots import Partition


@part
class Shards(Partition):
    """Give every client a few labels only: rows sorted by label are cut into pieces, and each client draws some.

    The rows, sorted by label and shuffled within each, are cut into clients x shards pieces whose sizes differ by at
    most one; every client is dealt `shards` of them at random. With shards = 1 most clients hold one label, with many
    all are nearly alike. A piece may hold the end of one label and the beginning of the next.
    assign: rows -> client [rows]. Raises BadInput for fields out of range, and for more pieces than rows.
    Source: McMahan et al., AISTATS 2017, section 3 (MNIST: 200 shards of 300 rows, two for each of 100 clients).
    """

    tag = "other labels"

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")
    shards: int = Field(2, ge=1, le=1000, description="pieces that each client holds: about as many labels, at most")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        rows, pieces = len(data.y), self.clients * self.shards
        if pieces > rows:
            raise BadInput(f"partition.shards = {self.shards} for {self.clients} clients makes {pieces} pieces of "
                           f"{rows} training rows; give at most {rows // self.clients}, or fewer clients")
        order = seeds.permutations(seeds.fold(key, 0), rows)
        order = order[data.y[order].argsort(stable=True)]
        dealt = seeds.permutations(seeds.fold(key, 1), pieces) // self.shards   # the client of each piece
        owner = torch.empty_like(order)
        owner[order] = dealt[torch.arange(rows) * pieces // rows]
        return owner
