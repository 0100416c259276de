"""The live plots of the lab: one widget, one message a flush, and the truth stays in Python.

    board.begin(...)     a run starts; the one shown before turns into the grey ghost
    board.add(row)       one row a round, or more readings of a round that is already there
    board.say(...)       state, sentence, progress
    board.flush()        all of it to every page that shows the board, as one message

Wire: "full" (everything; on a start, a reset, and to a page that asks {"op": "sync"}) and "rows" (what is new), both
numbered, rows as one float32 buffer of COLUMNS and then one column a client. A page that misses a number asks again.
"""

from __future__ import annotations

import json
import math
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from . import why, words

STATIC = Path(__file__).parent / "static"
ATOMS = ("redundant", "unique", "masked")
BITS = (*ATOMS, "global_disparity", "local_disparity")
FIELDS = ("round", "accuracy", "mean_client", "worst_client", "best_client", "loss", *BITS,
          *(f"{name}_{end}" for name in BITS for end in ("lo", "hi")),
          "bytes_up", "bytes_down", "seconds", "epsilon", "time")
COLUMNS = (*FIELDS, "worst_at")          # the place of the worst client in the list, for runs without client lines
PER_ROUND = [COLUMNS.index(name) for name in ("bytes_up", "bytes_down", "seconds")]   # the page adds these up
LINES = 30                # more clients than this are a band from the worst to the best, not lines
NAMED = 1000              # clients whose name, size and groups the page is told
GHOST_ROWS = 300
SNAPSHOT = 95_000         # bytes; saved notebooks stay small
REFRESH = 5.0             # seconds between snapshots
ASKED = {"numbers": ("headline numbers", "worst client", "epsilon"), "axis": ("horizontal axis", "round"),
         "convergence": ("convergence", "worst client", "client", "ghost", "table view"),
         "disparity": ("global disparity", "local disparity", "redundant", "unique", "masked", "bits", "band"),
         "communication": ("up and down", "codec")}           # what each "?" of the page opens
LIVE = ("starting", "preparing", "running", "stopping")     # in any other state the snapshot is renewed at once


def module() -> str:
    """The page's code in one piece: uPlot in front, so that nothing is loaded from a network."""
    return "\n".join(map(_text, ("uplot/uPlot.iife.min.js", "store.js", "plots.js", "board.js")))


def style() -> str:
    return _text("uplot/uPlot.min.css") + "\n" + _text("board.css")


def _text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@dataclass
class _Shown:
    """A run as the board knows it; `rows` by round, each with the keys it was given."""

    number: int = 0
    title: str = ""
    clients: list[dict] = field(default_factory=list)
    rounds: int = 0
    majority: float = math.nan
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    private: bool = False
    own: bool = False
    covers: str = ""
    about: str = ""
    says: str = ""
    was: str = ""
    made: Any = None
    rows: dict[int, dict] = field(default_factory=dict)
    packed: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        return len(self.clients) if len(self.clients) <= LINES else 0

    def meta(self, lines: int | None = None, named: int = NAMED) -> dict:
        majority = self.majority if math.isfinite(self.majority) else None
        return {"number": self.number, "title": self.title, "rounds": self.rounds, "majority": majority,
                "labels": self.labels, "groups": self.groups, "private": self.private, "own": self.own,
                "covers": self.covers, "about": self.about,
                "says": self.says, "was": self.was, "count": len(self.clients),
                "lines": self.lines if lines is None else lines,
                "clients": [_client(c, i) for i, c in enumerate(self.clients[:named])]}

    def pack(self, rounds: Iterable[int], lines: int) -> np.ndarray:
        """The rows of these rounds as the wire has them, float32 [row, COLUMNS and clients]."""
        rows = [self._packed(number) for number in rounds]
        return np.array(rows, np.float32).reshape(-1, len(COLUMNS) + self.lines)[:, :len(COLUMNS) + lines].copy()

    def _packed(self, number: int) -> np.ndarray:
        """Made once for a row: a full answer after 10 000 rounds must not hold the run up."""
        if number not in self.packed:
            row, out = self.rows[number], np.full(len(COLUMNS) + self.lines, np.nan, np.float32)
            out[:len(FIELDS)] = [row.get(name, math.nan) for name in FIELDS]
            each = row.get("client_accuracy")
            if each is not None and not np.isnan(each).all():
                out[len(FIELDS)] = np.nanargmin(each)
                out[len(COLUMNS):] = each[:self.lines]
            self.packed[number] = out
        return self.packed[number]


