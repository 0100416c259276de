"""What if other clients held the same people? Predictions are frozen; only who holds whom moves.

Nothing here knows of widgets, models or training: the held-out counts of a run, or of an audit, are all it takes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch

from .. import seeds
from ..evaluate.pid import decompose
from ..part import BadInput
from ..session import one_thread
from ..shards import Data
from .fairness import checked

KEPT = 64   # splits remembered: dragging back and forth is then free


@dataclass(frozen=True)
class Standing:
    """What no split can move: accuracy (0 to 1), rates of the favourable answer by group (0 to 1, NaN for an empty
    group), the largest difference between two of them (0 to 1), global disparity (bits)."""

    accuracy: float
    rates: tuple[float, ...]
    rate_gap: float
    global_disparity: float


class Frozen:
    """People with their group, label and frozen prediction, dealt anew to clients by any partition of the catalogue.

    counts [client, group, label, prediction] are expanded to rows once. The names are those of `fairness.read`.
    Raises BadInput as `fairness.read` does.

    >>> from fedlab_widgets import ByGroup
    >>> frozen = Frozen([[[[40, 10], [10, 40]], [[50, 0], [40, 10]]]], ("A", "B"), ("no", "yes"), favourable=1)
    >>> apart = frozen.split(ByGroup(clients=2, skew=1.0))
    >>> apart.sum((2, 3)).tolist(), standing(apart, 1) == frozen.standing
    ([[100, 0], [0, 100]], True)
    """

    def __init__(self, counts, groups, labels, favourable: int, clients=None):
        self.counts = checked(counts, groups, labels, favourable)
        self.groups, self.labels, self.favourable = tuple(map(str, groups)), tuple(map(str, labels)), favourable
        self.clients = tuple(map(str, range(len(self.counts)) if clients is None else clients))
        cells = torch.from_numpy(np.indices(self.counts.shape).reshape(4, -1))
        rows = cells.repeat_interleave(torch.from_numpy(self.counts.reshape(-1)), 1)
        self._client, group, label, _ = rows
        # One number a row for its place in a table without the client: a split is then a single count.
        self._cell = (rows[1] * len(labels) + rows[2]) * len(labels) + rows[3]
        x = torch.zeros(rows.shape[1], 1)
        self._data = Data(x, label, group, x[:0], label[:0], group[:0], labels=self.labels, groups=self.groups,
                          client=self._client, favourable=favourable)
        self._kept: OrderedDict = OrderedDict()

    @property
    def standing(self) -> Standing:
        """The figures of the counts as they came."""
        return standing(self.counts, self.favourable)

    def split(self, partition, seed: int = 0) -> np.ndarray:
        """Counts [client, group, label, prediction] after dealing the same rows by a partition part; where its clients
        share holdings, [holding, …]: nobody is counted twice.

        `Natural()` deals everybody back. The draw is the one that a run with this seed makes, on these rows.
        Raises BadInput where the partition cannot deal these rows, e.g. Masked with three groups.
        """
        key = partition, seed
        if key not in self._kept:
            self._kept[key] = self._deal(partition, seed)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key].copy()   # what the caller does to it stays with the caller

    def _deal(self, partition, seed: int) -> np.ndarray:
        clients = partition.holdings(self._data)
        if clients > max(len(self._cell), 2):
            raise BadInput(f"{clients:,} clients cannot share {len(self._cell):,} rows; choose fewer clients")
        with one_thread():   # on a busy machine several threads wait for each other: 88 ms in place of 7
            owner = partition.assign(self._data, seeds.keys(seed, "partition", 0, 0))
        shape = self.counts.shape[1:]
        cells = int(np.prod(shape))
        return torch.bincount(owner * cells + self._cell, minlength=clients * cells).numpy().reshape(clients, *shape)


def standing(counts: np.ndarray, favourable: int) -> Standing:
    """The `Standing` of counts [client, group, label, prediction].

    Everything is read from the whole-number sums over clients, so that equal people give equal figures to the last bit.
    """
    whole = np.asarray(counts).sum(0)
    n, given = whole.sum((1, 2)), whole[:, :, favourable].sum(1)
    rates = np.divide(given, n, out=np.full(len(n), np.nan), where=n > 0)
    bits = decompose(whole.sum(1)[:, :, None]).global_disparity
    gap = float(np.nanmax(rates) - np.nanmin(rates))
    return Standing(float(np.einsum("gll->", whole) / whole.sum()), tuple(map(float, rates)), gap, bits)
