"""Hamman and Dutta's synthetic set at two clients: the label nearly tells the group, so to be right is to be unfair.

Where we differ from the released code (read, not run): there the set serves for the limits of accuracy, with 1000
points, a logistic regression fitted at once, and three splits of which this is the first; the others are
`pid-synthetic-skew` and `pid-synthetic-masked`. Here there are 10,000 points, because parts are read on a fifth of each
client's rows, and the regression is learned by federated averaging.
"""

from ..local import SGD
from ..nets import Logistic
from ..partition import IID
from ..tasks.synthetic import TwoGaussians
from .book import enter
from .pid_splits import PAPER

pid_synthetic = enter(
    "pid-synthetic", "two Gaussians whose label nearly tells the group: disparity is large, and unique", PAPER,
    task=TwoGaussians(rows=10_000), net=Logistic(), partition=IID(clients=2), local=SGD(lr=0.1, batch=128), rounds=10,
)
