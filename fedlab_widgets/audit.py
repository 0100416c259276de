"""Predictions from elsewhere, read as the lab reads its own: no training, no model, one frame of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .evaluate.pid import MOST_GROUPS, Disparity, decompose
from .part import BadInput

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and who audits has it already

    from .export import Figure

MANY = 1000   # different values of an outcome beyond which a column is surely no outcome


@dataclass(frozen=True, eq=False)
class Audit:
    """Counts [client, group, label, prediction] of somebody's predictions, with their names, and what they say.

    `favourable` is an index into `labels`. `clients` are the values of the client column, in order.
    """

    counts: np.ndarray
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    favourable: int
    clients: tuple[str, ...]

    @property
    def table(self) -> np.ndarray:
        """The counts [group, prediction, client], whatever the label."""
        return self.counts.sum(2).transpose(1, 2, 0)

    @cached_property
    def disparity(self) -> Disparity:
        """`decompose` of the table [group, prediction, client], in bits."""
        return decompose(self.table)

    @cached_property
    def reading(self):
        """The `Reading` of the counts: rates, gaps, parts and sentences."""
        from .widgets.fairness import read

        return read(self.counts, self.groups, self.labels, self.favourable, self.clients)

    def text(self) -> str:
        """The reading in plain text: sentences, and one line a client."""
        from .widgets.fairness import percent, signed

        r = self.reading
        lines = [*r.sentences, ""]
        for c in r.clients:
            rates = ", ".join(f"{p.group} {p.positives:,} of {p.n:,} ({percent(p.rate)})" for p in c.rates)
            gap = "one group only" if c.gap is None else (f"gap {signed(c.gap.points)} points "
                                                          f"[{signed(c.gap.low)}, {signed(c.gap.high)}]")
            lines.append(f"client {c.client}: {rates}; {gap}")
        return "\n".join(lines)

    def figure(self, name: str = "hull") -> Figure:
        """The figure of that name: "hull", what the prediction tells of the group beyond the client.

        Its numbers are `figure.data`; `figure.save(path)` writes both, with every client's rows: for a printout without
        small numbers see `save`. Raises BadInput for another name.
        """
        from .export import Figure
        from .figure_hull import hull_data, hull_figure

        if name != "hull":
            raise BadInput(f"figure = {name!r} is none of an audit's; there is one, \"hull\"")
        names = self.groups, self.clients, self.labels
        return Figure("hull", hull_figure(self.table, *names), hull_data(self.table, *names))

    def save(self, path: str | Path) -> Path:
        """Write a summary of two pages for print, as .html or .pdf, without any number of fewer than ten people.

        Sentences, rates by group and client, the parts in bits, the hull, criteria, limits: `audit_summary.page`. A
        .pdf is printed by the Chrome or Chromium of this machine. A file of that name is replaced. Returns the path.
        Raises BadInput for another suffix, a folder that is not there, a group of fewer than ten people, and a machine
        without Chrome.
        """
        from .audit_summary import save

        return save(self, path)

    def __repr__(self) -> str:
        return (f"<Audit of {self.counts.sum():,} predictions, {len(self.clients):,} clients, "
                f"groups {', '.join(self.groups)}>")

    def _repr_html_(self) -> str:
        from .widgets.fairness import html

        return html(self.reading)


def audit(frame: pd.DataFrame, *, outcome, prediction, group, client, favourable=None,
          bins=None) -> Audit:
    """Who is given the favourable answer, by group and client, from a frame with one row a person.

    outcome, prediction, group, client: names of columns, which may hold anything hashable. Predictions are labels, not
    scores. group: several columns, in a list, are crossed: groups read "f, black". bins: cuts a numeric column of
    groups into ranges: how many (about as many people in each) or their limits; of several columns {column: bins}.
    favourable: the value of the outcome that is good to get; with two values the later one by default. With more it
    must be given, and all others count as one: the question is who is given it. No row leaves this process.
    Raises BadInput for missing columns or values, scores, a single or over ten groups, values outside the limits, or an
    unknown favourable value.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"hired": [0, 1, 1, 0] * 25, "model": [0, 1, 0, 0] * 25,
    ...                      "sex": ["f", "m"] * 50, "site": ["Bonn"] * 40 + ["Kiel"] * 60})
    >>> told = audit(rows, outcome="hired", prediction="model", group="sex", client="site")
    >>> told, told.counts.shape, round(told.reading.gap.points)
    (<Audit of 100 predictions, 2 clients, groups f, m>, (2, 2, 2, 2), 50)
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise BadInput(f"frame is a {type(frame).__name__}; give a pandas DataFrame with one row a person")
    if not len(frame):
        raise BadInput("frame has no rows; give one row a person")
    columns = {"outcome": outcome, "prediction": prediction, "client": client}
    values = {role: _column(frame, role, name) for role, name in columns.items()}
    group_codes, groups = _groups(frame, group, bins)
    client_codes, clients = _codes(values["client"], "client")
    both, labels = _codes(pd.concat([values["outcome"], values["prediction"]], ignore_index=True), "outcome")
    y, p = both[:len(frame)], both[len(frame):]
    names, good = _answers(labels, favourable, values["outcome"], values["prediction"])
    if len(labels) > 2:
        place = labels.index(favourable)
        y, p = (y == place).astype(int), (p == place).astype(int)
    shape = (len(clients), len(groups), 2, 2)
    cell = ((client_codes * shape[1] + group_codes) * 2 + y) * 2 + p
    counts = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    return Audit(counts, groups, names, good, _names(clients))


