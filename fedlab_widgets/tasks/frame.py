"""A task from a data frame or a file of one's own: which column is what, and how columns become features.

Numbers are standardised and texts become one column for each value. Means, deviations, medians and lists of values are
taken over **all** rows that are used, test rows and every client's included: as if the clients had agreed on them
beforehand. So a little of the test rows leaks into the features; for a strict figure prepare the features yourself on
the training rows and use `fl.from_arrays`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..evaluate.pid import MOST_GROUPS
from ..part import BadInput
from .arrays import Arrays, from_arrays
from .columns import Kind, features_of, gaps_of, kind_of, values_of
from .table import read_table

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

MOST_LABELS = 50
FEWEST_ROWS = 10
SOME = 12   # names of columns or clients in a sentence
_REPORTS: dict[str, Report] = {}


@dataclass(frozen=True)
class Report:
    """What became of a frame. dropped: rows by reason. features: their names. missing: gaps in all rows read, by column
    (those without are left out). unused: columns that make no feature, each with the reason. clients: their names in
    the order of the numbers that they go by in a run."""

    rows_read: int
    rows_used: int
    dropped: dict[str, int]
    features: tuple[str, ...]
    missing: dict[str, int]
    unused: dict[str, str]
    clients: tuple[str, ...] = ()

    def text(self) -> str:
        """The report in sentences."""
        said = [f"{self.rows_read:,} rows were read and {self.rows_used:,} are used."]
        said += [f"{n:,} {'row is' if n == 1 else 'rows are'} left out: {why}." for why, n in self.dropped.items()]
        said += [f"Features made of the other columns: {len(self.features):,}."]
        said += [f"Column {name} is not used: {why}." for name, why in self.unused.items()]
        if self.clients:
            named = ", ".join(f"{i} {name}" for i, name in enumerate(self.clients[:SOME]))
            said += [f"Clients go by number: {named}{', …' if len(self.clients) > SOME else ''}."]
        return " ".join(said)


@dataclass(frozen=True, eq=False)
class Plan:
    """The columns of a frame in their roles, checked, with the rows that cannot be used left out: see `plan`.

    y, group and client are [rows] or None; kinds are those of the columns that make features.
    """

    rows: pd.DataFrame
    y: np.ndarray
    group: np.ndarray | None
    client: np.ndarray | None
    kinds: dict[object, Kind]
    report: Report

    def features(self) -> np.ndarray:
        """x [rows, features] float32: numbers as (value - mean) / deviation, texts and gaps as 0 or 1."""
        made = (f for name, kind in self.kinds.items() for f in features_of(self.rows[name], kind))
        x = np.empty((len(self.rows), len(self.report.features)), dtype=np.float32)
        for i, column in enumerate(made):
            x[:, i] = column
        return x


def from_frame(frame: pd.DataFrame, outcome, favourable=None, sensitive=None, client=None, exclude: Sequence = (),
               missing: str = "category", withhold: bool = True, name: str = "my data",
               keep_rows: bool = False) -> Arrays:
    """A task from a data frame: one row a person (or thing), one column for what is to be predicted.

    outcome: the column to predict. favourable: the value of it that is good to get (the later of two when not given).
    sensitive: the column whose groups are compared. client: the column that says who holds a row; use it with
    `partition=fl.Natural()`. None of these is a feature, nor are the columns in `exclude`; withhold=False makes
    `sensitive` one. Numbers and dates (as days) are standardised, texts and booleans become a column for each value, of
    two values one. missing: "category" makes gaps in texts a value of their own and fills gaps in numbers with the
    median, with a column that says so; "drop" leaves such rows out. Rows without outcome, sensitive or client are
    always left out. `report_of(task)` counts what was done. Run folders hold the rows only if keep_rows is True.

    Statistics are taken over all rows, test rows included: a little leaks (see the head of this module).
    Raises BadInput for unknown columns, columns with more than 100 different texts (an ID? exclude it), more than 10
    groups, fewer than 10 rows, and kinds of values that are neither number, text, date nor boolean.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": range(20, 40), "city": ["Rome", "Oslo"] * 10,
    ...                       "paid": ["no", "no", "yes", "yes"] * 5})
    >>> task = from_frame(frame, outcome="paid", sensitive="city")
    >>> task.shape, task.labels, task.groups
    ((20, 1), ('no', 'yes'), ('Oslo', 'Rome'))
    >>> report_of(task).text()
    '20 rows were read and 20 are used. Features made of the other columns: 1.'
    """
    choices = {"outcome": outcome, "favourable": favourable, "sensitive": sensitive, "client": client,
               "exclude": exclude, "missing": missing, "withhold": withhold}
    planned = plan(frame, **choices)
    good = favourable if favourable is None else _same(planned.y, favourable)
    task = from_arrays(planned.features(), planned.y, planned.group, planned.client, name, good, keep_rows)
    _REPORTS[task.sha256] = planned.report
    return _made_by(task, "fl.from_frame(frame, ", choices, name)


def from_file(path: str | Path, outcome, **choices) -> Arrays:
    """A task from a CSV or Parquet file on this machine: `from_frame` on what `read_table` finds in it.

    The task is named after the file unless `name` is given. Raises BadInput as those two do.
    """
    name = choices.pop("name", Path(path).name)
    task = from_frame(read_table(path), outcome, name=name, **choices)
    return _made_by(task, f"fl.from_file({Path(path).name!r}, ", {"outcome": outcome, **choices}, name)


def report_of(task: Arrays) -> Report:
    """What became of the frame that a task was made from. Raises BadInput for a task made otherwise or elsewhere."""
    if task.sha256 not in _REPORTS:
        raise BadInput(f"task = {task.title!r} was not made from a frame in this process; call fl.from_frame first")
    return _REPORTS[task.sha256]


def plan(frame: pd.DataFrame, outcome, favourable=None, sensitive=None, client=None, exclude: Sequence = (),
         missing: str = "category", withhold: bool = True) -> Plan:
    """All that `from_frame` decides before it makes features; quick, so that a form can follow. Raises BadInput."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame) or not frame.columns.is_unique:
        raise BadInput("frame is no pandas DataFrame whose columns have different names; give one row a person, one "
                       "column a property")
    if missing not in ("category", "drop"):
        raise BadInput(f"missing = {missing!r} is not allowed; give \"category\" or \"drop\"")
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    roles = {"outcome": outcome, "sensitive": sensitive, "client": client}
    for role, name in (*roles.items(), *(("exclude", name) for name in exclude)):
        if (name is not None or role == "outcome") and not _known(frame, name):
            there = ", ".join(repr(c) for c in frame.columns[:SOME]) + (", …" if frame.shape[1] > SOME else "")
            raise BadInput(f"{role} = {name!r} is no column of the frame; its columns are {there}")
    for role in ("sensitive", "client"):
        if roles[role] == outcome:
            raise BadInput(f"{role} = {outcome!r} is the outcome as well; choose another column, or none")
    never = {outcome, client, *exclude, *((sensitive,) if withhold else ())}
    others = [c for c in frame.columns if c not in never]
    gaps = {c: gaps_of(frame[c]) for c in dict.fromkeys((*roles.values(), *others)) if c is not None}
    used, dropped = np.ones(len(frame), dtype=bool), {}
    for role, name in roles.items():
        if name is not None:
            _drop(used, gaps[name], dropped, f"no value in {name} (the {role} column)")
    if missing == "drop":
        _drop(used, np.any([gaps[c] for c in others], axis=0) if others else ~used, dropped,
              "a value is missing in another column")
    if used.sum() < FEWEST_ROWS:
        raise BadInput(f"{used.sum()} of {len(frame):,} rows can be used, and at least {FEWEST_ROWS} are needed"
                       + "".join(f"; {n:,} rows: {why}" for why, n in dropped.items()))
    rows = frame if used.all() else frame[used]
    y, group, holder = (None if name is None else values_of(rows[name]) for name in roles.values())
    _check_labels(outcome, y, favourable)
    if sensitive is not None:
        _check_groups(sensitive, group)
    found = {name: kind_of(rows[name]) for name in others}
    kinds = {name: kind for name, kind in found.items() if not kind.useless}
    unused = {str(name): kind.useless for name, kind in found.items() if kind.useless}
    features = tuple(f for kind in kinds.values() for f in kind.features)
    if not features:
        raise BadInput("no column is left to learn from; exclude fewer columns")
    counts = {str(c): int(g.sum()) for c, g in gaps.items() if g.any()}
    clients = () if holder is None else tuple(map(str, np.unique(holder)))   # numbered as from_arrays does
    report = Report(len(frame), len(rows), dropped, features, counts, unused, clients)
    return Plan(rows, y, group, holder, kinds, report)


