"""Where a model's unfairness comes from: the global and the local disparity, split into three parts.

A federated model can treat groups alike over everybody and still not at any one client, or the other way
round. Measure both, G = I(Z; Yhat) over everybody and L = I(Z; Yhat | S) inside the clients, in bits: zero
means that predictions tell nothing about the group. They share one part and have one part each:

    unique      in G and in L: predictions follow the group and clients have nothing to do with it
    redundant   in G only: predictions follow the client, and clients hold different groups
    masked      in L only: clients are unfair in different directions, which cancels over everybody

                  G = unique + redundant          L = unique + masked

Tables are [Z, Yhat, S] throughout: Z groups, Yhat (Y in code) predictions, S clients; B is a batch of tables.

Source: Hamman and Dutta, Demystifying Local and Global Fairness Trade-offs in Federated Learning Using
Partial Information Decomposition, ICLR 2024, arXiv:2307.11333: the three parts and their names; they rest on
the unique information of Bertschinger and others (2014). We know the paper by its abstract, reviews and code,
and quote none of its numbers. Ours, derived here: the closed form for two groups, the certificate
(`pid_cone.py`), how the small-sample bias is shared among the parts, what the bands shuffle, and what chance reaches.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .pid_cone import atoms_any, atoms_binary, parts_from

__all__ = ["Band", "Disparity", "atoms_binary", "band", "chance", "decompose"]

MOST_GROUPS = 10
FEW = 100  # people in a table, up to which `_chance` is exact; beyond, its formula is within some percent
SHUFFLES = ("client", "everybody", "people")
CONE_CELLS = 20_000  # cells a band may send through the cone, all draws together: seconds, not minutes


@dataclass(frozen=True)
class Disparity:
    """Global and local disparity and their parts, in bits, as `decompose` returns them.

    The six values are plug-in: the frequencies of the table are taken for probabilities. `client_unique` is
    Uni(Z:S|Yhat), what the client alone gives away about the group. `gap` bounds the error that the solver
    leaves in each part, in bits: 0.0 for up to two groups, where the formula is exact.

    `corrected` has the same fields less their small-sample bias (see `_corrected`); `band` says what fair
    predictions would show by chance (see `band`). Both are worked out when first read; a band takes a while.
    Both are None when `decompose` was given probabilities: their sample size is unknown.
    """

    unique: float
    redundant: float
    masked: float
    client_unique: float
    global_disparity: float
    local_disparity: float
    gap: float = 0.0
    counts: np.ndarray | None = field(default=None, repr=False, compare=False)

    @cached_property
    def corrected(self) -> "Disparity | None":
        """The same less what small samples add: see `_corrected`."""
        return None if self.counts is None else _corrected(self)

    @cached_property
    def band(self):
        """`band` of the counts with its defaults: where the six values would lie if predictions were fair."""
        return None if self.counts is None else band(self.counts)


class Band(dict):
    """{atom: (lo, hi)} in bits, from so many `draws`, of which the share `level` lies between lo and hi."""

    def __init__(self, limits, draws, level):
        super().__init__(limits)
        self.draws, self.level = draws, level


def decompose(counts):
    """Split a model's unfairness into a unique, a redundant and a masked part, in bits.

    counts [Z, Yhat, S]: how many people of group z were predicted yhat at client s. Integers are counts;
    floats are probabilities and must sum to 1. Lists, numpy arrays and torch tensors will do. Groups,
    predictions and clients that nobody belongs to change nothing.

    unique = min I_Q(Z; Yhat | S) over every Q with the same pairs (Z, Yhat) and (Z, S) as the table;
    redundant = G - unique, masked = L - unique, client_unique = I(Z; S) - redundant.
    Two groups: closed form, microseconds. Three to ten: an exponential cone, milliseconds to a second.

    Two clients, unfair in opposite directions, so that it cancels over everybody:

    >>> told = decompose([[[40, 10], [10, 40]], [[10, 40], [40, 10]]])
    >>> round(told.global_disparity, 3), round(told.local_disparity, 3), round(told.masked, 3)
    (0.0, 0.278, 0.278)
    >>> round(told.corrected.masked, 3), told.masked > told.band["masked"][1]
    (0.271, True)

    Probabilities, for a model that predicts the group itself, at clients that hold one group each:

    >>> decompose([[[0.5, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]]]).redundant
    1.0

    Returns a `Disparity`. Raises ValueError when counts is not such a table, is empty or has over ten groups.
    Source: arXiv:2307.11333, definitions of global, local, unique, redundant and masked disparity. The
    closed form (`atoms_binary`), the certificate behind `gap`, `corrected` and `band` are ours.
    """
    counts = _checked(counts)
    atoms, gap = atoms_any((counts / counts.sum())[None])
    atoms, gap = {name: float(bits[0]) for name, bits in atoms.items()}, float(gap[0])
    if counts.dtype.kind == "f":
        return Disparity(**atoms, gap=gap)
    return Disparity(**atoms, gap=gap, counts=counts)


def band(counts, draws=200, seed=0, level=0.95, shuffle="client"):
    """What fair predictions would show by chance: the range of each part over shuffled tables, in bits.

    counts: integers [Z, Yhat, S]. Each draw deals the groups out anew, keeping how many people of each group
    and of each prediction a client has: an exact draw (multivariate hypergeometric) from "predictions are
    independent of the group inside each client". The middle `level` of the draws makes the band. Compare it
    with plug-in values, which have the same bias: a part not above its band is not to be told from chance.

    Mind `redundant` and `global_disparity`: fair clients with different groups and different predictions do
    have both, so that these two bands hold real disparity too. To ask whether those are more than chance,
    take shuffle="everybody", which deals the groups out over all clients ("nothing tells the group"), or
    shuffle="people", which keeps who got which prediction and deals the people, with their group and their
    prediction, to the clients ("the client has nothing to do with it"). `chance` says which is used where.

    Three or more groups: each draw solves a cone, so that large tables get fewer than `draws`, down to 20;
    the result's `draws` says how many. With so few, the limits are about the least and the most drawn.

    >>> fair = band([[[40, 20], [10, 30]], [[20, 40], [5, 60]]])
    >>> fair.draws, fair["masked"][1] < 0.05
    (200, True)

    Returns a `Band`, {atom: (lo, hi)} with `draws` and `level`. Raises ValueError on a bad table or argument.
    Source: none; the permutation test is standard, the choice of what is shuffled ours.
    """
    counts = _checked(counts)
    if counts.dtype.kind == "f":
        raise ValueError("counts holds floats; a band depends on how many people there are; pass integers")
    if counts.sum() >= 10**9:
        raise ValueError(f"counts sums to {counts.sum()}; a band takes below 10**9 people; draw a sample")
    draws = drawn(draws, level, shuffle, counts.shape)
    return limits(dealt(counts, shuffle, draws, np.random.default_rng(seed)) / counts.sum(), level)


def chance(counts, draws=200, seed=0, level=0.95):
    """What chance alone explains of the unique, the redundant and the masked part: a `Band` of these three, in bits.

    counts, draws, seed and level as in `band`. Its upper end is what chance reaches; it is the one that the record of
    a run, the live board, the methods text and the fairness panel hold a part against. A part can arise by chance in
    two ways, and the one that reaches further is taken:

    - predictions that do not follow the group: groups are shuffled inside each client for unique and masked, over
      everybody for redundant (fair clients that differ really have some);
    - clients that do not matter, for redundant and masked: people, with group and prediction, are dealt to the clients
      anew. Where predictions follow the group everywhere alike, small samples alone make some of the disparity look
      redundant and masked, which shuffled groups do not show. Such a deal leaves the global disparity as it is and
      makes nearly all of it unique, so that unique is not held against it.

    >>> reached = chance([[[40, 20], [10, 30]], [[20, 40], [5, 60]]])
    >>> reached["unique"] == band([[[40, 20], [10, 30]], [[20, 40], [5, 60]]])["unique"], sorted(reached)
    (True, ['masked', 'redundant', 'unique'])

    Raises ValueError as `band` does. Source: none; ours.
    """
    return furthest(lambda shuffle: band(counts, draws, seed, level, shuffle))


def drawn(draws, level, shuffle, shape):
    """How many tables of a shape [Z, Y, S] a band draws; ValueError for arguments that it does not take."""
    if draws < 1:
        raise ValueError(f"draws is {draws}; it must be at least 1, and 200 is usual")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, and 0.95 is usual")
    if shuffle not in SHUFFLES:
        raise ValueError(f'shuffle is {shuffle!r}; choose "client", "everybody" or "people"')
    return draws if shape[0] <= 2 else min(draws, max(20, CONE_CELLS // math.prod(shape)))


def dealt(counts, shuffle, draws, rng):
    """Tables [draws, Z, Y, S] of the people of `counts` [Z, Y, S], dealt anew in one of the ways of `band`."""
    Z, Y, S = counts.shape
    crowd = counts.reshape({"client": (Z, Y, S), "everybody": (Z, Y * S, 1), "people": (Z * Y, S, 1)}[shuffle])
    return shuffled(crowd, draws, rng).reshape(draws, Z, Y, S)


def limits(tables, level):
    """The `Band` that tables [draws, Z, Y, S] of probabilities make."""
    atoms, _ = atoms_any(tables)
    edges = [(1 - level) / 2, (1 + level) / 2]
    return Band({name: tuple(map(float, np.quantile(bits, edges))) for name, bits in atoms.items()}, len(tables), level)


def furthest(band):
    """`chance` from the bands that band(shuffle) draws."""
    inside, over_all, people = map(band, SHUFFLES)
    further = {name: max(one[name], people[name], key=lambda ends: ends[1])
               for name, one in (("redundant", over_all), ("masked", inside))}
    return Band({"redundant": further["redundant"], "unique": inside["unique"], "masked": further["masked"]},
                inside.draws, inside.level)


def _corrected(plug):
    """The values of `decompose` less what small samples add to them, as a `Disparity`.

    A client of n people looks unfair by chance, by about (groups - 1)(predictions - 1) / (2 n ln 2) bits
    (Miller and Madow): many small clients make a large L, nearly all of it masked. What is done:

    - G, I(Z; S) and, client by client, L lose what independence would show on average (`_chance`), down to 0;
      where L then falls below G - I(Z; S), as in no distribution, it is raised to it;
    - unique keeps its plug-in value, held between the bounds that every distribution obeys,
      max(0, G - I(Z; S)) and min(G, L), taken at the corrected values. Small clients that differ by chance
      make unique look redundant; the first bound undoes that;
    - the rest follows by subtraction: parts are at least 0, G = unique + redundant and L = unique + masked.

    What is not done: between its bounds unique keeps its bias, for which there is no formula (it has kinks);
    and chance is measured for fair predictions, so that strong unfairness is corrected only roughly.
    """
    counts, n = plug.counts, plug.counts.sum((0, 1))
    whole = plug.global_disparity - _chance(counts.sum(2)[None])[0]
    inside = plug.local_disparity - n @ _chance(np.moveaxis(counts, 2, 0)) / n.sum()
    mix = plug.client_unique + plug.redundant - _chance(counts.sum(1)[None])[0]
    whole, mix = max(whole, 0.0), max(mix, 0.0)
    parts = parts_from(whole, max(inside, whole - mix, 0.0), mix, plug.unique)
    return Disparity(**{name: float(bits) for name, bits in parts.items()}, gap=plug.gap)


def _chance(tables):
    """What independent rows and columns would show on average, given their sums: [T, R, C] -> bits [T].

    Tables of up to FEW people: exactly, from the hypergeometric distribution of each cell (Vinh, Epps and
    Bailey 2010); Miller and Madow's formula finds only two thirds of it at five people. Larger ones: by that
    formula, counting the rows and columns that hold somebody.
    """
    n, row, col = tables.sum((1, 2)), tables.sum(2), tables.sum(1)
    freedom = ((row > 0).sum(1) - 1) * ((col > 0).sum(1) - 1)
    bits = np.where(n > 0, freedom, 0) / (2 * np.log(2) * np.maximum(n, 1))
    few = (n > 0) & (n <= FEW)
    if few.any():
        n, row, col = n[few, None, None, None], row[few][:, :, None, None], col[few][:, None, :, None]
        k = np.arange(1, max(1, np.minimum(row, col).max()) + 1)
        cells = k, row - k, col - k, n - row - col + k
        possible = np.minimum.reduce(np.broadcast_arrays(*cells)) >= 0
        log_fact = np.concatenate([[0.0], np.log(np.arange(1, FEW + 1)).cumsum()])
        log_p = log_fact[row] + log_fact[col] + log_fact[n - row] + log_fact[n - col] - log_fact[n]
        log_p = log_p - sum(log_fact[np.clip(cell, 0, FEW)] for cell in cells)
        told = k / n * np.log2(k * n / np.maximum(row * col, 1))
        bits[few] = (np.exp(np.where(possible, log_p, -np.inf)) * told).sum((1, 2, 3))
    return bits


def shuffled(counts, draws, rng):
    """Tables [draws, Z, Y, S] with each client's sums of `counts` [Z, Y, S], groups dealt out at random."""
    Z, Y, S = counts.shape
    left = np.repeat(counts.sum(0)[None], draws, 0)  # people whose group is not dealt yet
    dealt = np.empty((draws, Z, Y, S), dtype=np.int64)
    for z in range(Z - 1):
        want, rest = np.repeat(counts[z].sum(0)[None], draws, 0), left.sum(1)
        for y in range(Y - 1):
            rest = rest - left[:, y]
            dealt[:, z, y] = rng.hypergeometric(left[:, y], rest, want)
            want = want - dealt[:, z, y]
        dealt[:, z, Y - 1] = want
        left = left - dealt[:, z]
    dealt[:, Z - 1] = left
    return dealt