def _groups(frame: pd.DataFrame, group, bins) -> tuple[np.ndarray, tuple[str, ...]]:
    """A number a row and the names of the groups that somebody is in, in order; several columns are crossed."""
    several = isinstance(group, list)
    chosen = group if several else [group]
    if not chosen:
        raise BadInput("group = [] names no column; give one, or several to cross")
    if len(set(map(repr, chosen))) < len(chosen):
        raise BadInput(f"group = {group!r} names a column twice; name each once")
    each = [_column(frame, "group", name) for name in chosen]
    read = [_codes(c, "group") if b is None else _ranges(c, n, b)
            for c, n, b in zip(each, chosen, _bins(bins, chosen, each), strict=True)]
    cell = np.ravel_multi_index([codes for codes, _ in read], [len(found) for _, found in read])
    some, codes = np.unique(cell, return_inverse=True)
    if not 2 <= len(some) <= MOST_GROUPS:
        raise BadInput(_wrong_groups(group, [found for _, found in read], len(some), several))
    if not several:
        return codes, _names(read[0][1])
    texts = [_names(found) for _, found in read]
    places = zip(*np.unravel_index(some, [len(t) for t in texts]), strict=True)
    return codes, tuple(", ".join(t[i] for t, i in zip(texts, place, strict=True)) for place in places)


def _bins(bins, chosen: list, each: list) -> list:
    """The bins of each column of groups, None where it is left as it is."""
    if isinstance(bins, dict):
        strange = [name for name in bins if name not in chosen]
        if strange:
            raise BadInput(f"bins names {strange[0]!r}, which is no column of group; it is about {chosen!r}")
        return [bins.get(name) for name in chosen]
    if bins is None or len(chosen) == 1:
        return [bins] * len(chosen)
    numeric = [_numbers(c) is not None for c in each]
    if sum(numeric) != 1:
        raise BadInput(f"bins = {bins!r} does not say which column of {chosen!r} to cut; write "
                       f"{{{chosen[0]!r}: {bins!r}}}")
    return [bins if number else None for number in numeric]


def _numbers(column: pd.Series) -> np.ndarray | None:
    """The column as floats; None where it holds anything but numbers (yes and no are none)."""
    try:
        return None if column.map(type).isin([bool, np.bool_, str]).any() else column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        return None


def _ranges(column: pd.Series, name, bins) -> tuple[np.ndarray, list[str]]:
    """A number a row and the names of the ranges: each from its lower limit to below the next, the last with both."""
    x = _numbers(column)
    if x is None or not np.isfinite(x).all():
        raise BadInput(f"bins cuts numbers, and group = {name!r} holds others; leave bins away, or correct the column")
    if isinstance(bins, (int, np.integer)) and not isinstance(bins, bool):
        if not 2 <= bins <= MOST_GROUPS:
            raise BadInput(f"bins = {bins!r}: from 2 to {MOST_GROUPS} ranges can be compared")
        held = np.unique(x)
        limits = np.unique([*np.quantile(x, np.linspace(0, 1, bins + 1), method="higher"), held[-1]])
        if len(limits) < 3 <= len(held) + 1:   # nearly all alike: those, and the others
            limits = held[[0, 1, -1]]
    else:
        try:
            limits = np.asarray(bins, dtype=float)
            fine = limits.ndim == 1 and len(limits) > 2 and np.isfinite(limits).all() and (np.diff(limits) > 0).all()
        except (TypeError, ValueError):
            fine = False
        if not fine:
            raise BadInput(f"bins = {bins!r}: give how many ranges, or three or more rising limits, e.g. [18, 25, 40, "
                           "65]")
    out = int(((x < limits[0]) | (x > limits[-1])).sum())
    if out:
        raise BadInput(f"group = {name!r} has {out:,} values outside the limits {limits[0]:g} to {limits[-1]:g}; it "
                       f"goes from {x.min():g} to {x.max():g}; widen bins, or leave these rows out")
    codes = np.clip(np.searchsorted(limits, x, "right") - 1, 0, len(limits) - 2)
    whole = (x == x.round()).all() and (limits == limits.round()).all()
    last = len(limits) - 2   # of whole numbers the range ends one before the next begins: nobody is in two

    def named(i):
        low, high = (f"{v:.0f}" if whole else f"{v:.6g}" for v in (limits[i], limits[i + 1] - (whole and i < last)))
        return low if low == high else f"{low} to {'' if whole or i == last else 'below '}{high}"

    some, codes = np.unique(codes, return_inverse=True)
    return codes, [named(i) for i in some]


