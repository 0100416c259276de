"""FedLab Widgets: see and try federated learning in a notebook. (Not the FedLab simulator.)

     partition             once: who holds which rows of the data
         |
     .-> schedule          who takes part, from which version of the model, at what virtual time
     |   distribute        what they start from                    [C, P]    priced: down
     |   fairness          what they are asked and told before     [C, A] [C, T]  priced: up, down
     |   local             what they learn    ( correct, correct… )          \\
     |   privatise.client  local noise, local clipping             [C, D]     | client half: in an executor
     |   encode            rows -> payloads, what really goes out   bytes     / priced: up, once a link
     |   - - - - - - - - - the wire - - - - - - - - - - - - - - - - -
     |   decode            payloads -> rows                         [C, D]
     |   attack            what liars sent instead                  [C, D]
     |   local.replay      seeds and scalars become rows again      [C, D]
     |   privatise.bound   bound each row ……………… and noise          [C, D] … on the sum
     |   aggregate         rows to one row, or rows to rows         [D] or [C, D]
     |   server            the new model                            [P]
     |   distribute.after  what comes back to each client           [C, P]    priced: down
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
from importlib import import_module

# MKL otherwise picks kernels by the alignment of each matrix, and a client's place in a chunk would change its bits. It
# reads this at the process's first product; the cost was not measurable.
os.environ.setdefault("MKL_CBWR", "AUTO")

from . import (
    aggregate,
    attack,
    correct,
    distribute,
    encode,
    fairness,
    local,
    nets,
    oracle,
    partition,
    personalise,
    privatise,
    schedule,
    server,
    tasks,
    topology,
)
from .aggregate import *  # noqa: F403  (each folder says in its __all__ which parts it has)
from .attack import *  # noqa: F403
from .audit import audit
from .cluster import Ray
from .contracts import check_part
from .correct import *  # noqa: F403
from .distribute import *  # noqa: F403
from .encode import *  # noqa: F403
from .evaluate import Accuracy, Decomposition, Gaps, Writing, decompose
from .evaluate.backdoor import attack_success
from .evaluate.canonical import canonical
from .executors import OneByOne, Stacked
from .fairness import *  # noqa: F403
from .local import *  # noqa: F403
from .nets import *  # noqa: F403
from .oracle import *  # noqa: F403
from .part import BadInput, catalogue, part
from .partition import *  # noqa: F403
from .personalise import *  # noqa: F403
from .privatise import *  # noqa: F403
from .recipes import recipe
from .run import Run, open_run
from .schedule import *  # noqa: F403
from .server import *  # noqa: F403
from .session import run, stream
from .slots import (
    Aggregate,
    Attack,
    Classification,
    Correct,
    Distribute,
    Encode,
    Evaluate,
    Fairness,
    Local,
    Net,
    Partition,
    Personalise,
    Privatise,
    Sampler,
    Schedule,
    Server,
    Task,
)
from .spec import Evaluation, Experiment
from .sweep import sweep
from .tasks import *  # noqa: F403
from .text import write
from .topology import *  # noqa: F403

__version__ = "0.1.0"


# What is imported when it is asked for: the command line and scripts do without widgets, figures and sparse matrices.
_LATER = {"Lab": ".widgets.lab", "LimitsPanel": ".widgets.limits_panel", "WhatIf": ".widgets.what_if",
          "SweepPanel": ".widgets.sweep_panel", "accuracy_per_megabyte": ".figure_bytes",
          "frontier": ".evaluate.limits", "limits": ".evaluate.limits"}


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)


__all__ = [
    "Accuracy", "Aggregate", "Attack", "BadInput", "Classification", "Correct", "Decomposition", "Distribute", "Encode",
    "Evaluate", "Evaluation", "Experiment", "Fairness", "Gaps", "Lab", "LimitsPanel", "Local", "Net", "OneByOne",
    "Partition", "Personalise", "Privatise", "Ray", "Run", "Sampler", "Schedule", "Server", "Stacked", "SweepPanel",
    "Task", "WhatIf", "Writing",
    "accuracy_per_megabyte", "attack_success", "audit", "canonical", "catalogue", "check_part", "decompose", "frontier",
    "limits", "open_run", "part", "recipe", "run", "stream", "sweep", "write",
    *aggregate.__all__, *attack.__all__, *correct.__all__, *distribute.__all__, *encode.__all__, *fairness.__all__,
    *local.__all__, *nets.__all__, *oracle.__all__, *partition.__all__, *personalise.__all__, *privatise.__all__,
    *schedule.__all__, *server.__all__, *tasks.__all__, *topology.__all__,
]
