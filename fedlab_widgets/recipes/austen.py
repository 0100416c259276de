"""Text: the next character of Jane Austen's novels, learned by ten chapters a round.

Where we differ from the paper: there an LSTM guesses Shakespeare's characters, a client a role; here they are Austen's,
a client a chapter, and the net is a transformer small enough for a laptop. `fedlab_widgets.text.write` shows what a
run can write.
"""

from ..evaluate import Accuracy, Writing
from ..local import SGD
from ..nets import CharTransformer
from ..partition import Natural
from ..schedule import Fixed, Lockstep
from ..spec import Evaluation
from ..tasks import Austen
from .book import enter

austen = enter(
    "austen", "which character comes next? a small transformer learns to write from chapters of six novels",
    "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017",
    task=Austen(), net=CharTransformer(), partition=Natural(), schedule=Lockstep(sampler=Fixed(m=10)),
    local=SGD(lr=0.2, momentum=0.9, clip=1.0),
    evaluate=Evaluation(every=10, clients=30, readings=(Accuracy(), Writing())), rounds=60,
)