def _column(frame: pd.DataFrame, role: str, name) -> pd.Series:
    """A column of the frame as objects. Raises BadInput when it is missing, twice there, or has gaps."""
    try:
        known = name in frame.columns
    except TypeError:
        known = False
    if not known:
        there = ", ".join(repr(c) for c in frame.columns[:12]) + (", …" if frame.shape[1] > 12 else "")
        raise BadInput(f"{role} = {name!r} is no column of the frame; its columns are {there}")
    column = frame[name]
    if column.ndim != 1:
        raise BadInput(f"{role} = {name!r} names several columns of the frame; rename them so that one is meant")
    gaps = int(column.isna().sum())
    if gaps:
        raise BadInput(f"{role} = {name!r} has {gaps:,} missing values; drop these rows or give them a value of their "
                       "own")
    return column.astype(object).reset_index(drop=True)


def _codes(column: pd.Series, role: str) -> tuple[np.ndarray, list]:
    """A number a row and the values they stand for, sorted where they can be, else by type and text."""
    import pandas as pd

    try:
        codes, found = pd.factorize(column)
    except TypeError as error:
        raise BadInput(f"{role} holds values that cannot be told apart ({error}); give texts or numbers") from None
    found = list(found)
    try:
        order = sorted(range(len(found)), key=found.__getitem__)
    except TypeError:
        order = sorted(range(len(found)), key=lambda i: (type(found[i]).__name__, str(found[i])))
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found))
    return place[codes], [found[i] for i in order]


def _names(values: list) -> tuple[str, ...]:
    """Values as texts; where two would read alike, as 1 and "1", the way Python writes them."""
    texts = [str(v) for v in values]
    return tuple(texts if len(set(texts)) == len(texts) else map(repr, values))


def _wrong_groups(name, found: list, n: int, several: bool) -> str:
    if n == 1:
        value = ", ".join(str(f[0]) for f in found) if several else repr(found[0][0])
        return f"group = {name!r} holds the one value {value}; with a single group there is nothing to compare"
    what = "combinations" if several else "values"
    way = "name fewer columns, or merge some values" if several else "merge some"
    return (f"group = {name!r} holds {n:,} different {what}; from 2 to {MOST_GROUPS} can be compared; {way}, or cut "
            "numbers into ranges, e.g. bins=4 or bins=[18, 25, 40, 65]")


def _answers(labels: list, favourable, outcome: pd.Series, prediction: pd.Series) -> tuple[tuple[str, ...], int]:
    """Two names of answers and which is favourable, from all values seen and the one that was asked for."""
    some = ", ".join(repr(v) for v in labels[:5]) + (", …" if len(labels) > 5 else "")
    strange = sorted(set(map(repr, prediction)) - set(map(repr, outcome)))
    if len(labels) > MANY or len(labels) > 2 and favourable is None and len(set(outcome)) == 2:
        raise BadInput(f"prediction holds {strange[0] if strange else some}, which is no outcome ({len(labels):,} "
                       "values in all); give predicted labels written like the outcomes, e.g. score > 0.5, not scores")
    if len(labels) == 1:
        raise BadInput(f"outcome and prediction hold the one value {labels[0]!r}; there is no answer to be given or "
                       "not")
    if favourable is None and len(labels) > 2:
        raise BadInput(f"outcome has {len(labels)} values ({some}); say which one is good to get, e.g. "
                       f"favourable={labels[-1]!r}")
    if favourable is not None and favourable not in labels:
        raise BadInput(f"favourable = {favourable!r} is no value of outcome or prediction; they hold {some}")
    if len(labels) == 2:
        return _names(labels), 1 if favourable is None else labels.index(favourable)
    return (f"not {favourable}", str(favourable)), 1
