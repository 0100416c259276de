"""Count tables that a server may see under differential privacy, what they cost, and what they can still show.

The parts of the disparity need one table per client. Here each client adds Laplace noise of scale 1 / epsilon to
every cell before the table leaves it. Neighbours differ in one person more or less, at one client; that person is in
one cell, so that the table moves by 1 in sum (L1 sensitivity 1) and one release is epsilon-differentially private for
every person. Clients hold different people, so that many clients cost no more than one. What follows (cells below 0
set to 0, tables scaled to a total, parts, bands) uses the released numbers alone and costs nothing.

A release hides a person, not a client. It says nothing of the model, which has an account of its own. Noise comes
from a seed: reproducible, so for demonstration; and it is Laplace noise in floating point, whose lowest bits can
betray a count to somebody who looks for it (Mironov 2012, recalled), so for no more than that.

Source: Dwork, McSherry, Nissim, Smith, Calibrating Noise to Sensitivity in Private Data Analysis, TCC 2006
(recalled). Composition: Google's `dp-accounting`. The band that knows of the noise is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real

import numpy as np
import torch

from .. import seeds
from .pid import dealt, drawn, furthest, limits
from .pid_cone import atoms_any

FINE = 1000      # bins of privacy loss in one epsilon
LONG = 10_000    # releases up to which they are composed by their distribution: beyond it, by addition alone
LEAST, MOST = 1e-3, 100.0   # the epsilon of one release


@dataclass(frozen=True)
class TableLedger:
    """What releases of the tables have cost: each is `epsilon`-private, and `delta` is the chance that the sum fails.

    delta = 0 adds epsilons up. Above 0 the same releases have a smaller epsilon, by their privacy loss distribution.
    Raises ValueError for epsilon outside 0.001 to 100 or delta outside 0 to 1.

    >>> TableLedger(1.0).epsilon(10), round(TableLedger(0.1, delta=1e-5).epsilon(100), 2)
    (10.0, 4.22)
    """

    epsilon_each: float
    delta: float = 0.0

    def __post_init__(self):
        _epsilon(self.epsilon_each)
        if not (isinstance(self.delta, Real) and 0 <= self.delta < 1):
            raise ValueError(f"delta is {self.delta!r}; it must be at least 0 and below 1, and 0 adds epsilons up")

    @property
    def relation(self) -> str:
        return "add or remove one person"

    def epsilon(self, releases: int) -> float:
        """Epsilon after so many releases, an upper bound; 0.0 before the first."""
        if not (isinstance(releases, Integral) and releases >= 0):
            raise ValueError(f"releases is {releases!r}; it must be a whole number, 0 or more; count the tables sent")
        added = float(releases * self.epsilon_each)
        if not self.delta or releases < 2 or releases > LONG:
            return added
        return min(added, _composed(float(self.epsilon_each), float(self.delta), int(releases)))

    def so_far(self, releases: int) -> float:
        """The same, cheap after every round of a long run: above 32 up to one release in 16 is counted too much."""
        step = 1 << max(0, int(releases).bit_length() - 5)
        return min(float(releases * self.epsilon_each), self.epsilon(-(-releases // step) * step))

    def statement(self, releases: int) -> str:
        """The account in words, with `so_far`."""
        total, each = self.so_far(releases), self.epsilon_each
        times = "once" if releases == 1 else f"{releases:,} times"
        spent = f"in sum epsilon = {total:.3g}" + (f" at delta = {self.delta:.2g}" if self.delta else "")
        way = "by addition" if not self.delta or total == releases * each else "by the privacy loss distribution"
        return (f"Tables of counts were released {times}, each with Laplace noise of scale {1 / each:.3g} on every "
                f"cell: epsilon = {each:.3g} a release, {spent} ({way}; neighbours: {self.relation} at one client). "
                "The model is not part of this account. Reproducible noise: demonstration.")


@dataclass(frozen=True, eq=False)
class Released:
    """Tables [Z, Yhat, S], or [client, group, label, prediction], as the server keeps them: floats of at least 0.

    `epsilon` of this release; `totals` [S] people at each client if declared, else None: noisy sums stand in.
    """

    tables: np.ndarray
    epsilon: float
    totals: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """[Z, Yhat, S], labels summed out."""
        return np.moveaxis(self.tables.sum(2), 0, 2) if self.tables.ndim == 4 else self.tables

    @property
    def probabilities(self) -> np.ndarray:
        """`counts` over their sum, as `pid.decompose` takes them."""
        return self.counts / self.counts.sum()

    @property
    def parts(self) -> dict[str, float]:
        """The six values of `pid.Disparity`, in bits, of the released tables: with the noise in them, see `band`."""
        return {name: float(bits[0]) for name, bits in atoms_any(self.probabilities[None])[0].items()}


@dataclass(frozen=True)
class Private:
    """How a run released its tables after a round: with this epsilon each, seed and round of the noise, and how often
    (`releases`, this one included).
    """

    epsilon: float
    delta: float
    seed: int
    round: int
    releases: int

    def release(self, counts) -> Released:
        """`release` of counts [Z, Yhat, S] with the noise of that round: the same counts give the same tables."""
        return release(counts, self.epsilon, self.seed, self.round)

    @property
    def spent(self) -> float:
        """The epsilon of all releases so far, an upper bound."""
        return TableLedger(self.epsilon, self.delta).so_far(self.releases)

    @property
    def statement(self) -> str:
        """The same in words."""
        return TableLedger(self.epsilon, self.delta).statement(self.releases)


def release(counts, epsilon, seed=0, round=0, totals=None):
    """Count tables with Laplace noise of scale 1 / epsilon on every cell, clipped at 0 and scaled to their totals.

    counts: whole numbers, [client, group, label, prediction] as `Evaluated` holds them, or [Z, Yhat, S]. Sum labels out
    first where the parts are all that is asked for: fewer cells, less noise. totals: [S], how many people each client
    is publicly known to have, which is then not protected; by default what the noisy cells of a client add up to (a
    client whose sum is not above 0 drops out). seed and round: the same pair gives the same noise, client by client; a
    new round must have its own, or the difference of two tables would show.

    >>> noisy = release([[[40, 10], [10, 40]], [[10, 40], [40, 10]]], epsilon=1.0)
    >>> noisy.tables.shape, round(noisy.parts["masked"], 1)
    ((2, 2, 2), 0.3)

    Returns a `Released`. Raises ValueError for other tables, epsilon outside 0.001 to 100, bad totals, or when noise
    leaves nobody.
    """
    counts, epsilon = np.asarray(counts), _epsilon(epsilon)
    if counts.dtype.kind not in "iu" or counts.ndim not in (3, 4) or not counts.size:
        raise ValueError(f"counts is {counts.dtype} {list(counts.shape)}; it must hold whole numbers, [groups, "
                         "predictions, clients] or [client, group, label, prediction]")
    if counts.min() < 0:
        raise ValueError(f"counts holds {counts.min()}; counts are at least 0; correct that cell")
    rows = counts if counts.ndim == 4 else np.moveaxis(counts, 2, 0)
    clients, shape = len(rows), rows.shape
    rows, totals = rows.reshape(clients, -1), _totals(totals, clients)
    keys = seeds.keys(seed, "private tables", round, torch.arange(clients))
    noise = _laplace(seeds.uniforms(keys, rows.shape[1], torch.float64).numpy()) / epsilon
    kept = _finish(rows + noise, totals).reshape(shape)
    if not kept.sum() > 0:
        raise ValueError(f"epsilon is {epsilon}; its noise left nobody in any table; use a larger one or more people")
    return Released(kept if counts.ndim == 4 else np.moveaxis(kept, 0, 2), epsilon, totals)


def band(released, draws=200, seed=0, level=0.95, shuffle="client"):
    """What fair predictions would show by chance and by noise: `pid.band`, wider for the noise of the release.

    The true counts are not known here, so that the released ones stand in (see `_stand_in`): they are shuffled as in
    `pid.band` (same `draws`, `level` and `shuffle`), then each draw is released anew, with fresh noise, clipping and
    scaling. Costs no epsilon. Returns a `pid.Band`, {part: (lo, hi)} in bits, to hold `Released.parts` against.
    A stand-in is not the truth: of fair tables the share above is about, not exactly, (1 - level) / 2; see the tests.

    Raises ValueError as `pid.band` does.
    """
    draws = drawn(draws, level, shuffle, released.counts.shape)
    people = np.moveaxis(_stand_in(released), 0, -1)           # [Z, (label,) prediction, S]
    people = people.reshape(len(people), -1, people.shape[-1])  # a noisy cell is clipped with its label; so is a draw's
    if people.sum() >= 10**9:
        raise ValueError(f"the tables sum to {people.sum()}; a band takes below 10**9 people; draw a sample")
    (Z, cells, S), Y, rng = people.shape, released.counts.shape[1], np.random.default_rng(seed)
    rows = np.moveaxis(dealt(people, shuffle, draws, rng).reshape(draws, Z * cells, S), 2, 1)
    noisy = _finish(rows + _laplace(rng.random(rows.shape)) / released.epsilon, released.totals)
    tables = np.moveaxis(noisy.reshape(draws, S, Z, -1, Y).sum(3), 1, 3)
    tables = tables[tables.sum((1, 2, 3)) > 0]
    return limits(tables / tables.sum((1, 2, 3), keepdims=True), level)


def chance(released, draws=200, seed=0, level=0.95):
    """What chance and noise explain of unique, redundant and masked: `pid.chance` for released tables.

    Each part is held against that shuffle which reaches further, as there. Returns a `Band`; raises as `band` does.
    """
    return furthest(lambda shuffle: band(released, draws, seed, level, shuffle))


def reading_of(round, every):
    """Which reading of a run the one after `round` is, from 1: a run is read every so many rounds, and after its last.

    >>> [reading_of(round, every=4) for round in (4, 8, 10)]   # ten rounds
    [1, 2, 3]
    """
    return max(1, -(-round // every))


def _laplace(u):
    """Laplace noise of scale 1 (variance 2) from uniform numbers in [0, 1), by the inverse of its distribution."""
    side = u - 0.5
    return -np.sign(side) * np.log1p(-np.minimum(2 * abs(side), 1 - 2.0**-53))


def _finish(noisy, totals):
    """Noisy tables [..., S, cells]: cells at least 0, each client's scaled to its total, or to its noisy sum."""
    totals = np.maximum(noisy.sum(-1), 0) if totals is None else totals
    kept = np.maximum(noisy, 0)
    left = kept.sum(-1)
    return kept * np.divide(totals, left, out=np.zeros_like(left), where=left > 0)[..., None]


