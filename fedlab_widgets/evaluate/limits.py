"""The best accuracy that any federated strategy could reach under limits on global and local disparity.

Say how much the predictions may tell about a person's group, in bits: over everybody (global, I(Z; Yhat)) and inside
the clients (local, I(Z; Yhat | S)). Among all predictions for these people, whatever model they come from, some are
the most accurate. Nothing is trained: the answer follows from how many people of each group and label each client
holds, it is exact, and where limits collide it says what no method can get round:

    maximise   P(Yhat = Y)   over   t(z, y, s) = P(Yhat = 1 | group, label, client)
    subject to I(Z; Yhat) <= most_global,   I(Z; Yhat | S) <= most_local

Such predictions may know group, label and client of everybody, so that a model that generalises will stay below; and
it is a statement about the people in the table, not about others.

Source: Hamman and Dutta, ICLR 2024, arXiv:2307.11333: the program (AGLFOP), that it is convex, and the variant for
one model after FACT (Kim, Chen and Talwalkar 2020). We know the paper by its abstract, reviews and code, and quote
none of its numbers. The released code solves it from a random start, with two of the eight model-specific inequalities
cancelling to nothing; here it is a cone program whose answer is certified. The certificate, the prices and the variant
for each client are ours (`limits_cone.py`).
"""

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..part import BadInput
from .limits_cone import Program
from .pid import MOST_GROUPS, Disparity, decompose

__all__ = ["Best", "Frontier", "frontier", "limits"]

STEP = 0.01      # bits that a price is for
NOTHING = 5e-3   # points of accuracy that are said to be nothing


