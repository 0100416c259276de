"""What the columns of somebody's table probably are, by their names and values: only a place to begin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..evaluate.pid import MOST_GROUPS
from ..part import BadInput
from ..tasks.columns import kind_of, values_of
from ..tasks.frame import MOST_LABELS

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

NAMES = {   # words that names of columns are made of
    "prediction": {"prediction", "predictions", "predicted", "pred", "decision", "yhat", "hat", "guess", "answer"},
    "outcome": {"outcome", "label", "target", "truth", "true", "actual", "y", "class", "result", "income", "default",
                "approved", "hired", "admitted", "passed", "diagnosis", "readmitted", "recidivism"},
    "group": {"sex", "gender", "race", "ethnicity", "ethnic", "group", "religion", "nationality", "disability"},
    "client": {"client", "site", "hospital", "clinic", "bank", "branch", "school", "centre", "center", "region",
               "state", "city", "company", "office", "ward", "district", "university", "user"},
    "id": {"id", "uuid", "nr", "number", "index", "key", "name", "unnamed", "email", "address", "phone"}}
GOOD = {"yes", "y", "true", "1", "good", "approved", "accepted", "granted", "hired", "admitted", "passed", "pass",
        "favourable", "positive", ">50k", "high"}


def words_in(name) -> set[str]:
    """The words of a column's name: "patient_ID", "patientId" and "Patient id" hold "patient" and "id"."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", str(name))}


def guess(frame: pd.DataFrame, role: str, taken: tuple = ()) -> object | None:
    """The column that is probably the outcome, prediction, group or client; None where none looks like it."""
    fits = {"outcome": lambda n: 2 <= n <= MOST_LABELS, "prediction": lambda n: 2 <= n <= MOST_LABELS,
            "group": lambda n: 2 <= n <= MOST_GROUPS, "client": lambda n: 2 <= n <= max(2, len(frame) // 10)}[role]
    free = {c: _different(frame[c]) for c in frame.columns if c not in taken}
    rivals = NAMES["prediction"] if role == "outcome" else set()   # "predicted income" is no outcome
    for name, n in free.items():
        if words_in(name) & NAMES[role] and not words_in(name) & rivals and fits(n):
            return name
    if role == "outcome":   # tables mostly end in it
        return next((c for c in reversed(free) if free[c] == 2 and not words_in(c) & rivals), None)
    return None


def favourable(values) -> int:
    """The place of the value that is probably good to get: one that says so, else the last."""
    return next((i for i, v in enumerate(values) if str(v).strip().lower() in GOOD), len(values) - 1)


def outcomes(frame: pd.DataFrame, name) -> list:
    """The values of an outcome in order, as plain Python values; none of a column with too many."""
    column = frame[name].dropna()
    if not 1 <= _different(column) <= MOST_LABELS:
        return []
    return sorted(set(values_of(column).tolist()))


def to_leave_out(frame: pd.DataFrame) -> list:
    """Columns that look like IDs, and those that cannot become features."""
    return [c for c in frame.columns if _is_id(frame[c])]


def _is_id(column: pd.Series) -> bool:
    try:
        sort = kind_of(column).sort
    except BadInput:
        return True
    if sort != "number" or not column.is_unique or column.dtype.kind not in "iu":
        return False
    return bool(words_in(column.name) & NAMES["id"]) or column.is_monotonic_increasing and \
        int(column.iloc[-1]) - int(column.iloc[0]) == len(column) - 1


def _different(column: pd.Series) -> int:
    try:
        return column.nunique()
    except TypeError:   # lists and the like
        return 0
