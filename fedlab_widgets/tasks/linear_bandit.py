import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..shards import Data
from ..slots import Classification

TESTED = 2000        # users in the test set
MOST = 250_000_000   # numbers: 1 GB


@part
class LinearBandit(Classification):
    """Users of several silos, each with a few arms to choose from; an arm's reward is linear in its features.

    load: x [users, arms, dimension] float32, the features of each user's arms, of length 1, in directions drawn evenly;
    y the arm with the largest mean reward x . theta; client the silo, named "silo 1": use it with partition=
    fl.Natural(). `theta()` [dimension] has length 1 and is the same for all silos; a chosen arm's reward is x . theta +
    N(0, noise^2), drawn where it is chosen (local training LinUCB), by keys. One group; 2000 more users are the test
    set. The engine holds out a fifth of each silo's users, who are never met: of 2500 users 2000 are. Rewards have no
    bound here, and a mechanism of privacy must cut them. Raises BadInput for fields out of range, and for
    more than a gigabyte of features.
    Source: the synthetic experiments of Zhou & Chowdhury (see LinUCB), at laptop scale; there 100 silos of 10,000
    users, 100 arms and dimension 10, noise 0.5. How features are drawn there was not verified.
    """

    apart = True

    silos: int = Field(20, ge=1, le=1000, description="silos, each a client")
    users: int = Field(2500, ge=5, le=100_000, description="users of a silo, a fifth of whom are held out")
    arms: int = Field(20, ge=2, le=1000, description="what each user may be given, with features of their own")
    dimension: int = Field(5, ge=1, le=50, description="features of an arm")
    noise: float = Field(0.5, ge=0, le=10, description="deviation of a reward from its mean")
    draw: int = Field(0, ge=0, le=2**53 - 1, description="of users and theta; the run's own seed leaves them alone")

    def theta(self) -> torch.Tensor:
        """What is to be learned [dimension], float64, of length 1."""
        drawn = seeds.normals(seeds.keys(self.draw, "bandit theta", 0, 0), self.dimension, torch.float64)
        return drawn / drawn.norm()

    def load(self):
        if (size := self.silos * self.users * self.arms * self.dimension) > MOST:
            raise BadInput(f"task.users = {self.users} in {self.silos} silos, {self.arms} arms of {self.dimension} "
                           f"features, are {size:,} numbers, more than {MOST:,}; lower one of them")
        owner = torch.arange(self.silos).repeat_interleave(self.users)
        (x, y), (test_x, test_y) = (self._users(purpose, count) for purpose, count in
                                    (("bandit users", len(owner)), ("bandit test users", TESTED)))
        return Data(x, y, torch.zeros_like(y), test_x, test_y, torch.zeros_like(test_y), groups=("all",), client=owner,
                    labels=tuple(f"arm {a + 1}" for a in range(self.arms)),
                    client_names=tuple(f"silo {i + 1}" for i in range(self.silos)))

    def _users(self, purpose: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [count, arms, dimension] and the best arm [count] of users."""
        keys = seeds.keys(self.draw, purpose, 0, torch.arange(count))
        x = seeds.normals(keys, self.arms * self.dimension).view(count, self.arms, self.dimension)
        x = x / x.norm(dim=2, keepdim=True)
        return x, (x.double() @ self.theta()).argmax(1)
