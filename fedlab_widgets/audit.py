"""Predictions from elsewhere, read as the lab reads its own: no training, no model, one frame of rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .evaluate.pid import MOST_GROUPS, Disparity, decompose
from .part import BadInput

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and who audits has it already

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

    @cached_property
    def disparity(self) -> Disparity:
        """`decompose` of the table [group, prediction, client], in bits."""
        return decompose(self.counts.sum(2).transpose(1, 2, 0))

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

    def __repr__(self) -> str:
        return (f"<Audit of {self.counts.sum():,} predictions, {len(self.clients):,} clients, "
                f"groups {', '.join(self.groups)}>")

    def _repr_html_(self) -> str:
        from .widgets.fairness import html

        return html(self.reading)


def audit(frame: pd.DataFrame, *, outcome, prediction, group, client, favourable=None) -> Audit:
    """Who is given the favourable answer, by group and client, from a frame with one row a person.

    outcome, prediction, group, client: names of columns, which may hold anything hashable. Predictions are labels, not
    scores. favourable: the value of the outcome that is good to get; with two values the later one by default. With
    more it must be given, and all others count as one: the question is who is given it. No row leaves this process.
    Raises BadInput for missing columns or values, scores, a single or over ten groups, or an unknown favourable value.

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
    columns = {"outcome": outcome, "prediction": prediction, "group": group, "client": client}
    values = {role: _column(frame, role, name) for role, name in columns.items()}
    group_codes, groups = _codes(values["group"], "group")
    if not 2 <= len(groups) <= MOST_GROUPS:
        raise BadInput(_wrong_groups(group, groups))
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
    return Audit(counts, _names(groups), names, good, _names(clients))


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


def _wrong_groups(name, groups: list) -> str:
    if len(groups) == 1:
        return f"group = {name!r} holds the one value {groups[0]!r}; with a single group there is nothing to compare"
    return (f"group = {name!r} holds {len(groups):,} different values; from 2 to {MOST_GROUPS} can be compared; merge "
            "some, or cut numbers into ranges with pandas.cut")


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
