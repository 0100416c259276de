"""A task on the user's own arrays. The spec names and fingerprints them; the rows stay in this process (and, when that
is wanted and they are small, in the run folder)."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from pydantic import Field

from .. import seeds
from ..part import BadInput, part
from ..shards import Data
from ..slots import Classification

_ROWS: dict[str, dict[str, np.ndarray]] = {}
TEST_SHARE = 0.2
MOST_NAMES = 1000   # more clients than this go by number: a spec is read by people


@part
class Arrays(Classification):
    """Your own rows: made by `fl.from_arrays`, `fl.from_frame` or `fl.from_file`, not by hand.

    load: x float32, y, group and client as given; a fifth of the rows, chosen by fingerprint, is the test set.
    Raises BadInput when the rows with this fingerprint are not in this process and not in the run folder.
    Source: the user.
    """

    title: str = Field("my data", description="what to call the data")
    sha256: str = Field("", description="fingerprint of the rows")
    shape: tuple[int, ...] = Field((), description="shape of the features")
    labels: tuple[str, ...] = Field((), description="names of the labels")
    groups: tuple[str, ...] = Field((), description="names of the groups")
    clients: tuple[str, ...] = Field((), description="names of the clients, if they have any")
    favourable: int | None = Field(None, description="the label that is good to get")
    keep_rows: bool = Field(True, description="whether run folders keep a copy of the rows, if they are under 50 MB")
    made_by: str = Field("fl.from_arrays with the same arrays", description="the call that brings the rows back")

    def load(self):
        rows = rows_of(self)
        x, y, group = (torch.from_numpy(rows[name]) for name in ("x", "y", "group"))
        key = seeds.keys(int(self.sha256[:15], 16), "test rows", 0, 0)
        order = seeds.permutations(key, len(y))
        test = torch.zeros(len(y), dtype=torch.bool)
        test[order[:max(1, round(TEST_SHARE * len(y)))]] = True
        client = torch.from_numpy(rows["client"])[~test] if "client" in rows else None
        return Data(x[~test], y[~test], group[~test], x[test], y[test], group[test], labels=self.labels,
                    groups=self.groups, client=client, favourable=self.favourable, client_names=self.clients)


def from_arrays(X, y, group=None, client=None, name: str = "my data", favourable=None,
                keep_rows: bool = True) -> Arrays:
    """A task from your own rows: features X [rows, ...], labels y [rows], optional group and client [rows].

    y, group and client may be numbers or texts; their sorted values become names. `favourable` is the label that is
    good to get; with two labels it is the later one unless given. `group` is the sensitive attribute and is not among
    the features unless X holds it; `client` says who holds each row: use it with `partition=fl.Natural()`. A fifth of
    the rows becomes the test set. Run folders keep a copy of rows under 50 MB unless `keep_rows` is False: without it a
    resume in another process asks for the same arrays. Neither of the two changes the fingerprint.
    Raises BadInput for unequal lengths, missing values, fewer than 10 rows, a single label, or an unknown favourable.

    >>> import numpy as np
    >>> task = from_arrays(np.eye(20), np.arange(20) % 2, name="identity")
    >>> task.shape, task.labels
    ((20, 20), ('0', '1'))
    """
    x = np.ascontiguousarray(np.asarray(X), dtype=np.float32)
    rows = {"x": x}
    names = {}
    for field, values in (("y", y), ("group", np.zeros(len(x), int) if group is None else group), ("client", client)):
        if values is None:
            continue
        values = np.asarray(values)
        if values.shape != (len(x),):
            raise BadInput(f"{field} has shape {values.shape} and X has {len(x)} rows; give one value a row")
        if values.dtype.kind == "f" and np.isnan(values).any() or values.dtype == object and any(
                v is None or v != v for v in values):
            raise BadInput(f"{field} has missing values; drop these rows or give them a value of their own")
        found, codes = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
        names[field], rows[field] = tuple(map(str, found)), codes.astype(np.int64)
    if x.ndim < 2 or len(x) < 10:
        raise BadInput(f"X has shape {x.shape}; give at least 10 rows of features, as [rows, columns]")
    if not np.isfinite(x).all():
        raise BadInput("X has values that are missing or infinite; fill them in or drop these rows")
    if len(names["y"]) < 2:
        raise BadInput(f"y holds the one label {names['y'][0]}; a task needs at least two")
    if favourable is None:
        good = 1 if len(names["y"]) == 2 else None
    elif str(favourable) in names["y"]:
        good = names["y"].index(str(favourable))
    else:
        raise BadInput(f"favourable = {favourable!r} is no label; the labels are {', '.join(names['y'][:10])}")
    digest = hashlib.sha256(repr((names, name)).encode())
    for field, values in sorted(rows.items()):
        digest.update(f"{field}{values.shape}".encode() + values.tobytes())
    fingerprint = digest.hexdigest()
    _ROWS[fingerprint] = rows
    return Arrays(title=name, sha256=fingerprint, shape=x.shape, labels=names["y"],
                  groups=("all",) if group is None else names["group"], clients=_telling(names.get("client", ())),
                  favourable=good, keep_rows=keep_rows)


def _telling(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of clients, unless they are their numbers or too many to keep."""
    return names if len(names) <= MOST_NAMES and names != tuple(map(str, range(len(names)))) else ()


def rows_of(task: Arrays) -> dict[str, np.ndarray]:
    """The rows behind a task, by field name. Raises BadInput when this process does not have them."""
    if task.sha256 not in _ROWS:
        raise BadInput(f"task = {task.title!r}: the rows with fingerprint {task.sha256[:12]}… are not here; call "
                       f"{task.made_by} first")
    return _ROWS[task.sha256]


def put_rows(task: Arrays, rows: dict[str, np.ndarray]) -> None:
    """Bring back rows that a run folder kept."""
    _ROWS.setdefault(task.sha256, rows)
