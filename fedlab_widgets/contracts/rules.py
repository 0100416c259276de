"""What a contract is, and how values of all kinds are compared, cut and moved."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..part import Part
from ..types import Memory, Table


class ContractBroken(AssertionError):
    """A part does not keep a contract. `contract`, `part` and `seen` say which, whose and what was seen."""

    def __init__(self, contract: str, part: str, seen: str):
        super().__init__(f"{part} breaks the contract {contract!r}: {seen}")
        self.contract, self.part, self.seen = contract, part, seen


class Skip(Exception):
    """A contract has nothing to look at here; the text says why."""


class Broken(Exception):
    """What was seen, before it is known whose fault it is."""


@dataclass(frozen=True)
class Contract:
    """One promise. Called with a case: None when kept, a reason when skipped, ContractBroken when not kept."""

    name: str
    slots: tuple[str, ...]
    check: Callable[[Any], None]

    @property
    def promise(self) -> str:
        return " ".join(inspect.getdoc(self.check).split("\n\n")[0].split())

    def __call__(self, case) -> str | None:
        whose = type(case.part).__name__
        try:
            self.check(case)
        except Skip as reason:
            return str(reason)
        except Broken as seen:
            raise ContractBroken(self.name, whose, str(seen)) from None
        except Exception as error:   # whatever a part's own code raises
            text = " ".join(str(error).split())[:300]
            raise ContractBroken(self.name, whose, f"it raised {type(error).__name__}: {text}") from error
        return None


CONTRACTS: dict[str, Contract] = {}


def contract(name: str, *slots: str):
    """Enter a check as the contract `name`, for these slots (all when none are named)."""

    def enter(check):
        CONTRACTS[name] = Contract(name, slots, check)
        return check

    return enter


def need(good: bool, seen: str) -> None:
    if not good:
        raise Broken(seen)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and plain value inside a value, with where it is."""
    if isinstance(value, (Tensor, np.ndarray)):
        yield path, torch.as_tensor(value)
    elif isinstance(value, Table):
        yield from leaves({"ids": value.ids, "rows": value.touched, "fill": value.fill}, path)
    elif isinstance(value, nn.Module):
        yield from leaves(dict(value.named_parameters()) | dict(value.named_buffers()), path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{i}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from leaves({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, path)
    elif isinstance(value, (int, float, str, bytes, range)):
        yield path, value


def frozen(value: Any) -> list[tuple[str, Any]]:
    """The leaves as they are now: copies, to be held against later ones."""
    return [(path, v.detach().clone() if isinstance(v, Tensor) else v) for path, v in leaves(value)]


def difference(before: Any, after: Any, tolerance: float = 0.0) -> str | None:
    """Where two values differ, in words; None where they do not. The tolerance is in the largest size of each leaf."""
    a, b = list(leaves(before)), list(leaves(after))
    if [path for path, _ in a] != [path for path, _ in b]:
        return f"the one holds {[p for p, _ in a]} and the other {[p for p, _ in b]}"
    for (path, x), (_, y) in zip(a, b, strict=True):
        found = _apart(x, y, tolerance)
        if found:
            return f"{path or 'the result'} {found}"
    return None


def _apart(x: Any, y: Any, tolerance: float) -> str | None:
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        if type(x) is float and type(y) is float:
            if math.isnan(x) and math.isnan(y) or x == y or abs(x - y) <= tolerance * max(abs(x), 1.0):
                return None
            return f"is {x!r} and then {y!r}"
        return None if x == y else f"is {str(x):.60} and then {str(y):.60}"
    x, y = x.detach().cpu(), y.detach().cpu()
    if x.shape != y.shape or not tolerance and x.dtype != y.dtype:
        return f"has shape {list(x.shape)} ({x.dtype}) and then {list(y.shape)} ({y.dtype})"
    if x.numel() == 0 or torch.equal(x, y):
        return None
    x, y = x.double(), y.double()
    both = x.isnan() & y.isnan()
    off = torch.where(both, 0.0, (x - y).abs().nan_to_num(math.inf))
    off = torch.where(x == y, 0.0, off)   # equal infinities
    size = max(1.0, float(x.nan_to_num(0, 0, 0).abs().max()))
    return None if float(off.max()) <= tolerance * size else f"differs by up to {float(off.max()):.3g}"


def pick(value: Any, index: Tensor) -> Any:
    """The clients at these positions of a value that has a row per client; what is common stays."""
    if isinstance(value, Tensor):
        return value[index.to(value.device)]
    if isinstance(value, Memory):
        return Memory(pick(value.own, index), value.shared)
    return _through(value, lambda inner: pick(inner, index))


def moved(value: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The same value in another precision or place; whole numbers stay whole, and keys and ids stay on the CPU."""
    if isinstance(value, Tensor):
        return value.to(device, dtype) if value.is_floating_point() else value
    if isinstance(value, Table):
        table = Table(len(value.place), moved(value.fill, dtype, device))
        if len(value.ids):
            table.scatter(value.ids, moved(value.touched, dtype, device))
        return table
    return _through(value, lambda inner: moved(inner, dtype, device))


def _through(value: Any, inner: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: inner(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(inner(v) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, (type, Part)):
        return dataclasses.replace(value, **{f.name: inner(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return value
