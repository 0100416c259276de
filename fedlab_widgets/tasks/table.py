"""A table from a file, as people have them: CSV by comma, semicolon or tab, in UTF-8 or Latin-1, or Parquet."""

from __future__ import annotations

import csv
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..part import BadInput

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

HEAD = 1 << 16   # bytes at the start of a file that tell what it is
NOT_TABLES = {b"PK\x03\x04": "an Excel or other packed file; save the sheet as CSV and give that",
              b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV and give that",
              b"\x1f\x8b": "compressed; unpack it first"}


def read_table(source: str | Path | bytes, name: str = "") -> pd.DataFrame:
    """The rows and columns of a CSV or Parquet file: a path, or its content.

    Parquet is told by its first bytes. The delimiter of a CSV is that of comma, semicolon and tab which cuts the first
    line into most names; it is UTF-8, and else Latin-1; with semicolons and tabs "3,5" is a number. Empty cells, "NA"
    and "?" are missing. Raises BadInput for a file that is not there or is no table.
    """
    import pandas as pd

    name = name or Path(str(source)).name
    head = _head(source, name)
    opened = (lambda: BytesIO(source)) if isinstance(source, bytes) else (lambda: Path(source))
    try:
        frame = pd.read_parquet(opened()) if head.startswith(b"PAR1") else _csv(opened, head, name)
    except ImportError:
        raise BadInput(f"{name} is a Parquet file, and those need pyarrow; install it with pip install pyarrow, or "
                       "save the table as CSV") from None
    except (ValueError, OSError) as error:   # pandas and pyarrow raise kinds of these for every damaged file
        raise BadInput(f"{name} cannot be read as a table: {str(error).strip().splitlines()[0]}; open it in a "
                       "spreadsheet, look at that place, and save it again as CSV") from None
    if frame.empty:
        raise BadInput(f"{name} holds {len(frame)} rows and {frame.shape[1]} columns; give a table with names of "
                       "columns in its first line and rows beneath")
    return frame


def _head(source, name: str) -> bytes:
    """The first bytes. Raises BadInput where they cannot be had, or are surely those of no table."""
    try:
        if isinstance(source, bytes):
            head = source[:HEAD]
        else:
            with Path(source).open("rb") as file:
                head = file.read(HEAD)
    except (OSError, ValueError) as error:   # ValueError: a path with a zero byte
        raise BadInput(f"{str(source)!r} cannot be opened ({getattr(error, 'strerror', None) or error}); give the path "
                       "of a CSV or Parquet file on the machine where this kernel runs") from None
    for start, said in NOT_TABLES.items():
        if head.startswith(start):
            raise BadInput(f"{name} is {said}")
    if not head.strip():
        raise BadInput(f"{name} is empty; give a table with names of columns in its first line and rows beneath")
    if b"\0" in head and not head.startswith(b"PAR1"):
        raise BadInput(f"{name} is not a text file; give a CSV (saved as UTF-8) or Parquet file")
    return head


def _csv(opened, head: bytes, name: str) -> pd.DataFrame:
    import pandas as pd

    lines = head.decode("latin-1").removeprefix("ï»¿").splitlines()
    delimiter = max(",;\t", key=lambda d: len(next(csv.reader(lines[:1], delimiter=d), ())))
    comma = delimiter != "," and any(re.search(r"\d,\d", line) for line in lines[1:])
    how = {"sep": delimiter, "decimal": "," if comma else ".", "skipinitialspace": True, "na_values": ["?"],
           "low_memory": False}
    try:
        frame = pd.read_csv(opened(), encoding="utf-8-sig", **how)
    except UnicodeDecodeError:
        frame = pd.read_csv(opened(), encoding="latin-1", **how)
    if not isinstance(frame.index, pd.RangeIndex):   # pandas then takes the first column for names of rows
        raise BadInput(f"{name} has more cells in a row than names in its first line; give every column a name, or "
                       "remove the delimiter at the end of the rows")
    return frame
