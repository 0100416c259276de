"""Hamman and Dutta's three ways of dealing Adult to two clients, each of which makes one part of disparity large.

What the released code does was read, not run (github FaisalHamman/FairFL-PID); no number of the paper is quoted. We
differ in what is common to all three:

- sex is withheld from the model (there it is among the inputs); `task.withhold=False` brings it back;
- accuracy is read on the official test rows, gaps and parts on held-out rows of the clients (there on training rows);
- statistical parity is a difference of rates (there, of joint probabilities);
- training is plain SGD for 30 rounds of 2 epochs in batches of 128, and the net has one hidden layer of 64 (there Adam
  at 0.01, 50 rounds of 10 epochs, batches of 1000, two hidden layers of 32);
- clients learn without a penalty (there with one on the gap of statistical parity inside the client).

And in the splits: ours keep an exact share of the rows at home. For the limits of accuracy the released code sends 92 %
of men and 8 % of women to one client and swaps 1 % of the smaller one at random; its training runs skew sex less. Its
lambda is a number of random swaps between two halves of equal size; ours are as large as the rows that belong to them.
"""

from ..local import SGD
from ..partition import IID, ByGroup, Masked
from .book import enter

PAPER = ("Hamman & Dutta, Demystifying Local and Global Fairness Trade-offs in Federated Learning Using Partial "
         "Information Decomposition, ICLR 2024 (arXiv 2307.11333)")
TRAINING = SGD(lr=0.1, epochs=2, batch=128)

pid_iid = enter(
    "pid-iid", "two clients alike: disparity is unique", PAPER,
    partition=IID(clients=2), local=TRAINING,
)

pid_sex_skew = enter(
    "pid-sex-skew", "one client of mostly women, one of mostly men: disparity is redundant", PAPER,
    partition=ByGroup(clients=2, skew=0.92), local=TRAINING,
)

pid_masked = enter(
    "pid-masked", "two clients unfair in opposite directions: disparity is masked, local far above global", PAPER,
    partition=Masked(clients=2, lam=0.9), local=TRAINING,
)