def _same(values: np.ndarray, favourable):
    """The favourable value as `values_of` writes it: 1.0 is 1 where the others are whole numbers."""
    whole = values.dtype.kind == "i" and isinstance(favourable, (float, np.floating)) and float(favourable).is_integer()
    return int(favourable) if whole else favourable


def _check_labels(outcome, y: np.ndarray, favourable) -> None:
    labels = np.unique(y)
    some = ", ".join(str(v) for v in labels[:5]) + (", …" if len(labels) > 5 else "")
    if len(labels) == 1:
        raise BadInput(f"outcome = {outcome!r} holds the one value {some}, so that there is nothing to predict; choose "
                       "another column")
    if len(labels) > MOST_LABELS:
        raise BadInput(f"outcome = {outcome!r} holds {len(labels):,} different values ({some}), and from 2 to "
                       f"{MOST_LABELS} can be learned; cut numbers into ranges with pandas.cut, or choose another "
                       "column")
    if favourable is not None and str(_same(y, favourable)) not in map(str, labels):
        raise BadInput(f"favourable = {favourable!r} is no value of {outcome!r}; it holds {some}")


def _check_groups(sensitive, group: np.ndarray) -> None:
    groups = np.unique(group)
    if len(groups) == 1:
        raise BadInput(f"sensitive = {sensitive!r} holds the one value {groups[0]}, so that there is nothing to "
                       "compare; choose another column, or none")
    if len(groups) > MOST_GROUPS:
        raise BadInput(f"sensitive = {sensitive!r} holds {len(groups):,} different values, and from 2 to {MOST_GROUPS} "
                       "groups can be compared; merge some (numbers: pandas.cut), or choose another column")


def _drop(used: np.ndarray, gaps: np.ndarray, dropped: dict[str, int], why: str) -> None:
    """Leave out rows with gaps, and count those that were still in use."""
    if count := int((used & gaps).sum()):
        dropped[why] = count
    used &= ~gaps


def _known(frame: pd.DataFrame, name) -> bool:
    try:
        return name in frame.columns
    except TypeError:
        return False


def _made_by(task: Arrays, start: str, choices: dict, name: str) -> Arrays:
    """The task with the call that makes it again, for whoever resumes a run without its rows."""
    usual = {"favourable": None, "sensitive": None, "client": None, "exclude": (), "missing": "category",
             "withhold": True, "keep_rows": False}
    given = [f"{k}={v!r}" for k, v in {**choices, "name": name}.items() if k not in usual or v != usual[k]]
    return task.model_copy(update={"made_by": f"{start}{', '.join(given)})"})
