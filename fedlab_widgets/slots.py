"""The slots of the line and what a part in each of them promises: one page, read it to write a part.

Every hook takes keys [C] for its random draws, returns new tensors and leaves its inputs as they were. Parts hold
no state: what must be remembered goes into `Memory`, which `init` makes and the engine carries.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from . import packing
from .layout import Columns, Layout
from .part import Part
from .slots_once import Classification, Net, Partition, Task
from .slots_own import Personalise
from .slots_server import VALUES, Aggregate, Attack, Privatise, Server
from .types import (
    Block,
    Cohort,
    Kind,
    Memory,
    Payload,
    Reply,
    Space,
    State,
    Stop,
    Table,
    Tables,
    Tamper,
    Trained,
    World,
    payload_bytes,
)

if TYPE_CHECKING:
    from .plan import Plan


class Sampler(Part):
    """Which of the eligible clients are asked in a round."""

    slot = "sampler"
    certain: ClassVar[bool] = True        # whether it is known beforehand how many are asked

    @abstractmethod
    def draw(self, eligible: int, round: int, key: Tensor) -> Tensor:
        """Positions [m] int64, ascending and distinct, in 0 .. eligible - 1, for round 1, 2, … At a cost of O(m)."""

    @abstractmethod
    def rate(self, eligible: int) -> float:
        """The chance of one client to be asked in one round."""

    @abstractmethod
    def sampling(self, eligible: int):
        """What the privacy accountant may assume (see `privatise.accountant`); None where nothing may be."""


class Schedule(Part):
    """Who takes part, from which version of the model, at what virtual time."""

    slot = "schedule"
    idles: ClassVar[bool] = False         # whether rounds in which nobody reports are a matter of course

    def init(self, world: World) -> Memory:
        """What it remembers: who is at work since when."""
        return Memory()

    @abstractmethod
    def next(self, world: World, state: State) -> tuple[Cohort, Memory]:
        """The clients whose work makes the next round, and what it remembers after that round."""

    def expected(self, world: World, aggregate: Aggregate) -> float:
        """The sum of weights that a round is expected to bring."""
        eligible = self.eligible(world.clients)
        sizes = world.shards.train if isinstance(eligible, range) else world.shards.train[list(eligible)]
        return self.rate(world.clients) * float(aggregate.weigh(sizes).sum())

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
    """What clients start from, and what they hold of their own."""

    slot = "distribute"
    keeps_models: ClassVar[bool] = False   # whether every client has a model of its own, for good
    takes_rows: ClassVar[bool] = False     # whether it takes the rows that an aggregate gives back
    certain: ClassVar[bool] = True         # whether `price` says exactly what each client downloads

    def kept(self, layout: Layout) -> tuple[str, ...]:
        """Patterns of the tensors that stay at home: started from the client's own row, never sent."""
        return ()

    def own(self, world: World, model: Tensor, fresh: Callable[[int], Tensor]) -> Table | None:
        """The rows that clients hold, before the first round; fresh(i) draws client i a first model [P] of its own."""
        kept = world.layout.columns(self.kept(world.layout))
        return Table(world.clients, kept.take(model)) if kept.width else None

    def init(self, world: World, shared: dict[str, Tensor]) -> Memory:
        """What else it remembers about clients; `shared` are the values that they download beside the model."""
        return Memory()

    @abstractmethod
    def start(self, world: World, state: State, ids: Tensor) -> Tensor:
        """The weights [C, P] that clients ids [C] start from; an expanded view where they are all the same."""

    def heard(self, state: State, ids: Tensor, mine: Memory) -> Memory:
        """The memory that local training is given, with shared values as these clients know them."""
        return mine

    def at_home(self, world: World, end: Tensor) -> Tensor | None:
        """What clients keep of their trained weights end [C, P], in the shape of their own rows; None for nothing."""
        kept = world.layout.columns(self.kept(world.layout))
        return kept.take(end) if kept.width else None

    def after(self, world: World, state: State, ids: Tensor, model: Tensor, rows: Tensor | None,
              shared: dict[str, Tensor], sent: Tensor) -> tuple[Tensor | None, Memory]:
        """(own rows, what else it remembers of the cohort's clients ids [C]) once the round is done: from the new
        model [P], the weights [C, P] that came back to each of them, the new shared values, and the bytes that each
        has sent [C]."""
        return None, Memory(shared=state.memory["distribute"].shared)

    def price(self, world: World) -> int:
        """Bytes of model one client downloads; what parts share with clients is priced beside it by the engine."""
        return payload_bytes(world.sent.width, world.dtype)

    def expected(self, plan: Plan, sent: float) -> float:
        """The same as far as it is known before a run in which each client sends so many bytes a round."""
        return self.price(plan.world)

    def downloads(self, plan: Plan, state: State, cohort: Cohort) -> int:
        """What all clients that are asked in the round after `state` download, drop-outs included."""
        return cohort.invited * self.price(plan.world)


