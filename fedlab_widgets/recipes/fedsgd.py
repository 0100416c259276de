from ..local import SGD
from .book import enter

fedsgd = enter(
    "fedsgd", "one step on all rows of each client a round: gradient descent, at the price of a model a step",
    "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017",
    local=SGD(lr=0.5, steps=1, batch=None),
)
