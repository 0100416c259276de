import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode
from ..types import Memory
from .feedback import kept, residual


@part
class RandomMask(Encode):
    """Send a random part of the entries; the places follow from a seed, and only the seed goes out with them.

    encode: rows [C, D] -> arrays "seed" [C, 1] int64 and "values" [C, k], k = max(1, round(fraction D)): 4 k + 8 bytes
    in float32. Every client draws its own places in every round. Without feedback values are multiplied by D / k, which
    makes the decoded row right on average; with it they go out as they are, and the residual e [N, D] keeps the rest.
    Raises BadInput for a fraction outside (0, 1]. Source: Konečný et al., Federated Learning: Strategies for Improving
    Communication Efficiency, 2016 (arXiv 1610.05492, random mask and subsampling; a fixed number of places is ours).
    """

    tag = "fewer entries"
    takes = VALUES

    fraction: float = Field(0.1, gt=0, le=1, description="share of the entries that are sent")
    feedback: bool = Field(
        False, description="whether what was left out is added to the client's next row, in place of multiplying what "
                           "is sent")

    def kept(self, width: int) -> int:
        """Entries sent of a row of that width.

        >>> RandomMask(fraction=0.25).kept(10)
        2
        """
        return min(width, max(1, round(self.fraction * width)))

    def init(self, world, space):
        return residual(world, space) if self.feedback else Memory()

    def wire(self, space, dtype):
        return {"seed": (1, torch.int64), "values": (self.kept(space.width), dtype)}

    def encode(self, rows, space, keys, mine):
        if self.feedback:
            rows = rows + mine.own["residual"]
        values = rows.gather(1, self._places(keys, rows))
        if not self.feedback:
            values *= space.width / values.shape[1]
        arrays = {"seed": keys[:, None], "values": values}
        return arrays, kept(rows, self.decode(arrays, space), mine) if self.feedback else mine

    def decode(self, arrays, space):
        values = arrays["values"]
        rows = values.new_zeros(len(values), space.width)
        return rows.scatter_(1, self._places(arrays["seed"][:, 0], rows), values)

    def _places(self, seed, rows):
        width = rows.shape[1]
        return seeds.permutations(seed, width)[:, :self.kept(width)].to(rows.device)
