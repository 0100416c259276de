"""The slots of the line and what a part in each of them promises: one page, read it to write a part.

Every hook takes keys [C] for its random draws, returns new tensors and leaves its inputs as they were. Parts hold
no state: what must be remembered goes into `Memory`, which `init` makes and the engine carries.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from .layout import Layout
from .part import Part
from .shards import Data
from .types import (
    Block,
    Cohort,
    Kind,
    Memory,
    Payload,
    Space,
    State,
    Stop,
    Tables,
    Tamper,
    Trained,
    World,
    payload_bytes,
)

if TYPE_CHECKING:
    from .privatise.accountant import Ledger

VALUES = frozenset({Kind.VALUES})


class Task(Part):
    """What is learned: the rows and the loss."""

    slot = "task"

    @abstractmethod
    def load(self) -> Data:
        """The rows, on the CPU. Called once a process for equal fields. Raises BadInput when they cannot be had."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """outputs [..., K] and labels y [...] -> the loss of each row [...]."""


class Classification(Task):
    """A task with one label a row, learned by cross-entropy."""

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        flat = nn.functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none")
        return flat.view(y.shape)


class Net(Part):
    """What learns: any module whose forward changes no buffer and draws no random numbers."""

    slot = "net"

    @abstractmethod
    def build(self, inputs: torch.Size, outputs: int) -> nn.Module:
        """A module from rows [B, *inputs] to [B, outputs]. Its initial weights follow torch's seed, which is set."""


class Partition(Part):
    """Who holds which rows: decided once."""

    slot = "partition"

    @abstractmethod
    def count(self, data: Data) -> int:
        """N, the number of clients."""

    @abstractmethod
    def assign(self, data: Data, key: Tensor) -> Tensor:
        """The client [rows] int64 of every training row (its holding, where they are shared); key [] is for random
        draws."""

    def holdings(self, data: Data) -> int:
        """K, how many holdings of rows there are: one a client, or fewer, and client i has that of i mod K."""
        return self.count(data)


class Sampler(Part):
    """Which of the eligible clients are asked in a round."""

    slot = "sampler"
    certain: ClassVar[bool] = True        # whether it is known beforehand how many are asked

    @abstractmethod
    def draw(self, eligible: int, key: Tensor) -> Tensor:
        """Positions [m] int64, ascending and distinct, in 0 .. eligible - 1. At a cost of O(m)."""

    @abstractmethod
    def rate(self, eligible: int) -> float:
        """The chance of one client to be asked in one round."""

    @abstractmethod
    def sampling(self, eligible: int):
        """What the privacy accountant may assume (see `privatise.accountant`); None where nothing may be."""


class Schedule(Part):
    """Who takes part, from which version of the model, at what virtual time."""

    slot = "schedule"

    @abstractmethod
    def next(self, world: World, state: State) -> Cohort:
        """The clients whose work makes the next round."""

    @abstractmethod
    def eligible(self, clients: int) -> Sequence[int]:
        """The ids that may ever take part, ascending; a range or a tuple."""

    @abstractmethod
    def rate(self, clients: int) -> float:
        """The chance that an eligible client reports in a round, drop-out included."""

    @abstractmethod
    def asked(self, clients: int) -> float:
        """How many clients are expected to download the model in a round."""

    @property
    @abstractmethod
    def certain(self) -> bool:
        """Whether the number of clients in a round is known beforehand, so that forecasts of bytes are exact."""

    @abstractmethod
    def sampling(self, clients: int):
        """The sampler's terms for the accountant, or None."""


class Distribute(Part):
    """What clients start from."""

    slot = "distribute"

    def kept(self, layout: Layout) -> tuple[str, ...]:
        """Patterns of the tensors that stay at home: started from the client's own row, never sent."""
        return ()

    @abstractmethod
    def start(self, world: World, state: State, ids: Tensor) -> Tensor:
        """The weights [C, P] that clients ids [C] start from; an expanded view where they are all the same."""

    def price(self, world: World) -> int:
        """Bytes of model one client downloads; what parts share with clients is priced beside it by the engine."""
        return payload_bytes(world.sent.width, world.dtype)


