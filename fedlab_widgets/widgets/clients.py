"""Who holds what, who takes part and who lies: one table that is the picture of the partition and its control.

    table = ClientTable(on_change)            on_change({"schedule.clients": (0, 1, 2)})
    table.show(experiment, Preview.of(experiment))

Wire: one trait `table` with all that is shown (at most MOST rows), and messages {"op": …, "id": …} from the page. An
answer carries the id of the message, so that a page knows which of its own ticks are still on their way.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import torch
import traitlets
from torch import Tensor

from ..attack import SignFlip
from ..part import BadInput
from ..plan import liars
from ..session import one_thread
from ..slots import Attack
from ..spec import Experiment
from . import words
from .preview import COLOURS, Preview

STATIC = Path(__file__).parent / "static"
MOST = 200              # rows in the page
NAMED = 10_000          # clients that a tick may write into the experiment by number: a million take seconds
BUSY = "A run goes: who takes part and who lies can be changed when it has ended."
SORTS = ("client", "rows", "heterogeneity", "accuracy")
NOTHING = {"rows": [], "top": 0, "names": [], "labels": [], "groups": [], "holds": "", "chosen": "", "closed": "",
           "more": "", "partOpen": False, "lieOpen": False, "everyone": True, "nobody": True, "read": False,
           "sort": ["client", False]}   # what the page is told of a partition that cannot be
TAKES_PART = words.Word(
    "A client that takes part may be asked to train in a round; one that does not keeps its rows from the model, and "
    "the model is still tried on its held-out rows.",
    "Leave out all clients with mostly women: nobody else can teach the model what they know.",
    "Tick off the client that differs most from the whole, press Start, and look at its accuracy.")
APART = " The figure of one client compares its mix with that of all the others (Jensen-Shannon, 0 to 1)."
HELP = {"takes part": TAKES_PART, "liar": words.explain("liar"),
        "heterogeneity": words.explain("heterogeneity")._replace(
            sentence=words.explain("heterogeneity").sentence + APART)}


class _Shown(NamedTuple):
    """What the form holds. Of each client: accuracy [N], NaN where there is none; whether it takes part, lies [N]."""

    e: Experiment
    preview: Preview
    accuracy: Tensor
    locked: bool
    part: Tensor
    lying: Tensor

    @property
    def clients(self) -> int:
        return len(self.part)


class ClientTable(anywidget.AnyWidget):
    """A row a client: its rows, its mixes of labels and groups, whether it takes part and whether it lies.

    on_change: called with the changes that a tick asks of the experiment, by dotted path; what comes of them is shown
    by the next `show`. Any thread may call it. Raises nothing: what is refused is said above the table.
    """

    _esm = (STATIC / "clients.js").read_text(encoding="utf-8")
    _css = (STATIC / "clients.css").read_text(encoding="utf-8")
    help = traitlets.Dict({name: [*word] for name, word in HELP.items()}).tag(sync=True)
    table = traitlets.Dict().tag(sync=True)

    def __init__(self, on_change: Callable[[dict[str, Any]], None], **traits: Any) -> None:
        super().__init__(**traits)
        self.on_change = on_change
        self._lock = threading.Lock()   # never held while on_change runs: the form has a lock of its own
        self._shown: _Shown | None = None
        self._attack: Attack = SignFlip()   # the last one there was: who takes all liars back and ticks one wants it
        self._sort, self._said, self._answered = ("client", False), "", ""
        self.on_msg(self._asked)

    def show(self, experiment: Experiment, preview: Preview, accuracy: Sequence[float] | None = None,
             locked: bool = False) -> None:
        """Follow the form. accuracy: of each client on its held-out rows [N], of a run with this partition; NaN where
        there is none. locked: nothing may be ticked, since a run goes."""
        e, N = experiment, len(preview.sizes)
        known = accuracy is not None and len(accuracy) == N   # and not of another partition
        read = torch.tensor(accuracy) if known else torch.full((N,), math.nan)
        changes, said = departed(e, N)
        with self._lock, one_thread():   # a second thread, beside a busy browser, takes six times as long
            part = mask(N, e.schedule.eligible(N))
            self._shown = _Shown(e, preview, read, locked, part, lying(e, N))
            self._attack = e.attack or self._attack
            self._said = ""
            self._tell()
        if changes and not locked:
            self._change(changes, said)

    def refuse(self, why: str) -> None:
        """Nothing can be dealt out: the sentence stands where the picture was."""
        with self._lock:
            self._shown, self._said = None, why
            self._tell()

    def _asked(self, _widget, message, _buffers) -> None:
        """What the page sends: {"op": "part" or "liar", "client": 3, "on": true}, "everyone", "nobody", "sort"."""
        if not isinstance(message, dict) or self._shown is None:
            return
        with self._lock:
            self._answered = str(message.get("id", ""))
            op, client, changes, said = message.get("op"), message.get("client"), {}, ""
            press = {"part": self._press_part, "liar": self._press_liar}.get(op)
            if op == "sort" and message.get("by") in SORTS:
                self._sort = (message["by"], bool(message.get("down")))
            elif self._shown.locked:
                pass
            elif press and type(client) is int and 0 <= client < self._shown.clients:
                changes, said = press(client, bool(message.get("on")))
            elif op == "everyone" and not no_choice(self._shown.e):
                changes = {"schedule.clients": None}
            elif op == "nobody":
                changes = {"attack": None}
        self._change(changes, said)

    def _change(self, changes: dict[str, Any], said: str) -> None:
        """Ask the form for changes, and say a sentence about them, or why they cannot be."""
        try:
            if changes:
                self.on_change(changes)
        except BadInput as error:
            said = str(error)
        with self._lock, one_thread():
            if self._shown is not None:   # else what was refused meanwhile is said
                self._said = said
            self._tell()

    def _press_part(self, client: int, on: bool) -> tuple[dict[str, Any], str]:
        part = self._shown.part.clone()
        part[client] = on
        if no_choice(self._shown.e):
            return {}, no_choice(self._shown.e)
        if not part.any():
            return {}, "At least one client must take part. Tick another one first."
        if NAMED < part.sum() < len(part):
            return {}, (f"That would write the numbers of {int(part.sum()):,} clients into the experiment; ticks "
                        f"choose {NAMED:,} at most. Let a smaller share take part in each round by the sampler "
                        "(Advanced), or name the clients in Python: fl.Lockstep(clients=(0, 1, 2)).")
        return {"schedule.clients": None if part.all() else ids(part)}, ""

    def _press_liar(self, client: int, on: bool) -> tuple[dict[str, Any], str]:
        lies, now = self._shown.lying.clone(), self._shown.e.attack
        lies[client] = on
        if not lies.any():
            return {"attack": None}, ""
        if lies.sum() > NAMED:
            return {}, (f"That would write the numbers of {int(lies.sum()):,} liars into the experiment; ticks choose "
                        f"{NAMED:,} at most. Set the share of liars under Attacks, or name them in Python: "
                        "fl.SignFlip(liars=(0, 1, 2)).")
        if now is None:
            return {"attack": self._attack.model_copy(update={"liars": ids(lies)})}, (
                f"Client {client} lies now. The attack is {words.title(type(self._attack))}; choose another kind of "
                "lie under Attacks.")
        said = "" if isinstance(now.liars, tuple) else (
            f"The liars were a share ({now.liars:g}) chosen by the seed. Now they are the clients you tick.")
        return {"attack.liars": ids(lies)}, said

    def _tell(self) -> None:
        shown = NOTHING if self._shown is None else content(self._shown, *self._sort)
        self.table = {**shown, "said": self._said, "answered": self._answered}


def content(s: _Shown, by: str, down: bool) -> dict[str, Any]:
    """What the page draws: rows of [client, rows, heterogeneity, part, lies, accuracy, labels, groups], and words."""
    at, p, N = order(s, by, down)[:MOST], s.preview, s.clients
    L, G = len(p.label_names), len(p.group_names)
    groups = p.groups if G > 1 else p.groups[:, :0]
    columns = [c[at] for c in (torch.arange(N), p.sizes, p.apart, s.part, s.lying, s.accuracy, p.labels, groups)]
    closed = BUSY if s.locked else no_choice(s.e)
    return {"rows": [*map(list, zip(*map(plain, columns), strict=True))], "top": int(p.sizes.max()),
            "names": [*map(p.client_names.__getitem__, at.tolist())] if p.client_names else [],
            "labels": coloured(p.label_names),   # groups in colours of their own, if there are enough
            "groups": coloured(p.group_names, L if len(COLOURS) >= L + G else 0) if G > 1 else [],
            "holds": p.words(), "chosen": chosen(s), "closed": closed,
            "more": f"{MOST} of {N:,} clients are shown, the first in this order." if N > MOST else "",
            "partOpen": not closed, "lieOpen": not s.locked, "everyone": bool(s.part.all()),
            "nobody": s.e.attack is None, "read": not bool(s.accuracy.isnan().all()), "sort": [by, down]}


def mask(clients: int, of: Iterable[int]) -> Tensor:
    """Which of the clients [N] are named; ids that are none are passed over."""
    if isinstance(of, range):
        return torch.ones(clients, dtype=torch.bool)
    out = torch.zeros(clients, dtype=torch.bool)
    out[[i for i in of if i < clients]] = True
    return out


def ids(yes: Tensor) -> tuple[int, ...]:
    return tuple(yes.nonzero()[:, 0].tolist())


def lying(e: Experiment, clients: int) -> Tensor:
    """Who will lie in the run [N]: the same draw by seed."""
    if e.attack is not None and isinstance(e.attack.liars, tuple):
        return mask(clients, e.attack.liars)
    return mask(clients, liars(e.attack, clients, e.seed).tolist())


def departed(e: Experiment, clients: int) -> tuple[dict[str, Any], str]:
    """What to change where the experiment names clients that there are no more, and the sentence that says so."""
    part, lies = getattr(e.schedule, "clients", None) or (), getattr(e.attack, "liars", ())
    lies = lies if isinstance(lies, tuple) else ()
    gone = sorted({i for i in (*part, *lies) if i >= clients})
    if not gone:
        return {}, ""
    changes: dict[str, Any] = {}
    if part and max(part) >= clients:
        changes["schedule.clients"] = tuple(i for i in part if i < clients) or None
    if lies and max(lies) >= clients:
        left = tuple(i for i in lies if i < clients)
        changes |= {"attack.liars": left} if left else {"attack": None}
    who = f"Client {gone[0]} is" if len(gone) == 1 else f"Clients {listed(gone)} are"
    all_part = " All take part now." if changes.get("schedule.clients", ()) is None else ""
    none_lies = " Nobody lies now." if "attack" in changes else ""
    there = f"are {clients:,} clients" if clients > 1 else "is 1 client"
    return changes, f"{who} gone: there {there} now.{all_part}{none_lies}"


def listed(gone: list[int]) -> str:
    named = gone if len(gone) < 6 else [*gone[:3], f"{len(gone) - 3:,} more"]
    return f"{', '.join(map(str, named[:-1]))} and {named[-1]}"


def no_choice(e: Experiment) -> str:
    """Why nobody can be left out, if the schedule does not let one choose."""
    if "clients" in type(e.schedule).model_fields:
        return ""
    return f"The schedule {words.title(type(e.schedule))} decides itself who takes part."


def chosen(s: _Shown) -> str:
    """Who takes part and who lies, in words."""
    part, lies, N = int(s.part.sum()), int(s.lying.sum()), s.clients
    takes = "All take part" if part == N else f"{part:,} of {N:,} take{'s' if part == 1 else ''} part"
    if not lies:
        return f"{takes}; nobody lies."
    how = "" if isinstance(s.e.attack.liars, tuple) else ", chosen by the seed"
    return f"{takes}; {lies:,} lie{'s' if lies == 1 else ''} ({words.title(type(s.e.attack))}{how})."


def order(s: _Shown, by: str, down: bool) -> Tensor:
    """The clients [N] in the order asked for; those without a figure come last, equal ones by number."""
    figures = {"client": torch.arange(s.clients), "rows": s.preview.sizes, "heterogeneity": s.preview.apart,
               "accuracy": s.accuracy}[by].double()
    return (-figures if down else figures).nan_to_num(nan=math.inf).argsort(stable=True)


def plain(column: Tensor) -> list:
    """A column for JSON: figures of four digits, null for NaN."""
    if not column.is_floating_point():
        return column.tolist()
    return [None if math.isnan(f) else round(f, 4) for f in column.tolist()]


def coloured(names: Sequence[str], first: int = 0) -> list[list[str]]:
    """[name, colour] of each."""
    return [[str(name), COLOURS[(first + i) % len(COLOURS)]] for i, name in enumerate(names)]
