"""Who is given the favourable answer, client by client, in numbers, sentences and a picture that claim no more than
the counts show.

A reading is made from one table of counts [client, group, label, prediction]. Rates and gaps come first, bits second.
The sentences are chosen from the signed gaps of the clients, never from a part's name: a redundant disparity says
nothing about gaps inside clients, and a masked one says nothing about their signs (`evaluate/pid.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evaluate import private_tables
from ..evaluate.pid import MOST_GROUPS, Disparity, chance, decompose
from ..evaluate.private_tables import Private
from ..part import BadInput

FEW = 20          # rows of a group in a client below which a gap counts for a direction only if its interval is clear
ATOMS = ("redundant", "unique", "masked")   # from the bottom of the stack to its top
METHOD = "Newcombe's interval for a difference, from Wilson scores"
MEANS = {"redundant": "what predictions tell about the group and the client tells as well",
         "unique": "what predictions tell about the group and the client does not",
         "masked": "what predictions tell about the group only once the client is known"}
WHOSE = "No client trained on these rows. The board's test accuracy is on other rows: those of the test set."
TABLES = ("The three parts need one table per client. Plain secure aggregation, which reveals nothing but sums, "
          "suffices for the global disparity, not for them.")
NOISY = ("Read from noisy tables: the parts, global and local disparity, what chance and noise reach. Rates, gaps and "
         "accuracies, here and elsewhere in the lab, are of the true counts: they are not protected.")


@dataclass(frozen=True)
class Rate:
    """So many of the n rows of a group were given the favourable answer. `rate` is 0 to 1, NaN for n = 0."""

    group: str
    n: int
    positives: int

    @property
    def rate(self) -> float:
        return self.positives / self.n if self.n else math.nan


@dataclass(frozen=True)
class Gap:
    """Rate of `first` minus rate of `second`, in percentage points, with the ends of its 95 % interval."""

    first: Rate
    second: Rate
    points: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    @property
    def few(self) -> bool:
        return min(self.first.n, self.second.n) < FEW


@dataclass(frozen=True)
class Client:
    """A client's rates, in the order of the groups, and its gap: None where one of the two groups has no rows."""

    client: str
    rates: tuple[Rate, ...]
    gap: Gap | None

    @property
    def direction(self) -> int:
        """1 where the first group of the gap is favoured, -1 the second, 0 where it is neither or cannot be counted."""
        if self.gap is None or self.gap.few and not self.gap.clear:
            return 0
        return int(np.sign(self.gap.points))


@dataclass(frozen=True)
class Atom:
    """A part of the disparity in bits: plug-in, corrected for sample size, and what it would be by chance.

    `low` to `high` is the band of `evaluate.pid.chance`, as in the record of a run: `high` is what chance reaches. NaN
    where it has not been drawn. Of noisy tables `corrected` is NaN, and the band is that of `private_tables.chance`.
    """

    name: str
    bits: float
    corrected: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether what chance explains has been drawn."""
        return not math.isnan(self.high)

    @property
    def above(self) -> bool:
        """Whether the plug-in value lies above what chance explains."""
        return self.bits > self.high + 1e-12   # rounding


@dataclass(frozen=True)
class Reading:
    """What a table of counts says. Gaps are in percentage points, disparities in bits, accuracy is 0 to 1.

    `held_out`: whether the n rows are a run's, that no client trained on; else they are whatever was handed over.
    `gap` is the largest over the pairs of groups, larger rate first; `data_gap` the same pair and order in the labels.
    `global_disparity` is read from the whole-number sums over clients, so that who holds whom cannot move its last bit.
    private: how noisy tables were released, where parts and disparities are read from those; all else is of the counts.
    """

    groups: tuple[str, ...]
    favourable: str
    n: int
    accuracy: float
    gap: Gap
    data_gap: Gap
    rates: tuple[Rate, ...]
    data_rates: tuple[Rate, ...]
    clients: tuple[Client, ...]
    atoms: tuple[Atom, ...]
    global_disparity: float
    disparity: Disparity
    held_out: bool = False
    private: Private | None = None

    @property
    def reaches(self) -> str:
        """What a band is, in words that its upper end completes."""
        return "chance and noise reach" if self.private else "chance reaches"

    @property
    def rows(self) -> str:
        """Whose rows the figures are of: "the 6,508 held-out rows", "these 300 rows"."""
        return f"the {self.n:,} held-out rows" if self.held_out else f"these {self.n:,} rows"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The reading in words, the message first; the last one is about what it takes."""
        return (*self.message, *([WHOSE] if self.held_out else []), *self.in_bits, *self.spent, TABLES)

    @property
    def spent(self) -> tuple[str, ...]:
        """What noisy tables have cost and what they do not cover; nothing where parts are read from the counts."""
        return (self.private.statement, NOISY) if self.private else ()

    @cached_property
    def message(self) -> tuple[str, ...]:
        """What needs no bits: see `headline`, `in_data` and `directions`."""
        many = len(self.groups) > 2
        pair = (f"Of {math.comb(len(self.groups), 2)} pairs of groups the one furthest apart is shown; its interval is "
                "for that pair alone, and the largest of several differences is on average too large.")
        return headline(self), in_data(self), *([pair] if many else []), directions(self) + "."

    @cached_property
    def in_bits(self) -> tuple[str, ...]:
        """The parts against their bands, and which of global and local is larger: see `part` and `larger`."""
        return (*(part(self, atom) for atom in self.atoms), larger(self))