@dataclass(frozen=True)
class Best:
    """The most accurate predictions within two limits, as `limits` returns them. Disparities in bits.

    `accuracy` (0 to 1) is that of the predictions in `table` [group, label, prediction, client], probabilities that
    sum to 1 and keep within the limits; none are better by more than `gap`: that is certified. `global_disparity` and
    `local_disparity` are theirs: where a limit does not bind, other predictions may be as accurate with others.

    `global_price` and `local_price`: points of accuracy (hundredths) for 0.01 bit of that limit, at the margin: the
    dual value. Less costs at least that much, more buys at most that much, since accuracy is concave in the limits. At
    a limit of zero it is infinite or 0. `global_more` and `local_more`: the points that 0.01 bit more really buys.
    """

    accuracy: float
    gap: float
    most_global: float
    most_local: float
    global_disparity: float
    local_disparity: float
    global_price: float
    local_price: float
    global_more: float
    local_more: float
    of_model: bool = False   # whether only what one model's answers can be turned into counts
    table: np.ndarray = field(default=None, repr=False, compare=False)

    @cached_property
    def disparity(self) -> Disparity:
        """`decompose` of the table: the parts of the disparity that is left."""
        return decompose(self.table.sum(1))

    @property
    def at_most(self) -> float:
        """What nobody exceeds, in percent: rounded up to two places."""
        return math.ceil(1e4 * (self.accuracy + self.gap) - 1e-6) / 100

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words: the best accuracy, then what either limit costs."""
        caps = [f"{_bits(most)} of {name} disparity" for name, most in
                (("global", self.most_global), ("local", self.most_local)) if most < math.inf]
        within = f"Within {' and '.join(caps)}" if caps else "Without limits"
        who = "answers made from this model's cannot" if self.of_model else "nobody can"
        text = f"{within} {who} be right on more than {self.at_most:.2f} % of these people."
        return (text, *(_priced(*each) for each in (
            ("global", self.most_global, self.global_price, self.global_more),
            ("local", self.most_local, self.local_price, self.local_more)) if each[1] < math.inf))


@dataclass(frozen=True)
class Frontier:
    """The best accuracy on a grid of limits: `accuracy` [n, m], rows by `global_limits` [n], columns by
    `local_limits` [m], in bits. No accuracy is too low by more than `gap`. The prices [n, m] are as in `Best`."""

    global_limits: np.ndarray
    local_limits: np.ndarray
    accuracy: np.ndarray
    global_price: np.ndarray = field(repr=False)
    local_price: np.ndarray = field(repr=False)
    gap: float = 0.0


def limits(source, most_global: float = math.inf, most_local: float = math.inf, of=None,
           each_client: bool = False) -> Best:
    """The best accuracy that anybody could reach on these people within limits on global and local disparity.

    source: counts [group, label, client] of people, two labels and up to ten groups; integers, or floats that sum to
    1. Or a run (its held-out rows) or an `Audit`. most_global, most_local: bits, from 0; infinity is no limit.
    of: the predictions of one model, [group, label, prediction, client] (or a run, or an `Audit`). Then only what
    these can be turned into at random counts: each group's false and true positive rates stay in the parallelogram of
    (0, 0), (fpr, tpr), (1, 1), (1 - fpr, 1 - tpr), over all clients together or, with each_client, in every one.
    Over all together is the paper's form; each_client is what can be done by who knows the client too. Neither holds
    the other: a model that is wrong in opposite ways at two clients can be mended only by who knows the client.

    Two groups, all 1 in the one and half in the other: equal rates cost the difference, 0.5 x 0.5.

    >>> best = limits([[[0], [50]], [[25], [25]]], most_global=0)
    >>> round(best.accuracy, 6), best.gap < 1e-6
    (0.75, True)
    >>> print(*limits([[[0], [50]], [[25], [25]]], most_global=0.1).sentences, sep="\\n")
    Within 0.1000 bits of global disparity nobody can be right on more than 92.17 % of these people.
    One hundredth of a bit less global disparity costs at least 0.72 points of accuracy; one more would buy 0.69.

    Three programs are solved, the two others for what more of either limit buys: 0.1 s for ten clients, 2 s for 500.
    Raises BadInput for counts of another form, limits below zero or no numbers, more than ten groups or two labels.
    Source: arXiv:2307.11333 (AGLFOP); see the top of this file.
    """
    p, program = _program(source, of, each_client)
    caps = [_cap("most_global", most_global), _cap("most_local", most_local)]
    t, G, L, accuracy, bound, *prices = program.solve(*caps)
    more = []
    for i, most in enumerate(caps):
        looser = caps[:i] + [most + STEP] + caps[i + 1:]
        bought = 0.0 if most == math.inf or accuracy > 1 - 1e-12 else program.solve(*looser)[3] - accuracy
        more.append(100 * max(bought, 0.0))
        if most == 0:   # accuracy rises like a square root there, or not at all
            prices[i] = math.inf if more[i] > NOTHING else 0.0
    table = np.stack([p * (1 - t), p * t], 2)
    table.flags.writeable = False
    return Best(accuracy, bound - accuracy, *caps, G, L, *map(float, prices), *more, of is not None, table)


def frontier(source, global_limits=None, local_limits=None, of=None, each_client: bool = False, points: int = 10,
             on_row: Callable[[int, int], None] = lambda done, of: None) -> Frontier:
    """The best accuracy for every pair of limits: a `Frontier`.

    source, of, each_client: as in `limits`. global_limits, local_limits: bits, increasing. By default `points` of
    them, from 0 to what perfect predictions have, closer together near 0, where accuracy rises fastest.
    on_row(rows done, rows) is called after each; what it raises ends the work.

    Adult with 2 to 10 clients: 10 x 10 within about a second on one core; 100 clients some 5 s, 500 some 30 s.

    >>> front = frontier([[[0], [50]], [[25], [25]]], points=3)
    >>> front.accuracy.round(3).tolist()
    [[0.75, 0.75, 0.75], [0.75, 0.904, 0.904], [0.75, 0.904, 1.0]]

    Raises BadInput as `limits` does.
    """
    p, program = _program(source, of, each_client)
    if not isinstance(points, int) or not 2 <= points <= 200:
        raise BadInput(f"points = {points!r} is not allowed; give a whole number from 2 to 200")
    tops = program.disparities(np.broadcast_to([[[0.0], [1.0]]], p.shape))
    axes = [_axis(name, given, top, points) for name, given, top in
            zip(("global_limits", "local_limits"), (global_limits, local_limits), tops, strict=True)]
    found = np.zeros((4, len(axes[0]), len(axes[1])))
    for i, most_global in enumerate(axes[0]):
        for j, most_local in enumerate(axes[1]):
            found[:, i, j] = program.solve(float(most_global), float(most_local))[3:]
        on_row(i + 1, len(axes[0]))
    accuracy, bound, global_price, local_price = found
    # A looser limit allows whatever a tighter one does: where rounding says else, the better predictions are known.
    best = np.maximum.accumulate(np.maximum.accumulate(accuracy, 0), 1)
    return Frontier(*axes, best, global_price, local_price, float((bound - best).max()))


def tables(source) -> tuple[np.ndarray, np.ndarray | None]:
    """(people [group, label, client], predictions [group, label, prediction, client] or None) of a source; of a run its
    last reading. Counts are their own people."""
    if hasattr(source, "events"):
        from ..widgets.what_if import of_run

        counts, _, _, favourable, _ = of_run(source)
    elif hasattr(source, "favourable"):
        counts, favourable = source.counts, source.favourable
    else:
        return source, None
    told = favoured(counts, favourable)
    return told.sum(2), told


def favoured(counts, favourable: int) -> np.ndarray:
    """[group, label, prediction, client] from counts [client, group, label, prediction]: 1 is the favourable label, 0
    stands for all others."""
    told = np.asarray(counts).transpose(1, 2, 3, 0)
    for axis in (1, 2):
        good = np.take(told, [favourable], axis)
        told = np.concatenate([told.sum(axis, keepdims=True) - good, good], axis)
    return told


def _program(source, of, each_client) -> tuple[np.ndarray, Program]:
    p = _checked(tables(source)[0], "counts", "[groups, 2 labels, clients]", 3)
    if of is None:
        return p, Program(p)
    predicted = tables(of)[1]
    of = _checked(of if predicted is None else predicted, "of", "[groups, 2 labels, predictions, clients]", 4)
    if (of.shape[:2] + of.shape[3:]) != p.shape:
        raise BadInput(f"of has {list(of.shape)} cells [groups, labels, predictions, clients], and counts "
                       f"{list(p.shape)} [groups, labels, clients]; give predictions for the same groups and clients")
    if not each_client:
        of = of.sum(3, keepdims=True)
    n, people = of.sum(2, keepdims=True), p if each_client else p.sum(2, keepdims=True)
    if ((n[:, :, 0] == 0) & (people > 0)).any():
        z, y, s = np.argwhere((n[:, :, 0] == 0) & (people > 0))[0]
        where = f", client {s}" if each_client else ""
        raise BadInput(f"of holds nobody of group {z}, label {y}{where}, where counts does; the model's rates there "
                       f"are unknown: give more rows{', or each_client=False' if each_client else ''}")
    return p, Program(p, np.divide(of, n, out=np.zeros_like(of), where=n > 0))


def _checked(table, name: str, form: str, axes: int) -> np.ndarray:
    """A table of counts or probabilities as probabilities; BadInput for anything else."""
    given = table
    try:
        table = np.asarray(table.detach().cpu() if hasattr(table, "detach") else table)
    except (ValueError, TypeError):
        table = np.asarray(None)
    if table.dtype.kind not in "iuf":
        raise BadInput(f"{name} is {' '.join(reprlib.repr(given).split())}; it must hold numbers {form}: give such a "
                       "table, rows of equal length, gaps filled with 0; or a run, or an Audit")
    if table.ndim != axes:
        raise BadInput(f"{name} is {table.dtype} {list(table.shape)}; it must hold numbers {form}; fill gaps with 0")
    if table.shape[1] != 2:
        raise BadInput(f"{name} has {table.shape[1]} labels; limits take two; set the favourable one against all "
                       "others")
    if not 1 <= len(table) <= MOST_GROUPS:
        raise BadInput(f"{name} has {len(table)} groups; up to {MOST_GROUPS} will do; merge some, or set one against "
                       "all others")
    wrong = np.argwhere(~((table >= 0) & (table < np.inf)))
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise BadInput(f"{name} is {table[at]} at {list(at)}; it must be finite and at least 0; correct that cell")
    total = float(table.sum(dtype=float))
    if table.dtype.kind == "f" and abs(total - 1) > 1e-6:
        raise BadInput(f"{name} sums to {total:.9g}; floats are probabilities and must sum to 1 within 1e-6; divide by "
                       "the sum, or pass integers")
    if not total:
        raise BadInput(f"{name} holds nobody; it must hold at least one person")
    return table / total


def _cap(name: str, most) -> float:
    try:
        cap = float(most)
    except (TypeError, ValueError):
        cap = math.nan
    if not cap >= 0:
        raise BadInput(f"{name} = {most!r} is not allowed; give bits from 0 on, or infinity for no limit")
    return cap


def _axis(name: str, given, top: float, points: int) -> np.ndarray:
    if given is None:
        return max(top, 1e-3) * np.linspace(0, 1, points) ** 2
    if np.ndim(given) != 1 or not np.size(given):
        raise BadInput(f"{name} = {given!r} is not allowed; give a list of bits, such as [0, 0.01, 0.1]")
    axis = np.array([_cap(name, most) for most in given])
    if (np.diff(axis) <= 0).any():
        raise BadInput(f"{name} = {list(given)} must increase; sort it, and leave out what is there twice")
    return axis


def _bits(most: float) -> str:
    return f"{most:.4f} bits" if most >= 5e-5 or not most else f"{most:.2g} bits"


def _priced(name: str, most: float, price: float, more: float) -> str:
    """What a limit costs, in words."""
    if price < NOTHING and more < NOTHING:
        return f"The limit on {name} disparity costs nothing here."
    if most == 0:
        return f"The first hundredth of a bit of {name} disparity would buy {more:.2f} points of accuracy."
    unit, share = ("hundredth", 1.0) if most >= STEP else ("thousandth", 0.1)
    if most < STEP * share:
        return f"Another hundredth of a bit of {name} disparity would buy {more:.2f} points of accuracy."
    return (f"One {unit} of a bit less {name} disparity costs at least {price * share:.2f} points of accuracy; one "
            f"{'' if share == 1 else 'hundredth '}more would buy {more:.2f}.")