def _checked(counts):
    """counts as a read-only int64 table, or as a float64 one that sums to 1; ValueError for anything else."""
    try:
        table = np.array(counts.detach().cpu().numpy() if hasattr(counts, "detach") else counts)
    except (ValueError, TypeError) as error:
        way = "it must be a table [groups, predictions, clients]; fill gaps with 0"
        reason = str(error).split(".")[0]
        raise ValueError(f"counts is no array ({reason}); {way}") from None
    fault = _fault(table)
    if fault:
        raise ValueError(f"counts {fault}")
    table = table.astype(float if table.dtype.kind == "f" else np.int64)
    table.flags.writeable = False
    return table


def _fault(table):
    """What is wrong with an array as `counts`, what is allowed, the way out; None if nothing is wrong."""
    if table.dtype.kind not in "iuf":
        return f"has dtype {table.dtype}; it must hold integers or floats; convert it with numpy's astype"
    if table.ndim != 3:
        return f"has {table.ndim} axes; it must have three, [groups, predictions, clients]; reshape it"
    if len(table) > MOST_GROUPS:
        return f"has {len(table)} groups; up to {MOST_GROUPS} will do; merge some, or set one against all"
    wrong = np.argwhere(~((table >= 0) & (table < np.inf)))
    if len(wrong):
        z, y, s = wrong[0]
        return f"is {table[z, y, s]} at [{z}, {y}, {s}]; it must be finite and at least 0; correct that cell"
    total = float(table.sum(dtype=float))
    if table.dtype.kind == "f" and abs(total - 1) > 1e-6:
        rule = "floats are probabilities and must sum to 1 within 1e-6"
        return f"sums to {total:.9g}; {rule}; divide by the sum, or pass integers"
    if table.dtype.kind != "f" and not 0 < total < 2**53:
        return f"sums to {total:.0f}; it must hold from 1 to 2**53 people; leave out rounds that nobody is in"
    return None