def read(counts, groups: Sequence, labels: Sequence, favourable: int, clients: Sequence | None = None,
         draws: int = 200, seed: int = 0, held_out: bool = False, private: Private | None = None) -> Reading:
    """A `Reading` of counts [client, group, label, prediction], whole numbers.

    favourable: which label is good to get, an index. clients: their names (default 0, 1, …). draws: tables a band is
    made from, 0 for none: parts are then shown without. held_out: whether the rows are a run's, held out from training.
    Bands are those of `evaluate.pid.chance`; with the defaults, those that a run records. private: how a run released
    its tables (`evaluate.decomposition.private_of`); parts, disparities and bands are then of those. Raises BadInput
    for other tables, fewer than two groups with rows, more than ten, no such label, and when noise leaves nobody.

    >>> told = read([[[[40, 10], [0, 0]], [[20, 30], [0, 0]]]], ("A", "B"), ("no", "yes"), favourable=1)
    >>> told.gap.first.group, round(told.gap.points, 1), round(told.gap.low, 1), round(told.gap.high, 1)
    ('B', 40.0, 21.0, 55.2)
    """
    counts = checked(counts, groups, labels, favourable)
    names, labels = tuple(map(str, groups)), tuple(map(str, labels))
    ids = tuple(map(str, range(len(counts)) if clients is None else clients))
    whole = counts.sum(0)
    first, second = _pair(whole[:, :, favourable].sum(1), whole.sum((1, 2)))
    rows, given = counts.sum((2, 3)), counts[:, :, :, favourable].sum(2)
    of = [_rates(names, n, k) for n, k in zip(rows, given, strict=True)]
    people = whole.sum((1, 2))
    overall, real = (_rates(names, people, k.sum(1)) for k in (whole[:, :, favourable], whole[:, favourable]))
    table = counts.sum(2).transpose(1, 2, 0)      # [group, prediction, client]
    try:
        released = private and private.release(table)
    except ValueError as error:
        raise BadInput(str(error)) from None
    seen = released.probabilities if private else table
    found, band = decompose(seen), private_tables.chance if private else chance
    reached = band(released or table, draws, seed) if draws else dict.fromkeys(ATOMS, (math.nan, math.nan))
    return Reading(
        names, labels[favourable], int(counts.sum()), float(np.einsum("gll->", whole) / whole.sum()),
        gap(overall[first], overall[second]), gap(real[first], real[second]), overall, real,
        tuple(Client(i, r, gap(r[first], r[second])) for i, r in zip(ids, of, strict=True)),
        tuple(Atom(a, getattr(found, a), getattr(found.corrected, a, math.nan), *reached[a]) for a in ATOMS),
        decompose(seen.sum(2, keepdims=True)).global_disparity, found, held_out, private)


def gap(first: Rate, second: Rate) -> Gap | None:
    """The difference of two rates with its 95 % interval, in percentage points; None where a group has no rows.

    Source: Newcombe, Statistics in Medicine 17 (1998) 873, method 10: Wilson's limits l and u of each rate p give
    d - sqrt((p1 - l1)^2 + (u2 - p2)^2) to d + sqrt((u1 - p1)^2 + (p2 - l2)^2). Recalled; its example is in the tests.

    >>> told = gap(Rate("A", 70, 56), Rate("B", 80, 48))
    >>> round(told.points, 2), round(told.low, 2), round(told.high, 2)
    (20.0, 5.24, 33.39)
    """
    if not first.n or not second.n:
        return None
    (l1, u1), (l2, u2), p1, p2 = wilson(first), wilson(second), first.rate, second.rate
    low, high = math.hypot(p1 - l1, u2 - p2), math.hypot(u1 - p1, p2 - l2)
    return Gap(first, second, *(100 * d for d in (p1 - p2, p1 - p2 - low, p1 - p2 + high)))


