"""The values that flow along the line. C = clients in this round, N = all clients, P = columns of the flat model row,
D = columns of a row on the wire, B = batch: the letters mean this everywhere.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from . import seeds
from .layout import Columns, Layout
from .shards import Data, Shards
from .table import Table

if TYPE_CHECKING:
    from .slots import Fairness, Task
    from .stack import Stack


class Kind(StrEnum):
    """What the numbers of a block are, so that no part takes ranks for weights."""

    VALUES = "values"
    COUNTS = "counts"
    RANKS = "ranks"
    SEEDS = "seeds"
    BITS = "bits"


@dataclass(frozen=True)
class Block:
    """`width` columns of one kind under one name ("update", "control")."""

    name: str
    width: int
    kind: Kind = Kind.VALUES
    shapes: tuple[tuple[int, ...], ...] = ()   # of the tensors that lie in it one after another, where it is known

    @property
    def sizes(self) -> list[int]:
        """How many columns each of its tensors takes."""
        return [math.prod(shape) for shape in self.shapes] or [self.width]


@dataclass(frozen=True)
class Space:
    """The columns of a row [.., D], as named blocks: what is priced, attacked, clipped, noised and combined."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        return sum(b.width for b in self.blocks)

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(b.kind for b in self.blocks)

    def split(self, rows: Tensor) -> dict[str, Tensor]:
        """rows [.., D] -> a view [.., width] per block name."""
        return dict(zip((b.name for b in self.blocks), rows.split([b.width for b in self.blocks], -1), strict=True))


@dataclass(frozen=True)
class Payload:
    """What C clients put on the wire: named tensors [C, ...] and each client's exact bytes [C] int64."""

    tensors: dict[str, Tensor]
    bytes: Tensor


@dataclass(frozen=True)
class Cohort:
    """The clients whose work makes this round.

    ids [C] int64, ascending; weights [C] from the schedule (staleness; 1 when in step); sizes [C] training rows;
    versions [C] the round whose model each one started from; invited: how many were sent the model, drop-outs
    included; time: virtual, when the round ends; told [C, T]: what each was told before it trains, or None.
    """

    round: int
    ids: Tensor
    sizes: Tensor
    weights: Tensor
    versions: Tensor
    invited: int
    time: float
    told: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Cohort:
        return replace(self, ids=self.ids[part], sizes=self.sizes[part], weights=self.weights[part],
                       versions=self.versions[part], told=None if self.told is None else self.told[part])


@dataclass(frozen=True)
class Beside:
    """What a penalty knows beside labels: the groups [A, B] of the rows, and what each client was told [A, T]."""

    group: Tensor
    told: Tensor

    def __iter__(self) -> Iterator[Beside]:
        return (Beside(*some) for some in zip(self.group.split(1), self.told.split(1), strict=True))


@dataclass(frozen=True)
class Memory:
    """What a part remembers between rounds: `own`, a row per client, and `shared`, common values.

    In State `own` holds Tables; inside a client's half it holds the gathered rows [C, D] of the clients at hand.
    What clients read of `shared` is sent to them, and so priced; what is named "server…" stays on the server.
    """

    own: dict[str, Table | Tensor] = field(default_factory=dict)
    shared: dict[str, Tensor] = field(default_factory=dict)

    def of(self, ids: Tensor) -> Memory:
        return replace(self, own={name: table.gather(ids) for name, table in self.own.items()})

    @property
    def sent(self) -> dict[str, Tensor]:
        """What clients download of `shared`: all but what is named "server…", which they never see."""
        return {name: t for name, t in self.shared.items() if not name.rpartition(".")[2].startswith("server")}

    def at_clients(self, ids: Tensor) -> Memory:
        """What the client half of a round is given."""
        return replace(self.of(ids), shared=self.sent)

    def under(self, prefix: str) -> Memory:
        """The part of a joint memory whose names begin with `prefix.`, with the prefix taken off."""
        cut = len(prefix) + 1
        pick = lambda d: {k[cut:]: v for k, v in d.items() if k.startswith(prefix + ".")}  # noqa: E731
        return Memory(pick(self.own), pick(self.shared))

    def prefixed(self, prefix: str) -> Memory:
        return Memory({f"{prefix}.{k}": v for k, v in self.own.items()},
                      {f"{prefix}.{k}": v for k, v in self.shared.items()})

    def __or__(self, other: Memory) -> Memory:
        return Memory(self.own | other.own, self.shared | other.shared)


