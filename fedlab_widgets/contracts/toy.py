"""A tiny world around one part: 220 rows, two groups, ten clients, a logistic net, four rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from pydantic import Field

from ..aggregate import Collaborators, Gossip, Mean, SumByItem
from ..correct import Critical
from ..distribute import Changes, LastSent, Order, OwnModels, Rebuilt, Survivors
from ..engine import advance
from ..evaluate import Accuracy, Writing
from ..executors import Executor, Stacked
from ..local import SGD, LinUCB, PrefixExtension, RankSGD, SeededSteps, Streaming
from ..nets import MLP, CharTransformer, LinearStatistics, Logistic, PrefixTree, SuperMask
from ..part import BadInput, Part, slot
from ..partition import IID
from ..plan import Plan, begin, prepare
from ..privatise import CorrelatedNoise
from ..schedule import InTurn, Lockstep
from ..schedule.asynchronous import Asynchronous
from ..server import ScoresByRank
from ..session import one_thread
from ..shards import Data
from ..slots import Task
from ..spec import Evaluation, Experiment
from ..tasks import Arrays, Austen, Items, LinearBandit, from_arrays
from ..topology import Ring
from ..types import Kind, State, never
from ..world import world_of

ROWS, CLIENTS, ROUNDS, WARM = 220, 10, 4, 2
BASE = {"name": "contract", "rounds": ROUNDS, "seed": 3}


class Excerpt(Task):
    """The first rows of another task, so that a contract on MNIST takes no minute.

    load: at most 176 rows [176, ...] to learn from and 44 to test on. Raises what the task raises. Source: none.
    """

    name = "excerpt"

    of: slot(Task) = Field(..., description="the task whose rows are taken")

    def load(self):
        data = _loaded(self.of)
        cut = {k: v[:176] for k, v in vars(data).items() if k in ("x", "y", "group")}
        cut |= {k: v[:44] for k, v in vars(data).items() if k.startswith("test_")}
        return replace(data, **cut, client=None)

    def loss(self, outputs, y):
        return self.of.loss(outputs, y)


@lru_cache(maxsize=1)
def _loaded(task: Task) -> Data:
    return task.load()


def _rows(shape: tuple[int, ...]) -> Arrays:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(ROWS, *shape))
    group = draw.integers(0, 2, ROWS)
    y = (x.reshape(ROWS, -1)[:, :3].sum(1) + group + draw.normal(size=ROWS) > 0.5).astype(int)
    return from_arrays(x, y, group=group, client=np.arange(ROWS) % CLIENTS, favourable=1,
                       name="contract rows")


@lru_cache(maxsize=1)
def table() -> Arrays:
    """Five columns, two labels, two groups, and who holds each row."""
    return _rows((5,))


@lru_cache(maxsize=1)
def images() -> Arrays:
    """The same as grey images of 8 x 8."""
    return _rows((1, 8, 8))


@lru_cache(maxsize=1)
def tokens() -> Arrays:
    """Six tokens in a row, of seven; the last one is the label."""
    x = np.random.default_rng(0).integers(0, 7, (ROWS, 6))
    return from_arrays(x, x[:, -1], client=np.arange(ROWS) % CLIENTS, name="contract tokens")


def _net(net: Part) -> dict:
    """A net, with the first of the toy tasks that it can read, unless it has one of its own."""
    if "task" in beside(net):
        return {"net": net}
    for task in (table(), images(), tokens()):
        e = Experiment(**BASE, net=net, task=task)
        try:
            prepare(e, world_of(e, torch.device("cpu")))
            return {"net": net, "task": task}
        except BadInput as error:
            reason = error
    raise reason


def beside(part: Part) -> dict:
    """What a part cannot do without: the other parts that it was made to work with."""
    by_rank = {"net": SuperMask(of=Logistic()), "local": RankSGD(lr=0.1, batch=8), "distribute": Order(),
               "server": ScoresByRank()}
    alike = {"local": SGD(steps=3, batch=8, correct=(Critical(),)), "aggregate": Collaborators()}
    if isinstance(part, (RankSGD, Order, ScoresByRank)) or getattr(part, "takes", None) == {Kind.RANKS}:
        return by_rank
    if isinstance(part, (Critical, Collaborators)):
        return alike | {"distribute": OwnModels()}
    if isinstance(part, OwnModels) or part.slot == "topology":
        return {"aggregate": Gossip(topology=Ring()), "distribute": OwnModels()}
    if getattr(part, "returns_rows", False):
        return {"distribute": OwnModels()}
    if isinstance(part, Asynchronous):
        return {"distribute": LastSent(), "aggregate": Mean(weights="uniform", denominator="expected")}
    if isinstance(part, (PrefixExtension, PrefixTree, SumByItem, Survivors)) or part.slot == "oracle":
        return {"task": Items(users=(22,) * 10, bits=8, common=4, local=2, rare=40, k=3), "net": PrefixTree(width=12),
                "local": PrefixExtension(shared=2, k=3), "aggregate": SumByItem()}
    if isinstance(part, Rebuilt):
        return {"local": SeededSteps(directions=32, steps=8)}
    if isinstance(part, (Streaming, Changes)):
        return {"net": MLP(hidden=(6, 5)), "distribute": Changes(), "local": Streaming(steps=3, batch=8)}
    if isinstance(part, LinUCB):   # 6 rounds of 25 users, and a fifth held out
        return {"task": LinearBandit(silos=10, users=190, arms=3, dimension=2), "net": LinearStatistics()}
    if isinstance(part, LinearStatistics):
        return {"task": LinearBandit(silos=10, users=22, arms=3, dimension=2)}
    if isinstance(part, Writing):
        return {"task": Austen(stride=1000), "net": CharTransformer(width=4, layers=1, heads=1)}
    if isinstance(part, CorrelatedNoise):
        return {"schedule": Lockstep(sampler=InTurn(size=5))}
    return {}


# How a part of each slot is put into an experiment, and where its fields are found in it.
PLACES: dict[str, tuple[str, Callable[[Part], dict]]] = {
    "task": ("task.of", lambda p: {"task": Excerpt(of=p)}),
    "net": ("net", _net),
    "partition": ("partition", lambda p: {"partition": p, "task": images()}),   # some turn them
    "topology": ("aggregate.topology", lambda p: {"aggregate": Gossip(topology=p)}),
    "oracle": ("local.oracle", lambda p: {"local": PrefixExtension(shared=2, k=3, oracle=p)}),
    "sampler": ("schedule.sampler", lambda p: {"schedule": Lockstep(sampler=p)}),
    "schedule": ("schedule", lambda p: {"schedule": p}),
    "distribute": ("distribute", lambda p: {"distribute": p}),
    "fairness": ("fairness.0", lambda p: {"fairness": p}),
    "local": ("local", lambda p: {"local": p}),
    "personalise": ("personalise", lambda p: {"personalise": p}),
    "correct": ("local.correct.0", lambda p: {"local": SGD(steps=3, batch=8, correct=(p,))}),
    "encode": ("encode", lambda p: {"encode": p}),
    "attack": ("attack", lambda p: {"attack": p}),
    "privatise": ("privatise", lambda p: {"privatise": p,
                                          "aggregate": Mean(weights="uniform", denominator="expected")}),
    "aggregate": ("aggregate", lambda p: {"aggregate": p}),
    "server": ("server", lambda p: {"server": p}),
    "evaluate": ("evaluate.readings.0", lambda p: {"evaluate": Evaluation(readings=(p,), clients=CLIENTS)}),
}


def _rest() -> dict:
    return {"task": table(), "net": Logistic(), "partition": IID(clients=CLIENTS), "schedule": Lockstep(),
            "local": SGD(steps=3, batch=8), "aggregate": Mean(weights="uniform"),
            "evaluate": Evaluation(readings=(Accuracy(),), clients=CLIENTS)}


class Case:
    """One part, in the experiments that contracts look at it in."""

    def __init__(self, part: Part):
        self.part = part
        self.path, self.place = PLACES[part.slot]

    @cached_property
    def _fields(self) -> dict:
        return _rest() | beside(self.part) | self.place(self.part)

    def experiment(self, **changes) -> Experiment:
        return Experiment(**(BASE | self._fields | changes))

    def plan(self, device: str = "cpu", **changes) -> Plan:
        e = self.experiment(**changes)
        return prepare(e, world_of(e, torch.device(device)))

    @cached_property
    def state(self) -> State:
        """The state after two rounds, in float32: memories and personal rows have something in them."""
        return run(self.plan(), WARM)[0]

    def other(self, **fields) -> Case:
        """The same part with other fields."""
        return Case(type(self.part)(**({n: getattr(self.part, n) for n in type(self.part).model_fields} | fields)))


def run(plan: Plan, rounds: int, state: State | None = None, executor: Executor | None = None) -> tuple[State, list]:
    """The state after some rounds of the real engine, on one thread, and what it said."""
    state, said = state or begin(plan), []
    executor = (executor or Stacked()).settled(plan.world)
    with one_thread():
        for _ in range(rounds):
            state, events = advance(plan, state, executor, never)
            said += [event.fixed() for event in events]
    return state, said