class Local(Part):
    """What clients learn. The wire carries `update` (end - start, the columns that travel) and the extra blocks."""

    slot = "local"

    @abstractmethod
    def gives(self, world: World) -> Space:
        """The blocks of the rows this training sends; the first is "update"."""

    def init(self, world: World) -> Memory:
        return Memory()

    @abstractmethod
    def steps_of(self, sizes: Tensor, largest: int) -> Tensor:
        """The local steps [C] of clients with training rows [C], when the largest client of all has `largest`."""

    @abstractmethod
    def train(self, world: World, start: Tensor, cohort: Cohort, mine: Memory, keys: Tensor,
              tamper: Tamper | None, stop: Stop) -> Trained:
        """Train from start [C, P]; poll `stop` every few steps. `tamper(x, y, who)` is what liars do to a batch of the
        clients at places `who` [A] of the chunk."""

    def fold(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> Memory:
        """The server half: shared values from the combined row; `share` is the part of all clients it stands for."""
        return memory


class Correct(Part):
    """A correction of local steps. Affine ones give `affine`, constant over the round; general ones `grad`."""

    slot = "correct"
    linear: ClassVar[bool] = True   # affine: the fast path never has to hold a gradient
    plain_steps: ClassVar[bool] = False   # whether its formula assumes SGD without momentum
    equal_weights: ClassVar[bool] = False   # whether its server half assumes an unweighted mean

    def blocks(self, world: World) -> tuple[Block, ...]:
        """The extra columns it sends."""
        return ()

    def init(self, world: World) -> Memory:
        return Memory()

    def affine(self, world: World, start: Tensor, mine: Memory) -> tuple[float, Tensor | None]:
        """(a, b [C, P]) of g' = g + a w + b."""
        return 0.0, None

    def grad(self, g: Tensor, w: Tensor, start: Tensor, mine: Memory) -> Tensor:
        """g' [C, P] from g, w and start [C, P]; called for non-linear corrections only."""
        return g

    def finish(self, world: World, start: Tensor, end: Tensor, path: Tensor,
               mine: Memory) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(extra blocks, own rows) after the last step; path [C, 1] is the sum of step sizes really taken."""
        return {}, {}

    def fold(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> Memory:
        return memory


class Encode(Part):
    """What really goes out. Codecs of fixed length say what is on the wire; price and bytes follow from that."""

    slot = "encode"
    takes: ClassVar[frozenset[Kind]] = frozenset(Kind)
    smooth: ClassVar[bool] = True   # whether rounding errors in a row stay as small, and no entry changes its place

    def init(self, world: World, space: Space) -> Memory:
        return Memory()

    @abstractmethod
    def wire(self, space: Space, dtype: torch.dtype) -> dict[str, tuple[int, torch.dtype]]:
        """The arrays one client sends: name -> (length, type)."""

    @abstractmethod
    def encode(self, rows: Tensor, space: Space, keys: Tensor, mine: Memory) -> tuple[dict[str, Tensor], Memory]:
        """rows [C, D] -> the arrays of `wire`, each [C, length], and the client's memory afterwards."""

    @abstractmethod
    def decode(self, arrays: dict[str, Tensor], space: Space) -> Tensor:
        """What was on the wire -> rows [C, D]."""

    def price(self, space: Space, dtype: torch.dtype) -> int:
        """Bytes one client sends a round; exact."""
        return sum(payload_bytes(length, kind) for length, kind in self.wire(space, dtype).values())

    def payload(self, arrays: dict[str, Tensor], space: Space, dtype: torch.dtype) -> Payload:
        count = len(next(iter(arrays.values())))
        return Payload(arrays, torch.full((count,), self.price(space, dtype)))

    def pack(self, payload: Payload, i: int) -> bytes:
        """The bytes of client number i of the payload: its arrays one after another, little-endian."""
        return b"".join(np.ascontiguousarray(t[i].cpu().numpy()).astype(t[i].cpu().numpy().dtype.newbyteorder("<"))
                        .tobytes() for t in payload.tensors.values())

    def unpack(self, packed: list[bytes], space: Space, dtype: torch.dtype) -> Payload:
        """The inverse of `pack` for C clients. Raises ValueError when a length is wrong."""
        wire, due = self.wire(space, dtype), self.price(space, dtype)
        for message in packed:
            if len(message) != due:
                raise ValueError(f"a message of {len(message)} bytes where {due} are due")
        arrays, at = {}, 0
        for name, (length, kind) in wire.items():
            size = payload_bytes(length, kind)
            raw = bytearray(b"".join(message[at:at + size] for message in packed))
            flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
            arrays[name] = flat.view(len(packed), length)
            at += size
        return self.payload(arrays, space, dtype)


class Attack(Part):
    """What liars do: to their rows before training (`poison`), to what they send after it (`lie`)."""

    slot = "attack"
    takes: ClassVar[frozenset[Kind]] = VALUES
    needs_all: ClassVar[bool] = False     # whether `lie` must see every row of the round at once
    poisons: ClassVar[bool] = False       # whether `poison` does anything

    liars: Annotated[float, Field(ge=0, le=1)] | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        0.2, description="the share of clients that lie (0 to 1, chosen by seed), or their ids")

    def poison(self, x: Tensor, y: Tensor, bad: Tensor, keys: Tensor, labels: int) -> tuple[Tensor, Tensor]:
        """x [C, B, ...], y [C, B] of clients of whom bad [C] lie -> what they train on; keys [C] of the clients."""
        return x, y

    def lie(self, rows: Tensor, bad: Tensor, keys: Tensor) -> Tensor:
        """rows [C, D], of whom bad [C] lie -> what the server receives."""
        return rows


