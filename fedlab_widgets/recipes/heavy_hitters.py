"""The most frequent items of users of several parties, each user under local differential privacy."""

from ..aggregate import SumByItem
from ..distribute import Survivors
from ..evaluate import Accuracy
from ..local import PrefixExtension
from ..nets import PrefixTree
from ..partition import Natural
from ..spec import Evaluation
from ..tasks import Items
from .book import enter

PAPER = ("Zhang, Ye, Hu, Federated Heavy Hitter Analytics with Local Differential Privacy, SIGMOD 2025 (arXiv "
         "2412.14832)")
LINE = {"task": Items(), "partition": Natural(), "distribute": Survivors(), "aggregate": SumByItem(), "rounds": 8,
        "evaluate": Evaluation(readings=(Accuracy(),))}

heavy_hitters = enter(
    "heavy-hitters", "the most frequent items, from one private report a user: a tree of prefixes, begun together and "
    "finished party by party", PAPER, net=PrefixTree(width=40), local=PrefixExtension(), **LINE)
fedpem = enter(
    "fedpem", "heavy hitters where every party grows a tree of its own, of fixed width, and the server adds up what "
    "they found: what heavy-hitters is held against", PAPER, net=PrefixTree(width=10), local=PrefixExtension(shared=0),
    **LINE)
