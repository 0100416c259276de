"""The flat row: where each tensor of a net lies in P columns, and which of those columns travel."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LINE = 16  # elements: 64 bytes of float32, so that every tensor starts on a cache line


@dataclass(frozen=True)
class Columns:
    """A set of columns of the flat row, as ascending, disjoint ranges. Padding is never among them."""

    ranges: tuple[tuple[int, int], ...]
    total: int

    @property
    def width(self) -> int:
        return sum(stop - start for start, stop in self.ranges)

    def take(self, rows: Tensor) -> Tensor:
        """rows [..., P] -> the chosen columns [..., width]; a view where they stand side by side."""
        if len(self.ranges) == 1:
            return rows[..., slice(*self.ranges[0])]
        return torch.cat([rows[..., a:b] for a, b in self.ranges] or [rows[..., :0]], dim=-1)

    def put(self, rows: Tensor, into: Tensor | None = None) -> Tensor:
        """rows [..., width] -> [..., P]: zeros elsewhere, or what `into` [P] or [..., P] holds there."""
        shape = (*rows.shape[:-1], self.total)
        flat = rows.new_zeros(shape) if into is None else into.expand(shape).clone()
        at = 0
        for a, b in self.ranges:
            flat[..., a:b] = rows[..., at:at + b - a]
            at += b - a
        return flat


@dataclass(frozen=True)
class Layout:
    """Names, shapes and offsets of a net's tensors in the flat row [P]; each starts at a 64-byte boundary.

    Tied weights appear once, frozen ones (requires_grad = False) not at all: they stay as built.
    P counts padding; `real.width` is the number of parameters and is what is priced.
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    offsets: tuple[int, ...]
    total: int

    @classmethod
    def of(cls, net: nn.Module) -> Layout:
        names, shapes, offsets, at = [], [], [], 0
        for name, tensor in _trained(net):
            names.append(name)
            shapes.append(tensor.shape)
            offsets.append(at)
            at += math.ceil(max(tensor.numel(), 1) / LINE) * LINE
        return cls(tuple(names), tuple(shapes), tuple(offsets), at)

    @property
    def real(self) -> Columns:
        return self.columns(("*",))

    def columns(self, patterns: tuple[str, ...], outside: bool = False) -> Columns:
        """The columns of the tensors whose names match (`"4.*"`, `"head*"`, `"*"`), or of all the others."""
        ranges: list[tuple[int, int]] = []
        for name, shape, at in zip(self.names, self.shapes, self.offsets, strict=True):
            if any(fnmatch.fnmatchcase(name, p) for p in patterns) == outside:
                continue
            if ranges and ranges[-1][1] == at:  # tensors without padding between them are one range
                ranges[-1] = (ranges[-1][0], at + shape.numel())
            else:
                ranges.append((at, at + shape.numel()))
        return Columns(tuple(ranges), self.total)

    def shapes_in(self, columns: Columns) -> tuple[tuple[int, ...], ...]:
        """The shapes of the tensors that lie in some columns, in their order."""
        return tuple(tuple(shape) for shape, at in zip(self.shapes, self.offsets, strict=True)
                     if any(a <= at < b for a, b in columns.ranges))

    def flatten(self, net: nn.Module, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The net's weights as one row [P]; padding is zero and stays so."""
        row = torch.zeros(self.total, dtype=dtype, device=device)
        for (_, tensor), at in zip(_trained(net), self.offsets, strict=True):
            row[at:at + tensor.numel()] = tensor.detach().reshape(-1).to(row)
        return row

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """rows [..., P] as the net's named tensors [..., *shape]; nothing is copied."""
        return {name: rows[..., at:at + shape.numel()].view(*rows.shape[:-1], *shape)
                for name, shape, at in zip(self.names, self.shapes, self.offsets, strict=True)}

    def rows(self, views: dict[str, Tensor]) -> Tensor:
        """The inverse of `views` for [C, *shape], with zeros for padding."""
        first = views[self.names[0]]
        rows = first.new_zeros(len(first), self.total)
        for into, tensor in zip(self.views(rows).values(), views.values(), strict=True):
            into.copy_(tensor)
        return rows


def _trained(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, tensor) for name, tensor in net.named_parameters() if tensor.requires_grad]