@dataclass(frozen=True)
class Reply:
    """What the server says before clients train: told [C, T], a factor [C] on what each will count, and what it
    remembers of them."""

    told: Tensor
    factor: Tensor | float = 1.0
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class Combined:
    """What an aggregate makes of a round: `value` [D] for the model of all, and a row for each client.

    rows [C, D] go back to the clients of the cohort; `down` [C] are the bytes that each of them downloads for it.
    """

    value: Tensor
    rows: Tensor | None = None
    down: Tensor | None = None


@dataclass(frozen=True)
class View:
    """A live reading of a part, for a picture: plain numbers, ready for JSON.

    kind "lines": one of `values` a label, drawn over the rounds. "matrix": values [label][label]. "graph": one of
    `values` a node, `links` are pairs of nodes. "tree": values are (level, first, last, how much it counts now), of
    rounds, or of what the first label names. "text": (label, text) pairs. `about` says in a sentence what is seen.
    """

    kind: str
    title: str
    about: str
    labels: tuple[str, ...] = ()
    values: tuple = ()
    links: tuple = ()

    def plain(self) -> dict:
        """The fields as the record has them, numbers to six digits: pictures need no more.

        >>> View("lines", "Share", "a third", ("a",), (1 / 3,)).plain()["values"]
        (0.333333,)
        """
        return asdict(self) | {"values": _six(self.values)}


