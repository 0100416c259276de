import torch
from pydantic import Field
from torch import Tensor, nn

from ..nets.branches import count, most_moved, unfit
from ..part import part
from ..slots import VALUES, Encode


@part
class OneBranch(Encode):
    """Send the one branch of the net that was trained, and its number.

    encode: rows [C, D] -> arrays "branch" [C, 1] int32 and "values" [C, D / branches], the piece of the row that moved
    most: 4 D / branches + 4 bytes in float32, where sending the row as it is costs 4 D. Lossless after LeastLoss, whose
    other branches do not move. With one branch it sends all. Raises BadInput for branches out of range, or other than
    the net has. Source: Ghosh et al., NeurIPS 2020 (see LeastLoss): clients send their model and their choice.
    """

    tag = "fewer entries"

    takes, smooth = VALUES, False   # of two branches that moved as far, rounding says which goes

    branches: int = Field(1, ge=1, le=16, description="how many branches the net has")

    def lacks(self, plan):
        yield from unfit(self, plan)
        k = count(plan.world)
        if self.branches != k:
            yield (f"encode.branches = {self.branches}, and the net has {k if k > 1 else 'no branches'}; "
                   + (f"set encode.branches to {k}" if k > 1 else "set encode to 'update', or net to 'branches'"))

    def wire(self, space, dtype):
        return {"branch": (1, torch.int32), "values": (-(-space.width // self.branches), dtype)}

    def encode(self, rows, space, keys, mine):
        pieces = self._pieces(rows)
        which = most_moved(pieces)[0]
        return {"branch": which[:, None].to(torch.int32),
                "values": pieces[torch.arange(len(rows), device=rows.device), which]}, mine

    def decode(self, arrays, space):
        values, which = arrays["values"], arrays["branch"].long()
        pieces = nn.functional.one_hot(which, self.branches).to(values).transpose(1, 2) * values[:, None]
        return pieces.flatten(1)[:, :space.width]

    def _pieces(self, rows: Tensor) -> Tensor:
        """rows [C, D] -> [C, branches, W]; zeros fill up the last piece where D is no multiple."""
        return nn.functional.pad(rows, (0, -rows.shape[1] % self.branches)).unflatten(1, (self.branches, -1))
