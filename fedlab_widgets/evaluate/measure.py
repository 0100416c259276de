"""The two tables that every reading reads, counts and summed losses, and the events that carry them."""

from __future__ import annotations

import numpy as np
import torch

from ..events import Evaluated, Started
from ..part import parts_in
from ..partition.natural import client_names
from ..plan import Plan
from ..plan import models as models_of
from ..spec import Experiment
from ..types import State, Tables
from .private_tables import reading_of

LARGEST_TABLE = 20_000   # counts above which an event leaves the table out
ROWS = 1024   # rows that go through a net at once: more no longer fit a cache, and cost 2x each


@torch.no_grad()
def measure(plan: Plan, state: State) -> Tables:
    """Held-out and test tables of the panel's clients [K]; each client's own model where it has one."""
    world, panel = plan.world, plan.panel
    data, shards = world.data, world.shards
    rows, place = shards.held_out(panel)
    models = models_of(plan, state, panel)
    held_out = shards.x, shards.y, shards.group, rows, place, len(panel)
    counts, losses = _table(world, models, *held_out)
    shared = None
    if plan.experiment.personalise is not None or plan.experiment.distribute.keeps_models:
        shared = _table(world, state.model[None], *held_out)[0].diagonal(dim1=-2, dim2=-1).sum((-1, -2))
    test = torch.arange(len(data.test_y), device=world.device)
    test_counts, test_loss = 0, 0.0
    for model in models:   # one, or every client's own: the mean of their accuracies
        table, loss = _table(world, model[None], data.test_x, data.test_y, data.test_group, test, test * 0, 1)
        test_counts, test_loss = test_counts + table[0], test_loss + float(loss[0])
    return Tables(panel, counts, losses, test_counts, test_loss, data.groups, data.favourable, world.seed, state.round,
                  reading_of(state.round, plan.experiment.evaluate.every), shared,
                  {k: v for part in parts_in(plan.experiment) for k, v in part.figures(plan, state).items()})


def _table(world, models, x, y, group, rows, place, clients):
    """counts [clients, groups, labels, predictions] and summed losses [clients] of rows [R] of clients place [R]."""
    predicted, losses = [], []
    for at in range(0, len(rows), ROWS):
        some, whose = rows[at:at + ROWS], place[at:at + ROWS]
        if len(models) == 1:
            out = world.forward(models, x[some][None])[0]
        else:   # rows are sorted by client: each run of rows goes through its client's model
            out = torch.cat([world.forward(models[k:k + 1], x[some[whose == k]][None])[0]
                             for k in whose.unique().tolist()])
        predicted.append(out.argmax(1).cpu())
        losses.append(world.task.loss(out, y[some]).double().cpu())
    predicted = torch.cat(predicted) if predicted else torch.empty(0, dtype=torch.int64)
    losses = torch.cat(losses) if losses else torch.empty(0, dtype=torch.float64)
    rows, place = rows.cpu(), place.cpu()
    G, L = len(world.data.groups), len(world.data.labels)
    index = ((place * G + group.cpu()[rows]) * L + y.cpu()[rows]) * L + predicted
    counts = torch.bincount(index, minlength=clients * G * L * L).view(clients, G, L, L)
    return counts, torch.zeros(clients, dtype=torch.float64).index_add_(0, place, losses)


def accuracies(counts: np.ndarray) -> np.ndarray:
    """counts [client, group, label, prediction] -> each client's accuracy [client], NaN for one without rows."""
    n, right = counts.sum((1, 2, 3)), np.einsum("kgll->k", counts)
    return np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0)


def readings(e: Experiment, tables: Tables, round: int) -> Evaluated:
    metrics = {name: value for part in e.evaluate.readings for name, value in part.read(tables).items()} | tables.own
    flat = tables.counts.flatten().tolist() if tables.counts.numel() <= LARGEST_TABLE else None
    return Evaluated(round, metrics, tables.ids.tolist() if flat else None, flat,
                     list(tables.counts.shape) if flat else None,
                     None if tables.shared is None else tables.shared.tolist())


def slow_readings(e: Experiment, tables: Tables, round: int) -> Evaluated:
    return Evaluated(round, {k: v for part in e.evaluate.readings for k, v in part.later(tables, round).items()})


def started(plan: Plan, state: State, settings: dict) -> Started:
    """The first event: the scale of the run and, for each client of the panel, what it holds."""
    world, shards, data = plan.world, plan.world.shards, plan.world.data
    labels = torch.bincount(data.test_y.cpu(), minlength=len(data.labels))
    clients, names = [], client_names(plan.experiment.partition, data)
    for i, lies in zip(plan.panel.tolist(), plan.lying(plan.panel).tolist(), strict=True):
        a, n, train = int(shards.offsets[i]), int(shards.rows[i]), int(shards.train[i])
        b = a + n
        clients.append({"client": i, "train": train, "held_out": n - train,
                        "labels": torch.bincount(shards.y[a:b].cpu(), minlength=len(data.labels)).tolist(),
                        "groups": torch.bincount(shards.group[a:b].cpu(), minlength=len(data.groups)).tolist(),
                        "liar": lies, **({"name": names[i]} if names else {})})
    return Started(state.round, plan.experiment.rounds, int(labels.max()) / max(int(labels.sum()), 1),
                   world.layout.real.width, len(data.test_y), list(data.labels), list(data.groups), clients, settings)
