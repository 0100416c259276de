from .book import enter

fedavg = enter(
    "fedavg", "average what clients learn, weighed by their rows; the default experiment",
    "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017",
)
