"""The slots of what is decided once, before the first round: the rows, the net, and who holds what (see `slots.py`)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from .part import Part
from .shards import Data


class Task(Part):
    """What is learned: the rows and the loss."""

    slot = "task"
    apart: ClassVar[bool] = False   # whether nothing learns it but parts that were made for it

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

    def warm(self, module: nn.Module, data: Data) -> None:
        """What is done to its weights, in place, before anybody trains; data as the task loads it, torch's seed is
        set."""


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

    def seen(self, data: Data, owner: Tensor, key: Tensor) -> Data:
        """The rows as their holders have them: the same, unless features differ between clients."""
        return data

    def holdings(self, data: Data) -> int:
        """K, how many holdings of rows there are: one a client, or fewer, and client i has that of i mod K."""
        return self.count(data)