class Board(anywidget.AnyWidget):
    """All live plots of one lab. Any thread may call it; without a page it only keeps the rows."""

    _esm = module()
    _css = style()
    snapshot = traitlets.Bytes(b"").tag(sync=True)     # what a saved notebook shows without a kernel
    told = traitlets.Dict().tag(sync=True)             # what "?" opens, as HTML

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._lock = threading.RLock()
        self._seq = 0
        self._run, self._ghost = _Shown(), None
        self._fresh: set[int] = set()                  # rounds that changed since the last flush
        self._anew = False                             # the next flush says everything
        self._status: dict = {"state": "idle", "text": "", "done": 0.0, "left": None}
        self._said = True
        self._saved_at, self._stale = -math.inf, False
        self.trouble: Exception | None = None          # why the last message could not be sent, if it could not
        self.answered = threading.Event()              # set when a page was heard for the first time
        self.on_msg(self._asked)

    @traitlets.default("told")
    def _told(self) -> dict[str, str]:
        return {key: why.page({term: words.explain(term) for term in terms}) for key, terms in ASKED.items()}

    def begin(self, title: str, clients: list[dict], rounds: int, majority: float, labels: list[str],
              groups: list[str], private: bool, about: str = "", says: str = "", was: str = "",
              made: Any = None, own: bool = False, covers: str = "") -> None:
        """A new run; what was shown before, if it had rows, stays as the ghost.

        about: the data, as text; a ghost of other data is not drawn, since the two cannot be compared. says: how the
        run differs from the ghost, in words ("aggregator median instead of mean"); was: what the ghost had there
        ("mean"). made: what the run was made from, for `before`; it stays in Python. own: whether clients are read with
        models of their own. covers: what epsilon is about, in words.
        """
        with self._lock:
            if self._run.rows:
                self._ghost = self._run
            self._run = _Shown(self._run.number + 1, str(title), [dict(c) for c in clients], int(rounds),
                               _number(majority), list(map(str, labels)), list(map(str, groups)), bool(private),
                               bool(own), str(covers), str(about), str(says), str(was), made)
            self._fresh.clear()
            self._anew = True

    def before(self) -> Any:
        """What the run was made from that will be the ghost of the next one; None without one."""
        with self._lock:
            shown = self._run if self._run.rows else self._ghost
            return shown and shown.made

    def shown(self) -> Any:
        """What the run was made from whose figures are shown; None without figures."""
        with self._lock:
            return self._run.made if self._run.rows else None

    def add(self, row: Mapping[str, Any]) -> None:
        """What is known of one round: later calls add to it, they never take away. Needs the key "round"."""
        known = {name: _number(row[name]) for name in FIELDS if row.get(name) is not None}
        each = row.get("client_accuracy")
        number = int(row["round"])
        with self._lock:
            if each is not None:
                known["client_accuracy"] = _fitted(each, len(self._run.clients))
            self._run.rows.setdefault(number, {}).update(known)
            self._run.packed.pop(number, None)
            self._fresh.add(number)

    def say(self, state: str, text: str, done: float = 0.0, left: float | None = None) -> None:
        """State machine name, a sentence, progress from 0 to 1 and seconds left; goes out with the next flush."""
        left = None if left is None or not math.isfinite(left) else round(float(left), 1)
        status = {"state": str(state), "text": str(text), "done": round(min(max(_number(done), 0.0), 1.0), 4)
                  if math.isfinite(_number(done)) else 0.0, "left": left}
        with self._lock:
            self._said = self._said and status == self._status
            self._status = status

    def flush(self) -> bool:
        """Send what is new as one message. False if nothing was. For one caller, ten times a second at most."""
        with self._lock:
            news = bool(self._anew or self._fresh or not self._said)
            ended = not self._said and self._status["state"] not in LIVE
            if news:
                self._seq += 1
                (self._send_full if self._anew else self._send_rows)()
                self._fresh.clear()
                self._anew, self._said, self._stale = False, True, True
            if self._stale and (ended or time.monotonic() - self._saved_at >= REFRESH):
                self._save()
            return news

    def reset(self) -> None:
        """Nothing shown, no ghost."""
        with self._lock:
            self._run, self._ghost = _Shown(self._run.number + 1), None
            self._fresh.clear()
            self._anew = True

    def table(self) -> list[dict]:
        """The rows shown, by round, each with every key: NaN where nothing is known."""
        with self._lock:
            run = self._run
            blank = np.full(len(run.clients), np.nan)
            return [{name: row.get(name, math.nan) for name in FIELDS}
                    | {"round": number, "client_accuracy": list(map(float, row.get("client_accuracy", blank)))}
                    for number, row in sorted(run.rows.items())]

    def _asked(self, _widget, content, _buffers) -> None:
        self.answered.set()
        if isinstance(content, dict) and content.get("op") == "sync":
            with self._lock:
                self._send_full()

    def _send_rows(self) -> None:
        rows = self._run.pack(sorted(self._fresh), self._run.lines)
        message = {"op": "rows", "seq": self._seq, "n": len(rows)}
        if not self._said:
            message["say"] = self._status
        self._post(message, [rows.tobytes()])

    def _send_full(self) -> None:
        rows = self._run.pack(sorted(self._run.rows), self._run.lines)
        ghost = self._packed_ghost()
        self._post(self._everything(rows, ghost, NAMED), [rows.tobytes(), ghost.tobytes()])

    def _everything(self, rows: np.ndarray, ghost: np.ndarray, named: int) -> dict:
        return {"op": "full", "seq": self._seq, "columns": COLUMNS, "run": self._run.meta(named=named),
                "n": len(rows), "ghost": self._ghost and self._ghost.meta(lines=0, named=0), "ghosts": len(ghost),
                "say": self._status}

    def _packed_ghost(self) -> np.ndarray:
        if self._ghost is None:
            return np.zeros((0, len(COLUMNS)), np.float32)
        return _thinned(self._ghost.pack(sorted(self._ghost.rows), 0), GHOST_ROWS)

    def _save(self) -> None:
        """Renew the snapshot: everything, thinned until it fits."""
        ghost = self._packed_ghost()
        rows = self._run.pack(sorted(self._run.rows), self._run.lines)
        named = min(NAMED, 200)
        spare = SNAPSHOT - len(json.dumps(self._everything(rows, ghost, named)).encode()) - ghost.nbytes - 16
        rows = _thinned(rows, max(spare // (4 * rows.shape[1]), 2))
        head = json.dumps(self._everything(rows, ghost, named)).encode()
        head += b" " * (-len(head) % 4)                # floats behind it stay aligned
        self._saved_at, self._stale = time.monotonic(), False
        try:
            self.snapshot = struct.pack("<I", len(head)) + head + rows.tobytes() + ghost.tobytes()
        except Exception as error:                     # a closed comm must not end a run
            self.trouble = error

    def _post(self, message: dict, buffers: list[bytes]) -> None:
        try:
            self.send(message, buffers)
        except Exception as error:                     # same: the page is a view, the run goes on without it
            self.trouble = error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _fitted(values: Any, clients: int) -> np.ndarray:
    """One value a client of the run: None is NaN, what is missing is NaN, what is too much is left out."""
    found = np.array([_number(v) for v in values], float)
    return np.concatenate([found, np.full(max(clients - len(found), 0), np.nan)])[:clients]


def _client(client: dict, place: int) -> list:
    """[name, rows its accuracy is read on, rows by group] of one entry of `Started.clients`."""
    name = client.get("name") or f"client {client.get('client', place)}"
    n = next((client[key] for key in ("n", "held_out", "train") if client.get(key) is not None), None)
    return [str(name), n if n is None else int(n), [int(g) for g in client.get("groups") or []]]


def _thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, the last one among them; amounts of the rows left out are added to the next one kept."""
    if len(rows) <= most:
        return rows
    keep = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))
    out = rows[keep].copy()
    starts = np.concatenate([[0], keep[:-1] + 1])
    out[:, PER_ROUND] = np.add.reduceat(np.nan_to_num(rows[:, PER_ROUND].astype(float)), starts, axis=0)
    return out
