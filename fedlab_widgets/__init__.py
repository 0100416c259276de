"""FedLab Widgets: see and try federated learning in a notebook. (Not the FedLab simulator.)

     partition             once: who holds which rows of the data
         |
     .-> schedule          who takes part, from which version of the model, at what virtual time
     |   distribute        what they start from                    [C, P]    priced: down
     |   local             what they learn    ( correct, correct… )          \\
     |   privatise.client  local noise, local clipping             [C, D]     | client half: in an executor
     |   encode            rows -> payloads, what really goes out   bytes     / priced: up
     |   - - - - - - - - - the wire - - - - - - - - - - - - - - - - -
     |   decode            payloads -> rows                         [C, D]
     |   attack            what liars sent instead                  [C, D]
     |   privatise.bound   bound each row ……………… and noise          [C, D] … on the sum
     |   aggregate         rows to one row, or rows to rows         [D] or [C, D]
     |   server            the new model                            [P]
     |   evaluate          count tables and sums, many readings
     '-- record            an event, streamed to whoever listens

C = clients in this round, N = all clients, P = columns of the flat model row, D = columns of a row on the wire, B =
batch. A slot is a folder, a base class (`slots.py`) and a dropdown; a part is a small frozen class in it; the round is
written once, in `engine.py`.

>>> import fedlab_widgets as fl
>>> fl.Experiment().changed(rounds=3, aggregate=fl.Median()).aggregate
Median()
"""

import os

# MKL otherwise picks kernels by the alignment of each matrix, and a client's place in a chunk would change its bits. It
# reads this at the process's first product; the cost was not measurable.
os.environ.setdefault("MKL_CBWR", "AUTO")

from .aggregate import Mean, Median
from .attack import LabelFlip, SignFlip
from .audit import audit
from .cluster import Ray
from .contracts import check_part
from .correct import ControlVariate, Proximal
from .distribute import Broadcast, KeepLayers
from .encode import TopK, Update
from .evaluate import Accuracy, Decomposition, Gaps, decompose
from .evaluate.canonical import canonical
from .executors import OneByOne, Stacked
from .local import SGD
from .nets import CNN, MLP, Logistic
from .part import BadInput, catalogue, part
from .partition import IID, ByGroup, Dirichlet, Masked, Natural, Reuse
from .privatise import Gaussian
from .recipes import recipe
from .run import Run, open_run
from .schedule import Fixed, Full, Lockstep, Poisson
from .server import Adaptive, Apply
from .session import run, stream
from .slots import (
    Aggregate,
    Attack,
    Classification,
    Correct,
    Distribute,
    Encode,
    Evaluate,
    Local,
    Net,
    Partition,
    Privatise,
    Sampler,
    Schedule,
    Server,
    Task,
)
from .spec import Evaluation, Experiment
from .tasks import Adult, Arrays, Digits, Mnist, TwoGaussians, from_arrays, from_file, from_frame

__version__ = "0.1.0"


def __getattr__(name: str):
    """The lab is imported when it is asked for: the command line and scripts do without widgets."""
    if name == "Lab":
        from .widgets.lab import Lab

        return Lab
    if name == "WhatIf":
        from .widgets.what_if import WhatIf

        return WhatIf
    if name in ("limits", "frontier"):   # of SciPy's sparse matrices, which few need
        from .evaluate import limits as module

        return getattr(module, name)
    if name == "LimitsPanel":
        from .widgets.limits_panel import LimitsPanel

        return LimitsPanel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CNN", "IID", "MLP", "SGD", "Accuracy", "Adaptive", "Adult", "Aggregate", "Apply", "Arrays", "Attack", "BadInput",
    "Broadcast", "ByGroup", "Classification", "ControlVariate", "Correct", "Decomposition", "Digits", "Dirichlet",
    "Distribute", "Encode", "Evaluate", "Evaluation", "Experiment", "Fixed", "Full", "Gaps", "Gaussian", "KeepLayers",
    "Lab", "LabelFlip", "LimitsPanel", "Local", "Lockstep", "Logistic", "Masked", "Mean", "Median", "Mnist",
    "Natural", "Net", "OneByOne", "Partition", "Poisson", "Privatise", "Proximal", "Ray", "Reuse", "Run", "Sampler",
    "Schedule", "Server", "SignFlip", "Stacked", "Task", "TopK", "TwoGaussians", "Update", "WhatIf", "audit",
    "canonical", "catalogue", "check_part", "decompose", "from_arrays", "from_file", "from_frame", "frontier",
    "limits", "open_run", "part", "recipe", "run", "stream",
]
