"""Language models trained by a few well-connected workers that seldom synchronise: six novels, a worker each.

Where we differ from the papers: there 8 workers learn from C4 with 500 inner steps between two synchronisations, and a
model of a billion weights from Dolma with 100; here a transformer of 31 thousand learns Austen's characters, with 30.
Step sizes are constant, and what streaming workers download is not in 4 bits. All three recipes take 300 steps.

Data-parallel training, which they are held against, takes a step a round: Adam at the server on the mean gradient,
without decay and bias correction. With beta2 = 0.99 its first step is as long as AdamW's, the next are up to 2.2 times
as long ((1 - 0.9^t) / sqrt(1 - 0.99^t), largest at t = 13), the 100th is 1.26 times and the 300th 1.03 times as long.
"""

from ..aggregate import Mean
from ..distribute import Changes
from ..encode import Float4
from ..evaluate import Accuracy, Writing
from ..local import SGD, AdamW, Streaming
from ..nets import CharTransformer
from ..partition import ByGroup
from ..server import Adaptive, Momentum
from ..spec import Evaluation
from ..tasks import Austen
from .book import enter

NOVELS = {"task": Austen(), "net": CharTransformer(), "partition": ByGroup(clients=6, skew=1.0),
          "aggregate": Mean(weights="uniform")}
OUTER = {"server": Momentum(lr=0.7, beta=0.9, nesterov=True)}
READINGS = (Accuracy(), Writing())

data_parallel = enter(
    "data-parallel", "the mean gradient of all workers in every step: what rare synchronisation is held against",
    "Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, arXiv 1706.02677",
    **NOVELS, local=SGD(lr=1.0, steps=1, batch=16), server=Adaptive(lr=3e-3, beta2=0.99, tau=1e-8),
    evaluate=Evaluation(every=60, clients=2, readings=READINGS), rounds=300,
)

diloco = enter(
    "diloco", "workers take 30 steps of AdamW before they synchronise by a server with momentum: a 30th of the bytes",
    "Douillard et al., DiLoCo: Distributed Low-Communication Training of Language Models, arXiv 2311.08105",
    **NOVELS, **OUTER, local=AdamW(lr=3e-3, steps=30, batch=16),
    evaluate=Evaluation(every=2, clients=2, readings=READINGS), rounds=10,
)

streaming = enter(
    "streaming-diloco", "DiLoCo in fragments of the model, in turn, in 4 bits, while workers train on",
    "Douillard et al., Streaming DiLoCo with Overlapping Communication, arXiv 2501.18512",
    **NOVELS, **OUTER, distribute=Changes(), encode=Float4(),
    local=Streaming(lr=3e-3, steps=10, batch=16, fragments=3, overlap=1, mix=0.5),
    evaluate=Evaluation(every=5, clients=2, readings=READINGS), rounds=30,
)
