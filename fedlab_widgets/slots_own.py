"""The slot of what each client uses in the end, where that is not the model of all (see `slots.py`)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from .part import Part
from .types import Cohort, Memory, Stop, World

if TYPE_CHECKING:
    from .slots import Local


class Personalise(Part):
    """What each client uses: a model of its own beside the one that is trained together. Nothing of it is sent.

    Figures of clients are then read with their own models, `accuracy` is the mean over them.
    """

    slot = "personalise"

    def init(self, world: World) -> Memory:
        """What clients begin with: `own` rows about each of them."""
        return Memory()

    def learn(self, world: World, local: Local, start: Tensor, end: Tensor, cohort: Cohort, mine: Memory,
              keys: Tensor, stop: Stop) -> dict[str, Tensor]:
        """Own rows [C, ...] of the clients after local training took them from start to end [C, P]. At the client."""
        return mine.own

    @abstractmethod
    def models(self, world: World, local: Local, rows: Tensor, cohort: Cohort, mine: Memory, keys: Tensor) -> Tensor:
        """The weights [C, P] that the cohort's clients use, from those that a round would start them from."""
