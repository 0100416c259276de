"""How a column of a data frame becomes features, and how outcomes, groups and clients are read from one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..part import BadInput

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

MOST_VALUES = 100   # different texts of a column: each becomes a feature
GAP = "(missing)"   # the category of texts that are not there
NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
DATES = {"datetime64", "datetime", "date"}
REFUSED = {"timedelta64", "timedelta", "time", "complex", "bytes"}


class Kind(NamedTuple):
    """What a column is made into: its features by name, or why it makes none. held: the texts that become one each."""

    sort: str   # "number", "date" or "text"
    features: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    useless: str = ""


def kind_of(column: pd.Series) -> Kind:
    """How a column becomes features. Raises BadInput for what cannot be one."""
    from pandas.api.types import infer_dtype

    name, found = str(column.name), infer_dtype(column)
    if found in REFUSED:
        raise BadInput(f"column {name!r} holds values of the kind {found}, which are neither numbers, texts, dates nor "
                       "booleans; exclude it, or turn it into numbers first")
    if found in NUMBERS | DATES:
        sort = "date" if found in DATES else "number"
        values = numbers(column, sort)
        gaps = np.isnan(values)
        known = values[~gaps]
        varies = known.size > 0 and known.min() < known.max()
        features = (*((name,) if varies else ()), *((f"{name} is missing",) if gaps.any() else ()))
        return Kind(sort, features) if varies or 0 < known.size < len(column) else Kind(sort, useless=_empty(column))
    held = tuple(sorted({str(v) for v in _different(column)} | ({GAP} if column.hasnans else set())))
    if len(held) > MOST_VALUES or len(held) == len(column):
        raise BadInput(f"column {name!r} holds {len(held):,} different texts ({held[0]!r:.40}, …) in {len(column):,} "
                       f"rows, and at most {MOST_VALUES} can become features; exclude it if it is an ID, a name, a "
                       "date as text or free text, or merge its values first")
    shown = held[1:] if len(held) == 2 else held   # of two the later one says it all
    return Kind("text", tuple(f"{name} = {v}" for v in shown), shown) if len(held) > 1 else Kind(
        "text", useless=_empty(column))


def features_of(column: pd.Series, kind: Kind) -> Iterator[np.ndarray]:
    """The features of a column, each [rows], in the order of their names: texts and gaps as True and False, numbers
    standardised."""
    if kind.sort == "text":
        texts = _texts(column)
        yield from (texts == value for value in kind.held)
        return
    values = numbers(column, kind.sort)
    gaps = np.isnan(values)
    values[gaps] = np.nanmedian(values)
    if str(column.name) in kind.features:
        yield (values - values.mean()) / values.std()
    if gaps.any():
        yield gaps


def numbers(column: pd.Series, kind: str) -> np.ndarray:
    """float64 [rows], a copy; dates as days since 1970; NaN for what is missing or infinite."""
    import pandas as pd

    if kind == "date":
        column = (pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def _texts(column: pd.Series) -> np.ndarray:
    """The values as texts, [rows] of objects."""
    import pandas as pd

    codes, found = pd.factorize(column)   # a text is made once for each value, not for each row
    return np.array([*map(str, found), GAP], dtype=object)[codes]


def _different(column: pd.Series):
    """The different values, gaps aside. Raises BadInput for values that cannot be told apart."""
    try:
        return column.dropna().unique()
    except TypeError as error:
        raise BadInput(f"column {column.name!r} holds values that are no texts ({error}); exclude it") from None


def gaps_of(column: pd.Series) -> np.ndarray:
    """True where a value is missing or infinite, [rows]."""
    from pandas.api.types import is_float_dtype

    return (np.isnan(numbers(column, "number")) if is_float_dtype(column) else column.isna().to_numpy(dtype=bool))


def values_of(column: pd.Series) -> np.ndarray:
    """Outcomes, groups or clients, none of them missing: booleans; whole numbers as such (with gaps a column had 1.0
    for 1); other numbers; else texts."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(column)
    if kind == "boolean":
        return column.to_numpy(dtype=bool)
    if kind in NUMBERS:
        values = column.to_numpy(dtype=np.float64)
        return values.astype(np.int64) if (values == values.round()).all() else values
    return _texts(column).astype(str)


def _empty(column: pd.Series) -> str:
    return "the same value in every row" if column.notna().any() else "no values"
