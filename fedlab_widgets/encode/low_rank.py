import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import VALUES, Encode
from ..types import Memory, Table
from .feedback import kept, residual


@part
class LowRank(Encode):
    """Send every weight matrix as a product of two thin ones, found by one step of power iteration from the last round.

    encode: rows [C, D] -> arrays "left" and "right" [C, sum n r], [C, sum m r] and "rest". A tensor of the net with
    first dimension n and m entries in each of these is a matrix M [n, m]; with the client's Q [m, r] of its last round,
    P = orthonormal(M Q), Q = M^T P: 4 r (n + m) bytes in float32, decoded as P Q^T. Biases, and whatever two factors
    would not make smaller, go out as they are. With feedback the residual e [N, D] keeps M - P Q^T. Own: "basis" [N,
    sum m r], random before the first round.
    Raises BadInput for a rank out of range. Source: Vogels, Karimireddy, Jaggi, PowerSGD, NeurIPS 2019 (arXiv
    1905.13727), Algorithm 1. There all workers average P before it is made orthonormal, and then Q: two exchanges a
    step, one common basis, and an average of rank r. Here a round is one exchange: each client sends both factors of
    its own matrix, and the average of C clients has rank up to C r. The bytes up are the same.
    """

    tag = "low rank"

    takes, smooth = VALUES, False   # where a matrix has a lower rank, rounding chooses the other directions

    rank: int = Field(1, ge=1, le=256, description="columns of the two thin matrices")
    feedback: bool = Field(True, description="whether what the product misses is added to the client's next row")

    def matrices(self, space) -> list[tuple[int, int, int]]:
        """(first column, n, m) of every tensor of the rows that two factors make smaller."""
        found, at = [], 0
        for block in space.blocks:
            inside = at
            for shape in block.shapes:
                n, size = shape[0] if shape else 1, torch.Size(shape).numel()
                m = size // max(n, 1)
                if self.rank * (n + m) < size:
                    found.append((inside, n, m))
                inside += size
            at += block.width
        return found

    def init(self, world, space):
        mine = residual(world, space) if self.feedback else Memory()
        wide = sum(m for _, _, m in self.matrices(space)) * self.rank
        if not wide:
            return mine
        basis = seeds.normals(world.keys("encode basis", 0, 0), wide).to(world.device, world.dtype)
        return mine | Memory({"basis": Table(world.clients, basis)})

    def wire(self, space, dtype):
        found = self.matrices(space)
        rest = space.width - sum(n * m for _, n, m in found)
        return {"left": (self.rank * sum(n for _, n, _ in found), dtype),
                "right": (self.rank * sum(m for _, _, m in found), dtype), "rest": (rest, dtype)}

    def encode(self, rows, space, keys, mine):
        if self.feedback:
            rows = rows + mine.own["residual"]
        left, right, rest, at, done = [rows[:, :0]], [rows[:, :0]], [rows[:, :0]], 0, 0
        for first, n, m in self.matrices(space):
            rest.append(rows[:, done:first])
            whole = rows[:, first:first + n * m].reshape(len(rows), n, m)
            basis = mine.own["basis"][:, at:at + m * self.rank].view(len(rows), m, self.rank)
            p = torch.linalg.qr(whole @ basis).Q
            left.append(p.flatten(1))
            right.append((whole.transpose(1, 2) @ p).flatten(1))
            at, done = at + m * self.rank, first + n * m
        arrays = {"left": torch.cat(left, 1), "right": torch.cat(right, 1),
                  "rest": torch.cat([*rest, rows[:, done:]], 1)}
        if len(left) > 1:
            mine = Memory(mine.own | {"basis": arrays["right"]}, mine.shared)
        return arrays, kept(rows, self.decode(arrays, space), mine) if self.feedback else mine

    def decode(self, arrays, space):
        rows, left, right, rest, done = [], 0, 0, 0, 0
        for first, n, m in self.matrices(space):
            p = arrays["left"][:, left:left + n * self.rank].view(len(arrays["left"]), n, self.rank)
            q = arrays["right"][:, right:right + m * self.rank].view(len(arrays["right"]), m, self.rank)
            rows += [arrays["rest"][:, rest:rest + first - done], (p @ q.transpose(1, 2)).flatten(1)]
            left, right, rest = left + n * self.rank, right + m * self.rank, rest + first - done
            done = first + n * m
        return torch.cat([*rows, arrays["rest"][:, rest:]], 1)