class Local(Part):
    """What clients learn. The wire carries `update` (end - start, the columns that travel) and the extra blocks."""

    slot = "local"
    own_account: ClassVar[str] = ""          # what it promises to clients' rows, where that is a kind of privacy
    heeds_fairness: ClassVar[bool] = False   # whether its steps take in what parts of the slot fairness add
    rebuilds: ClassVar[bool] = False         # whether the first model and its shared values tell the model of all
    in_turn: ClassVar[bool] = False          # whether only what travels in a round moves in it (see `travels`)

    @abstractmethod
    def gives(self, world: World) -> Space:
        """The blocks of the rows this training sends; the first is "update"."""

    def travels(self, world: World, state: State) -> Columns | None:
        """Which columns of a row go out in the round after `state`; None for all. The others are read as zeros.

        With `in_turn` these are columns that travel of the model: the others, and what the server remembers of them,
        stay as they are in that round."""
        return None

    def meant(self, world: World) -> Space:
        """The blocks of the rows as they are combined, once `replay` has made them of what was sent."""
        return self.gives(world)

    def replay(self, world: World, rows: Tensor, cohort: Cohort, memory: Memory) -> Tensor:
        """The receiver's first step: rows [b, D] as they were sent by these b clients -> [b, D'] as they are meant,
        a few clients at a time."""
        return rows

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

    def settle(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> dict[str, Tensor]:
        """The server half, first: the combined blocks as the slot server is to take them."""
        return value

    def fold(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> Memory:
        """The server half, last: shared values from the combined row as it came; `share` is the part of all clients
        it stands for."""
        return memory


class Correct(Part):
    """A correction of local steps. Affine ones give `affine`, constant over the round; general ones `grad`."""

    slot = "correct"
    linear: ClassVar[bool] = True   # affine: the fast path never has to hold a gradient
    sees_rows: ClassVar[bool] = False     # general ones: whether it has a loss of its own on batches, in `batch`
    plain_steps: ClassVar[bool] = False   # whether its formula assumes SGD without momentum
    equal_weights: ClassVar[bool] = False   # whether its server half assumes an unweighted mean

    def blocks(self, world: World) -> tuple[Block, ...]:
        """The extra columns it sends."""
        return ()

    def init(self, world: World) -> Memory:
        """Shared values whose names begin with "server" stay on the server; clients download the others."""
        return Memory()

    def affine(self, world: World, start: Tensor, mine: Memory) -> tuple[float, Tensor | None]:
        """(a, b [C, P]) of g' = g + a w + b."""
        return 0.0, None

    def grad(self, g: Tensor, w: Tensor, start: Tensor, mine: Memory) -> Tensor:
        """g' [C, P] from g, w and start [C, P]; called for non-linear corrections only."""
        return g

    def batch(self, world: World, w: Tensor, x: Tensor, y: Tensor, share: Tensor, start: Tensor,
              mine: Memory) -> Tensor:
        """The gradient [C, P] of its own loss on a batch, which is added; x [C, B, ...], y and share [C, B]."""
        return torch.zeros_like(w)

    def finish(self, world: World, start: Tensor, end: Tensor, path: Tensor,
               mine: Memory) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(extra blocks, own rows) after the last step; path [C, 1] is the sum of step sizes really taken. A block
        "update" among them is sent in place of end - start."""
        return {}, {}

    def settle(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> dict[str, Tensor]:
        """The combined blocks as the server is to take them; memory as it was before `fold`."""
        return value

    def fold(self, world: World, value: dict[str, Tensor], memory: Memory, share: float) -> Memory:
        return memory


class Fairness(Part):
    """What makes a model fair to groups: what clients are asked before they train, and what then counts for them.

    Where `asks` is above 0 a round has two phases: clients download the model and answer in plain numbers, the server
    tells each of them some, and then they train. Several parts work side by side: what rows count is multiplied,
    penalties add up.
    """

    slot = "fairness"
    sends: ClassVar[bool] = False         # whether it asks at all
    stays: ClassVar[bool] = False         # whether answers never leave the client, which tells itself
    weighs_rows: ClassVar[bool] = False   # whether `rows` does anything …
    penalises: ClassVar[bool] = False     # … and `penalty`

    def asks(self, world: World) -> int:
        """A: how many numbers a client answers with."""
        return 0

    def tells(self, world: World) -> int:
        """T: how many numbers a client is told."""
        return 0

    def init(self, world: World) -> Memory:
        """What the server remembers: `own` rows about each client."""
        return Memory()

    def answer(self, world: World, start: Tensor, ids: Tensor) -> Tensor:
        """[C, A] of clients ids [C] about the weights start [C, P], from the rows they learn from."""
        raise NotImplementedError(f"{type(self).__name__} asks, and has no answer")

    def reply(self, world: World, answers: Tensor, shares: Tensor, mine: Memory) -> Reply:
        """The server's reply to answers [C, A] of clients that will count shares [C] of the whole."""
        raise NotImplementedError(f"{type(self).__name__} asks, and has no reply")

    def rows(self, world: World, y: Tensor, group: Tensor, told: Tensor) -> Tensor:
        """What each row counts [..., C, B] in its client's mean, 1 as before; labels y and groups [..., C, B], told
        [C, T]."""
        return torch.ones_like(y, dtype=told.dtype)

    def penalty(self, world: World, outputs: Tensor, y: Tensor, group: Tensor, share: Tensor, told: Tensor) -> Tensor:
        """What is added to each client's mean loss [C]; outputs [C, B, K], y, group and share [C, B], told [C, T]."""
        return outputs.new_zeros(len(outputs))


class Encode(Part):
    """What really goes out. Codecs of fixed length say what is on the wire; price and bytes follow from that."""

    slot = "encode"
    takes: ClassVar[frozenset[Kind]] = frozenset(Kind)
    smooth: ClassVar[bool] = True   # whether rounding errors in a row stay as small, and no entry changes its place
    certain: ClassVar[bool] = True  # whether all rows take the same bytes; if not, `price` is the most

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
        return packing.packed(payload.tensors, i)

    def unpack(self, packed: list[bytes], space: Space, dtype: torch.dtype) -> Payload:
        """The inverse of `pack` for C clients. Raises ValueError when a length is wrong."""
        arrays = packing.unpacked(packed, self.wire(space, dtype), self.price(space, dtype))
        return self.payload(arrays, space, dtype)


class Evaluate(Part):
    """A reading of the count tables."""

    slot = "evaluate"

    @abstractmethod
    def read(self, tables: Tables) -> dict[str, float]:
        """Named figures; NaN where there is nothing to read."""

    def later(self, tables: Tables, round: int) -> dict[str, float]:
        """Figures too slow for every round: every tenth round and at the end, off the training thread."""
        return {}


__all__ = ["Aggregate", "Attack", "Classification", "Correct", "Distribute", "Encode", "Evaluate", "Fairness", "Local",
           "Net", "Partition", "Personalise", "Privatise", "Sampler", "Schedule", "Server", "Task", "VALUES"]
