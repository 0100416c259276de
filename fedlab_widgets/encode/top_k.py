import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..part import part
from ..slots import VALUES, Encode
from ..types import Memory, Table


@part
class TopK(Encode):
    """Send only the largest entries, with their places; what is left out joins the next row (error feedback).

    Of each block of width W the k = max(1, round(fraction W)) entries of largest size go out: arrays "places"
    [C, sum k] int32 and "values" [C, sum k], 8 bytes an entry in float32. With feedback the client's
    residual e [N, D] is kept: it sends top_k(row + e) and keeps the rest. Blocks are cut separately, so that a small
    one is not starved.
    Raises BadInput for a fraction outside (0, 1]. Source: Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS
    2018 (Algorithm 1: one vector; the cut by blocks is ours).
    """

    tag = "fewer entries"

    takes, smooth = VALUES, False   # of two entries of one size, rounding says which goes

    fraction: float = Field(0.1, gt=0, le=1, description="share of the entries that are sent")
    feedback: bool = Field(True, description="whether what was left out is added to the client's next row")

    def kept(self, width: int) -> int:
        """Entries sent of a block of that width.

        >>> TopK(fraction=0.25).kept(10)
        2
        """
        return min(width, max(1, round(self.fraction * width)))

    def init(self, world, space):
        if not self.feedback:
            return Memory()
        zero = torch.zeros(space.width, dtype=world.dtype, device=world.device)
        return Memory(own={"residual": Table(world.clients, zero)})

    def wire(self, space, dtype):
        k = sum(self.kept(b.width) for b in space.blocks)
        return {"places": (k, torch.int32), "values": (k, dtype)}

    def encode(self, rows, space, keys, mine):
        if self.feedback:
            rows = rows + mine.own["residual"]
        places, at = [], 0
        for block in space.blocks:
            part = rows[:, at:at + block.width]
            places.append(largest(part, self.kept(block.width)) + at)
            at += block.width
        places = torch.cat(places, dim=1)
        arrays = {"places": places.to(torch.int32), "values": rows.gather(1, places)}
        if self.feedback:
            mine = Memory({"residual": rows.scatter_(1, places, 0.0)}, mine.shared)
        return arrays, mine

    def decode(self, arrays, space):
        rows = arrays["values"].new_zeros(len(arrays["values"]), space.width)
        return rows.scatter_(1, arrays["places"].long(), arrays["values"])


def largest(rows: Tensor, k: int) -> Tensor:
    """The places [C, k], ascending, of the k entries of largest size in each of rows [C, W].

    >>> largest(torch.tensor([[1.0, -3.0, 2.0, 0.5]]), 2).tolist()
    [[1, 2]]
    """
    size = rows.abs()
    if rows.device.type == "cpu":   # NumPy finds the k-th largest in a third of the time that torch's topk takes
        count, width = size.shape
        chosen = size >= torch.from_numpy(np.partition(size.numpy(), width - k, axis=1)[:, width - k, None])
        places = chosen.numpy().ravel().nonzero()[0]
        if len(places) == count * k and count:
            return torch.from_numpy(places).view(count, k) % width
    return size.topk(k, dim=1, sorted=False).indices.sort(dim=1).values   # a GPU, equal sizes, or no number
