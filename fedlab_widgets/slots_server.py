"""The slots of the server half: what liars send, privacy, how rows are combined, the new model (see `slots.py`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .part import Part
from .types import Cohort, Combined, Kind, Memory, Space, State, World, payload_bytes

if TYPE_CHECKING:
    from .privatise.accountant import Ledger

VALUES = frozenset({Kind.VALUES})


class Attack(Part):
    """What liars do: to their rows before training (`poison`), to what they send after it (`lie`)."""

    slot = "attack"
    takes: ClassVar[frozenset[Kind]] = VALUES
    needs_all: ClassVar[bool] = False     # whether `lie` must see every row of the round at once
    poisons: ClassVar[bool] = False       # whether `poison` does anything
    access: ClassVar[str] = "own row"     # what liars must see: own data, own row, all honest rows, the aggregate

    liars: Annotated[float, Field(ge=0, le=1)] | tuple[Annotated[int, Field(ge=0)], ...] = Field(
        0.2, description="the share of clients that lie (0 to 1, chosen by seed), or their ids")

    def poison(self, x: Tensor, y: Tensor, bad: Tensor, keys: Tensor, labels: int) -> tuple[Tensor, Tensor]:
        """x [C, B, ...], y [C, B] of clients of whom bad [C] lie -> what they train on; keys [C] of the clients."""
        return x, y

    def lie(self, rows: Tensor, bad: Tensor, keys: Tensor, space: Space | None = None) -> Tensor:
        """rows [C, D] in the blocks of `space`, of whom bad [C] lie -> what the server receives."""
        return rows


class Privatise(Part):
    """Bounds what one client can change, and hides it in noise."""

    slot = "privatise"
    takes: ClassVar[frozenset[Kind]] = VALUES
    central: ClassVar[bool] = True        # whether the noise goes on the server's sum
    covers: ClassVar[str] = "what the released models tell about any one client with all its rows"   # epsilon does

    def init(self, world: World, expected: float, width: int) -> Memory:
        """What the server remembers, `shared`, where `expected` clients come a round with rows of `width` columns."""
        return Memory()

    def client(self, rows: Tensor, keys: Tensor, ledger: Ledger | None) -> Tensor:
        """What each client does to its own row [C, D] before it is sent."""
        return rows

    def bound(self, rows: Tensor, mine: Memory) -> Tensor:
        """What the server does to each row [C, D] before the sum."""
        return rows

    def count(self, rows: Tensor, mine: Memory) -> Tensor:
        """What it counts of each row [C, D] before that, -1/2 or 1/2 [C]; their sum goes to `learn`."""
        return rows.new_zeros(len(rows))

    @abstractmethod
    def ledger(self, sampling, clients: int, rounds: int) -> Ledger | None:
        """What the accountant is told; solves for the noise where a target is given."""

    def notes(self, ledger: Ledger, clients: int, width: int, expected: float) -> Iterable[str]:
        """What a reader should know before the run, in sentences, of rows [width] of which `expected` come a round."""
        return ()

    def noise(self, total: Tensor, ledger: Ledger | None, sensitivity: float, key: Tensor,
              mine: Memory) -> tuple[Tensor, Memory]:
        """total [D], with the noise that hides a change of `sensitivity` times the bound; and what it remembers."""
        return total, mine

    def learn(self, counted: Tensor, ledger: Ledger | None, key: Tensor, mine: Memory) -> Memory:
        """What it remembers after a round, from the sum [] of what was counted; noise of its own hides that sum."""
        return mine


class Aggregate(Part):
    """Rows [C, D] to one row [D] (or to rows [C, D]), a block of clients at a time where the rule allows."""

    slot = "aggregate"
    takes: ClassVar[frozenset[Kind]] = VALUES
    folds: ClassVar[bool] = False         # whether it is a sum, so that blocks need not be kept
    returns_rows: ClassVar[bool] = False  # whether each client gets a row of its own back
    of_models: ClassVar[bool] = False     # whether rows come and go as whole models, not as what training changed
    excludes: ClassVar[bool] = False      # whether it shuts clients out: own rows "excluded" [N, 1] above 0

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

    def init(self, world: World, space: Space) -> Memory:
        """What a rule that remembers begins with: `own` rows about each client, `shared` values."""
        return Memory()

    def fold(self, total: Any, rows: Tensor, weights: Tensor) -> Any:
        """Take in a block of rows [b, D] (b is 16, or what is left at the end). Here: keep them all, in a list."""
        return [*(total or ()), rows]

    def finish(self, total: Any, weights: Tensor, expected: float) -> Tensor:
        """The combined row [D] from what was folded; weights [C] of those who came, the expected sum of weights."""
        raise NotImplementedError(f"{type(self).__name__} has neither finish nor combine")

    def combine(self, world: World, total: Any, weights: Tensor, expected: float, cohort: Cohort,
                mine: Memory) -> tuple[Tensor | Combined, Memory]:
        """The same, for rules that remember or draw: mine.own holds the rows [C, ...] of the cohort's clients.

        Returns the combined row, or `Combined` with a row for each client as well, and the memory in the same shape.
        Draws come from `world.keys("aggregate", cohort.round, 0)`.
        """
        return self.finish(total, weights, expected), mine

    def links(self, world: World, round: int, ids: Tensor) -> Tensor | None:
        """To how many others [C] each client sends what it has to say; None for one, the server."""
        return None

    def sends_back(self, world: World) -> int | None:
        """Bytes of the row that each client gets back, as far as they are known before; None where rows decide."""
        return payload_bytes(world.sent.width, world.dtype) if self.returns_rows else 0

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