def wilson(rate: Rate, z: float = 1.959963984540054) -> tuple[float, float]:
    """The 95 % limits of a rate, 0 to 1. Source: Wilson, JASA 22 (1927) 209."""
    n, p = rate.n, rate.rate
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def checked(counts, groups: Sequence, labels: Sequence, favourable: int) -> np.ndarray:
    """counts as int64 [client, group, label, prediction]; BadInput where names and numbers do not fit."""
    counts = np.asarray(counts)
    form = f"[clients, {len(groups)} groups, {len(labels)} labels, {len(labels)} predictions]"
    if counts.dtype.kind not in "iu" or counts.shape[1:] != (len(groups), len(labels), len(labels)):
        raise BadInput(f"counts is {counts.dtype} {list(counts.shape)}; it must hold whole numbers {form}")
    if not 2 <= len(groups) <= MOST_GROUPS:
        raise BadInput(f"groups has {len(groups)} names; from 2 to {MOST_GROUPS} groups can be compared")
    if favourable not in range(len(labels)):
        raise BadInput(f"favourable = {favourable!r} is no label; choose an index from 0 to {len(labels) - 1}")
    if (counts < 0).any() or (counts.sum((0, 2, 3)) > 0).sum() < 2:
        raise BadInput("counts must be at least 0 and have rows in at least two groups; there is nothing to compare")
    return counts.astype(np.int64)


def _rates(names, n, positives) -> tuple[Rate, ...]:
    return tuple(Rate(name, int(a), int(b)) for name, a, b in zip(names, n, positives, strict=True))


def _pair(positives: np.ndarray, n: np.ndarray) -> tuple[int, int]:
    """The two groups whose rates lie furthest apart, larger rate first; empty groups do not count."""
    some = [g for g in range(len(n)) if n[g]]
    return max(itertools.permutations(some, 2),
               key=lambda p: float(positives[p[0]] / n[p[0]] - positives[p[1]] / n[p[1]]))


# --- words ----------------------------------------------------------------------------------------

def signed(points: float) -> str:
    """Percentage points with their sign: "+3.2", "−0.4"; never "−0.0"."""
    text = f"{abs(points):.1f}"
    return text if float(text) == 0 else ("+" if points > 0 else "−") + text


def percent(share: float, digits: int = 1) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def bits(value: float) -> str:
    """Bits to four places; what is smaller says so."""
    return "0" if value < 1e-9 else "below 0.0001" if value < 1e-4 else f"{value:.4f}"


def span(gap: Gap) -> str:
    return f"95 % interval {signed(gap.low)} to {signed(gap.high)}"


def headline(r: Reading) -> str:
    """The gap with both groups and the answer by name, its interval, and n."""
    a, b = r.gap.first, r.gap.second
    tail = "" if r.gap.clear else f"; this cannot be told from zero with n = {a.n + b.n:,}"
    return (f"In {r.rows} “{r.favourable}” is predicted for {percent(a.rate)} of {a.group} (n = {a.n:,}) and "
            f"{percent(b.rate)} of {b.group} (n = {b.n:,}): {a.group} − {b.group} = {signed(r.gap.points)} percentage "
            f"points, {span(r.gap)}{tail}.")


def in_data(r: Reading) -> str:
    """The same pair in the labels: what a perfectly accurate model would show."""
    rows = r.rows.replace("the ", "the same ")
    return (f"In the data of {rows} “{r.favourable}” is the outcome for {percent(r.data_gap.first.rate)} of "
            f"{r.data_gap.first.group} and {percent(r.data_gap.second.rate)} of {r.data_gap.second.group}: "
            f"{signed(r.data_gap.points)} points, {span(r.data_gap)}.")


def directions(r: Reading) -> str:
    """What the signs of the client gaps are, how many are clear, and which clients could not be counted."""
    first, second = r.gap.first.group, r.gap.second.group
    ways = [c.direction for c in r.clients]
    up, down = ways.count(1), ways.count(-1)
    alone = sum(c.gap is None for c in r.clients)
    even = sum(c.gap is not None and c.gap.points == 0 and not c.gap.few for c in r.clients)
    open_ = len(ways) - up - down - alone - even
    if up and down:
        text = f"in {_clients(up)} {first} is favoured, in {down} the other way round ({second})"
    elif up or down:
        text = f"in {up + down} of {_clients(len(ways))} {first if up else second} is favoured"
    else:
        text = f"in none of {_clients(len(ways))} a direction could be counted"
    clear = sum(c.direction != 0 and c.gap.clear for c in r.clients)
    notes = [f"the interval leaves zero out in {clear} of {up + down}"] if up + down else []
    notes += [f"{_clients(even)} with equal rates"] if even else []
    notes += [f"{_clients(alone)} without one of the two groups"] if alone else []
    notes += [f"not counted: {_clients(open_)} with fewer than {FEW} rows of a group and an interval that covers zero"
              ] if open_ else []
    return f"Inside clients: {text}" + (f" ({'; '.join(notes)})" if notes else "")