class Privatise(Part):
    """Bounds what one client can change, and hides it in noise."""

    slot = "privatise"
    takes: ClassVar[frozenset[Kind]] = VALUES
    central: ClassVar[bool] = True        # whether the noise goes on the server's sum

    def client(self, rows: Tensor, keys: Tensor) -> Tensor:
        """What each client does to its own row [C, D] before it is sent."""
        return rows

    def bound(self, rows: Tensor) -> Tensor:
        """What the server does to each row [C, D] before the sum."""
        return rows

    @abstractmethod
    def ledger(self, sampling, clients: int, rounds: int) -> Ledger | None:
        """What the accountant is told; solves for the noise where a target is given."""

    def notes(self, ledger: Ledger, clients: int, width: int, expected: float) -> Iterable[str]:
        """What a reader should know before the run, in sentences, of rows [width] of which `expected` come a round."""
        return ()

    def noise(self, total: Tensor, ledger: Ledger | None, sensitivity: float, key: Tensor) -> Tensor:
        """total [D], with the noise that hides a change of `sensitivity` times the bound."""
        return total


class Aggregate(Part):
    """Rows [C, D] to one row [D] (or to rows [C, D]), a block of clients at a time where the rule allows."""

    slot = "aggregate"
    takes: ClassVar[frozenset[Kind]] = VALUES
    folds: ClassVar[bool] = False         # whether it is a sum, so that blocks need not be kept

    def weigh(self, sizes: Tensor) -> Tensor:
        """Weights [C] (float64) from training rows [C]."""
        return torch.ones(len(sizes), dtype=torch.float64)

    @property
    def sensitivity(self) -> float | None:
        """By how many bounds one client can change the sum; None where nobody knows."""
        return None

    @property
    def equal_weights(self) -> bool:
        return True

    def fold(self, total: Any, rows: Tensor, weights: Tensor) -> Any:
        """Take in a block of rows [b, D] (b is 16, or what is left at the end). Here: keep them all, in a list."""
        return [*(total or ()), rows]

    @abstractmethod
    def finish(self, total: Any, weights: Tensor, expected: float) -> Tensor:
        """The combined row [D] from what was folded; weights [C] of those who came, the expected sum of weights."""

    def stands_for(self, count: int, expected: float) -> float:
        """How many clients' rows the combined row is the mean of, when `count` came."""
        return count

    def warning(self, count: int) -> str | None:
        """What to say when `count` rows are too few for the rule; None when they are enough."""
        return None


class Server(Part):
    """The new model from the combined row."""

    slot = "server"
    takes: ClassVar[frozenset[Kind]] = VALUES

    def init(self, world: World) -> Memory:
        return Memory()

    @abstractmethod
    def step(self, world: World, state: State, value: dict[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """(model [P], memory) from the combined blocks; value["update"] has the columns `world.sent`."""


class Evaluate(Part):
    """A reading of the count tables."""

    slot = "evaluate"

    @abstractmethod
    def read(self, tables: Tables) -> dict[str, float]:
        """Named figures; NaN where there is nothing to read."""

    def later(self, tables: Tables, round: int) -> dict[str, float]:
        """Figures too slow for every round: every tenth round and at the end, off the training thread."""
        return {}


__all__ = ["Aggregate", "Attack", "Classification", "Correct", "Distribute", "Encode", "Evaluate", "Local",
           "Net", "Partition", "Privatise", "Sampler", "Schedule", "Server", "Task", "VALUES"]
