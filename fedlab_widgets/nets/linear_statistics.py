import torch
from pydantic import Field
from torch import Tensor, nn

from ..part import BadInput, part
from ..slots import Net


def places(d: int) -> Tensor:
    """Where entry (i, j) of a symmetric matrix lies in its upper triangle, row by row: [d, d] int64.

    >>> places(2).tolist()
    [[0, 1], [1, 2]]
    """
    i, j = torch.triu_indices(d, d)
    found = torch.zeros(d, d, dtype=torch.int64)
    found[i, j] = found[j, i] = torch.arange(len(i))
    return found


class Statistics(nn.Module):
    """The statistics of least squares; the answer to a user is the mean reward of each arm that they estimate."""

    def __init__(self, d: int, ridge: float):
        super().__init__()
        self.gram, self.bias = nn.Parameter(torch.zeros(d * (d + 1) // 2)), nn.Parameter(torch.zeros(d))
        self.ridge = ridge
        self.register_buffer("places", places(d))

    @property
    def dimension(self) -> int:
        return len(self.bias)

    def theta(self) -> Tensor:
        """(gram + ridge I)^-1 bias [d]."""
        matrix = self.gram[self.places]
        matrix = matrix + self.ridge * torch.eye(self.dimension, dtype=matrix.dtype, device=matrix.device)
        return torch.linalg.solve_ex(matrix, self.bias[:, None])[0][:, 0]   # which does not raise where it is singular

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.theta()


@part
class LinearStatistics(Net):
    """What silos have summed over their users, for linear bandits: the model is a Gram matrix and a vector.

    build: features x [B, K, d] of K arms -> x . theta [B, K], theta = (gram + ridge I)^-1 bias [d]. Weights: gram, the
    upper triangle [d (d + 1) / 2] of sum x x^T over chosen arms, and bias [d], the sum of x times its reward; both zero
    at first. So accuracy says how often the greedy choice is the best arm. To be used with the local training LinUCB,
    whose first synchronisation brings its own regulariser. Raises BadInput for ridge out of range, and for rows that
    are not arms with features. Source: ridge regression, as kept by LinUCB (Abbasi-Yadkori et al., NeurIPS 2011).
    """

    ridge: float = Field(0.001, gt=0, le=1000, description="added to the diagonal, so that empty sums have an answer")

    def build(self, inputs, outputs):
        if len(inputs) != 2 or inputs[0] != outputs:
            raise BadInput(f"net = linear_statistics reads the features of arms, [arms, dimension] of as many arms as "
                           f"labels ({outputs}), and these rows are {list(inputs)}; set task to 'linear_bandit', or "
                           "choose another net")
        return Statistics(inputs[1], self.ridge)