def _six(value):
    if isinstance(value, (tuple, list)):
        return tuple(map(_six, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class State:
    """Everything a snapshot holds; whatever is not here does not survive."""

    model: Tensor                                        # [P]
    own: Table | None = None                             # [N, kept columns]: personal layers
    memory: dict[str, Memory] = field(default_factory=dict)
    round: int = 0
    time: float = 0.0
    trips: int = 0


@dataclass(frozen=True)
class World:
    """What never changes during a run: the task, its rows by client, the net and where its weights lie."""

    task: Task
    net: nn.Module
    data: Data
    shards: Shards
    layout: Layout
    sent: Columns          # the columns that travel: all but the layers a personalised method keeps at home
    seed: int
    rounds: int
    dtype: torch.dtype
    device: torch.device
    stacks: bool = True    # whether the net runs under vmap; if not, clients are run one by one
    stack: Stack | None = None   # the net written out by hand, where it can be …
    why: str = ""                # … and why it cannot
    mixed: bool = False          # whether products of training are in bfloat16 (torch.autocast); all else is in dtype
    fairness: tuple[Fairness, ...] = ()   # what else counts for clients besides the task's loss

    @property
    def clients(self) -> int:
        return self.shards.clients

    def keys(self, purpose: str, round: int, ids: Tensor | int) -> Tensor:
        """Keys [C] for the random draws of clients `ids` in a round: the same on every machine and in every chunk."""
        return seeds.keys(self.seed, purpose, round, ids)

    def forward(self, w: Tensor, x: Tensor) -> Tensor:
        """Outputs [C, B, K] of C nets with weights w [C, P], each on its own rows x [C, B, ...]."""
        return self._nets(self.layout.views(w), x) if self.stack is None else self.stack.forward(w, x)

    def _nets(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        """The same of the nets' named tensors [C, *shape]."""
        if self.stacks:
            return torch.vmap(self._one)(tensors, x)
        return torch.stack([self._one({n: t[i] for n, t in tensors.items()}, rows) for i, rows in enumerate(x)])

    def _one(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(_mine(self.net), tensors, (x,))

    def gradient(self, w: Tensor, x: Tensor, y: Tensor, share: Tensor,
                 beside: Beside | None = None) -> tuple[Tensor, Tensor]:
        """The gradient [C, P] and mean loss [C] of each client at its own weights w [C, P].

        x [C, B, ...], y [C, B], share [C, B] what each row counts in its client's mean; `beside` where parts of the
        slot fairness add their penalty to what is minimised (the losses come without it). Clients share no weights,
        so the gradient of the sum of their losses holds each one's own in its row.
        """
        if self.stack is not None:
            return self.stack.gradient(w, x, y, share, beside and partial(self.penalty, y, share, beside))
        found, losses = self.gradients(w, x, y, share, beside)
        return self.layout.rows(found), losses

    def penalty(self, y: Tensor, share: Tensor, beside: Beside, outputs: Tensor) -> Tensor:
        """What parts of the slot fairness add to the mean loss of each client [C], for its outputs [C, B, K]."""
        told = beside.told.split([f.tells(self) for f in self.fairness], dim=1)
        return sum(f.penalty(self, outputs, y, beside.group, share, its)
                   for f, its in zip(self.fairness, told, strict=True) if f.penalises)

    def gradients(self, w: Tensor, x: Tensor, y: Tensor, share: Tensor,
                  beside: Beside | None = None) -> tuple[dict[str, Tensor], Tensor]:
        """The same by autograd, as the net's named tensors [C, *shape]: a whole row [C, P] need not be made of them."""
        if not self.stacks and len(w) > 1:
            pieces = zip(*(t.split(1) for t in (w, x, y, share)), beside or [None] * len(w), strict=True)
            each = [self.gradients(*some) for some in pieces]
            return {n: torch.cat([g[n] for g, _ in each]) for n in self.layout.names}, torch.cat([l for _, l in each])
        # Tensors of their own, not slices of one row: autograd would fill a whole [C, P] with zeros for each slice.
        tensors = self.layout.views(w if self.stacks else w[0])
        tensors = {name: t.detach().requires_grad_() for name, t in tensors.items()}
        with torch.autocast(self.device.type, torch.bfloat16, self.mixed, cache_enabled=False):
            outputs = self._nets(tensors, x) if self.stacks else self._one(tensors, x[0])[None]
        outputs = outputs.to(self.dtype)
        losses = (self.task.loss(outputs, y) * share).sum(1)
        whole = losses if beside is None else losses + self.penalty(y, share, beside, outputs)
        found = torch.autograd.grad(whole.sum(), tuple(tensors.values()), materialize_grads=True)
        return {n: g if self.stacks else g[None] for n, g in zip(tensors, found, strict=True)}, losses.detach()


_NETS = threading.local()


def _mine(net: nn.Module) -> nn.Module:
    """This thread's copy of a net: a functional call puts its weights into the module while it runs, and a copy made
    by another thread at that moment would hold them."""
    copies = _NETS.__dict__.setdefault("copies", WeakKeyDictionary())
    if net not in copies:
        copies[net] = deepcopy(net)
    return copies[net]


@dataclass(frozen=True)
class Trained:
    """What local training made: end weights [C, P], extra blocks {name: [C, width]}, own rows, mean loss [C]."""

    end: Tensor
    loss: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)
    own: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """What readings read: held-out counts [K, groups, labels, predictions] int64 of the panel's clients, their summed
    losses [K] float64, and the same for the official test set ([groups, labels, predictions], one sum). For a reading
    that draws noise: the run's seed, the round, and which reading of the run this is, from 1. `shared` [K]: rows that
    the model of all gets right, where clients use models of their own."""

    ids: Tensor
    counts: Tensor
    losses: Tensor
    test_counts: Tensor
    test_loss: float
    groups: tuple[str, ...]
    favourable: int | None
    seed: int = 0
    round: int = 0
    reading: int = 1
    shared: Tensor | None = None
    own: dict[str, float] = field(default_factory=dict)   # figures that parts give themselves


Stop = Callable[[], bool]
# What liars do to a batch x, y [A, B, ...] of the first A clients of a chunk, in the order `who` [A] names them.
Tamper = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Interrupted(Exception):
    """The round in flight was dropped because somebody asked to stop; the state is that of the round before."""


def never() -> bool:
    return False


def payload_bytes(width: int, dtype: torch.dtype) -> int:
    """Bytes of `width` plain numbers."""
    return width * dtype.itemsize


def chunks_of(count: int, size: int) -> list[slice]:
    """Consecutive pieces of `size`. A lone client left over joins the piece before it: products of one take other
    kernels, and so may come out in other bits, than products of several.

    >>> chunks_of(7, 3)
    [slice(0, 3, None), slice(3, 7, None)]
    """
    pieces = [slice(i, min(i + size, count)) for i in range(0, count, size)]
    if size > 1 and len(pieces) > 1 and count % size == 1:
        pieces[-2:] = [slice(pieces[-2].start, count)]
    return pieces