def _stand_in(released):
    """People [S, Z, (label,) prediction], whole numbers, that could be behind the released tables.

    A client that noise made large would be taken for one with many people, and its noise for small: false alarms, one
    in five where noise outweighs counts. So sums that are not declared are drawn to their mean by the share of their
    variance that noise explains (James and Stein), each client keeping its own mix; who dropped out gets everybody's.
    """
    rows = np.moveaxis(released.tables, 2, 0) if released.tables.ndim == 3 else released.tables
    shape, rows = rows.shape, rows.reshape(len(rows), -1)
    if released.totals is None:
        n, noise = rows.sum(1), rows.shape[1] * 2 / released.epsilon**2
        own = max(0.0, 1 - noise / n.var()) if n.var() > 0 else 1.0
        mix = np.where(n[:, None] > 0, rows / np.where(n > 0, n, 1)[:, None], rows.sum(0) / rows.sum())
        rows = mix * (n.mean() + own * (n - n.mean()))[:, None]
    return np.rint(rows).astype(np.int64).reshape(shape)


def _totals(totals, clients):
    if totals is None:
        return None
    totals = np.asarray(totals, dtype=float)
    if totals.shape != (clients,) or not (np.isfinite(totals).all() and (totals >= 0).all() and totals.sum() > 0):
        raise ValueError(f"totals is {totals.tolist()!s:.60}; it must hold one number of at least 0 for each of the "
                         f"{clients} clients, not all of them 0")
    return totals


def _epsilon(epsilon):
    if not (isinstance(epsilon, Real) and LEAST <= epsilon <= MOST and math.isfinite(epsilon)):
        raise ValueError(f"epsilon is {epsilon!r}; it must lie between {LEAST:g} and {MOST:g}; 1 is a common start")
    return float(epsilon)


@cache
def _composed(each, delta, releases):
    from dp_accounting.pld import privacy_loss_distribution as pld

    once = pld.from_laplace_mechanism(1 / each, value_discretization_interval=each / FINE)
    return float(once.self_compose(releases).get_epsilon_for_delta(delta))