def _clients(n: int) -> str:
    return f"{n:,} client{'s' if n != 1 else ''}"


def part(r: Reading, atom: Atom) -> str:
    """One part in bits against its band; where it is above, what it is and, from the gaps, what it does not settle."""
    name = f"{atom.name.capitalize()}: {bits(atom.bits)} bits"
    if not atom.known:
        return f"{name}; what {r.reaches} is not drawn yet."
    if not atom.above:
        reach = f" ({r.reaches} {bits(atom.high)})" if atom.high > 1e-9 else ""
        return f"{name} cannot be told from zero with n = {r.n:,}{reach}."
    text = f"{name}, {r.reaches} {bits(atom.high)}: {MEANS[atom.name]}."
    if atom.name == "unique" or len(r.clients) < 2:
        return text
    open_ = {"redundant": "It does not speak of gaps inside clients; those were counted above: ",
             "masked": "It does not speak of the signs of gaps; those were counted above: "}[atom.name]
    return text + " " + open_ + directions(r).removeprefix("Inside clients: ").split(" (")[0] + "."


def larger(r: Reading) -> str:
    """Which of global and local is larger, where the part that makes the difference is above its band."""
    both = f"global disparity {bits(r.global_disparity)} bits, local disparity {bits(r.disparity.local_disparity)} bits"
    if len(r.clients) == 1:
        return f"One client holds everybody, so that local and global are the same: {both}."
    redundant, _, masked = r.atoms
    if not redundant.known:
        return both.capitalize() + "."
    if redundant.above and redundant.bits > masked.bits:
        return f"Global is larger than local: {both}."
    if masked.above and masked.bits > redundant.bits:
        return f"Local is larger than global: {both}."
    return f"Which of global and local is larger cannot be told with n = {r.n:,}: {both}."


def withheld(task, attribute: str | None = None, rows: int = 5000, seed: int = 0) -> str:
    """How well the columns given to the model reveal the group, in a sentence; measured on test rows.

    task: a task, or the `Data` it loads. attribute: what to call the group (default: the task's `sensitive`). A
    logistic regression learns from at most `rows` training rows. Takes a second. Raises BadInput without two groups.
    """
    data = task.load() if hasattr(task, "load") else task
    name = str(attribute or getattr(task, "sensitive", "the group"))
    first = name[:1].upper() + name[1:]   # it begins a sentence
    if len(data.groups) < 2:
        raise BadInput("the data have one group, so that there is nothing to reveal; choose data with groups")
    accuracy, guess, n = _revealed(data, rows, seed)
    figures = (f"{percent(accuracy, 0)} accuracy; guessing gives {percent(guess, 0)} (logistic regression, "
               f"{n:,} test rows).")
    given = {True: f"{first} is not given to the model, but the other columns reveal it with ",
             False: f"{first} is given to the model; its columns reveal it with "}
    if accuracy <= guess:
        return f"The columns given to the model reveal {name} no more often than guessing: {figures}"
    return given.get(getattr(task, "withhold", None), f"The columns given to the model reveal {name} with ") + figures


def _revealed(data, rows: int, seed: int) -> tuple[float, float, int]:
    """(accuracy, accuracy of the commonest group, test rows) of a logistic regression from columns to group."""
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    some = np.random.default_rng(seed).permutation(len(data.group))[:rows]
    x, group = data.x.flatten(1).numpy()[some], data.group.numpy()[some]
    test, truth = data.test_x.flatten(1).numpy(), data.test_group.numpy()
    guess = float((truth == np.bincount(group).argmax()).mean())
    if len(np.unique(group)) < 2:
        return guess, guess, len(truth)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, group)
    return float(model.score(test, truth)), guess, len(truth)


def html(reading: Reading, scale: float | None = None) -> str:
    """The reading as accessible HTML for light and dark: headline, tables, parts, sentences.

    scale: bits that fill the stack of parts (default: what the reading needs); a fixed one lets two be compared.
    """
    from .fairness_html import page  # it imports this module

    return page(reading, scale)
