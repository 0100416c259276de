"""Where the client half of a round runs. An executor is an argument of `run`, not of the experiment: what a run is does
not depend on where it happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .part import BadInput
from .types import Cohort, World, chunks_of

CACHE = 4 * 2**20   # bytes of client weights that are trained side by side: what stays in a core's cache


class Executor(ABC):
    """Runs `work` on pieces of a cohort and yields what comes back in the order of the cohort."""

    @abstractmethod
    def settled(self, world: World) -> Executor:
        """The same executor with every choice made, so that a resumed run can repeat it."""

    @abstractmethod
    def map(self, work: Callable[[Cohort], Any], cohort: Cohort) -> Iterator[Any]:
        """work(piece) for consecutive pieces of the cohort."""

    @abstractmethod
    def describe(self) -> dict:
        """The settings to record: {"executor": name, …}."""


@dataclass(frozen=True)
class Stacked(Executor):
    """Trains `chunk` clients at a time as one batch dimension; sized to the cache when None.

    The bits are the same for any chunk of two or more; alone (chunk 1), a convolution's may differ in the last place.
    Raises BadInput for a chunk below 1.
    """

    chunk: int | None = None

    def __post_init__(self):
        if self.chunk is not None and (not isinstance(self.chunk, int) or self.chunk < 1):
            raise BadInput(f"chunk = {self.chunk!r} is not allowed: give a whole number at least 1, or None")

    def settled(self, world):
        if self.chunk is not None:
            return self
        return Stacked(max(1, CACHE // (world.layout.total * world.dtype.itemsize)))

    def map(self, work, cohort):
        for piece in chunks_of(len(cohort), self.chunk):
            yield work(cohort[piece])

    def describe(self):
        return {"executor": "stacked", "chunk": self.chunk}


@dataclass(frozen=True)
class OneByOne(Executor):
    """Trains one client after another with the same code: the reference, and the fall-back."""

    def settled(self, world):
        return self

    def map(self, work, cohort):
        return Stacked(1).map(work, cohort)

    def describe(self):
        return {"executor": "one by one", "chunk": 1}


def as_described(settings: dict) -> Executor:
    """The executor that `describe` recorded."""
    return OneByOne() if settings.get("executor") == "one by one" else Stacked(settings.get("chunk"))
