"""Contracts on the hooks of a part, called on made-up clients."""

from __future__ import annotations

import torch
from torch import Tensor

from ..world import _world
from .calls import Call, Setting, calls
from .declared import variants
from .rules import Broken, Skip, contract, difference, frozen, leaves, need, pick
from .toy import Case, one_thread

TOLERANCE = 1e-12   # of float64 results that may be summed in another order
LOOSE = 2e-3        # between float32 and float64


def _cases(case: Case) -> list[Case]:
    """The part, and each of its other choices where the toy world can hold it."""
    return [case, *(Case(v) for v in variants(case.part) if v.slot != "task")]


@contract("untouched")
def untouched(case):
    """Inputs, the world and the class are bit for bit as before after every hook."""
    for c in _cases(case):
        s = Setting(c)
        kept = _of_class(type(case.part))
        for call in calls(s):
            before = frozen((call.each, call.common, s.state, s.world))
            call()
            now = frozen((call.each, call.common, s.state, s.world))
            changed = [path for (path, a), (_, b) in zip(before, now, strict=True) if difference(a, b)]
            if changed:
                _world.cache_clear()   # it may have spoilt the toy world for whoever comes next
            need(not changed, f"{call.name} changes its input {_name(changed)} in place; return new tensors")
        same = _of_class(type(case.part)) == kept
        need(same, "it keeps something on its class; what must be remembered goes into Memory")


def _name(paths: list[str]) -> str:
    return paths[0].split("]", 1)[-1].lstrip(".") if paths else ""


def _of_class(cls) -> dict[str, str]:
    """The plain attributes of a class and their content."""
    hidden, code = ("_abc_", "__", "model_", "_pydantic"), (classmethod, property, staticmethod)
    return {name: repr(v) for name, v in vars(cls).items()
            if not name.startswith(hidden) and not callable(v) and not isinstance(v, code)}


@contract("repeat")
def repeat(case):
    """Same inputs, same outputs: whatever torch drew before, and on fresh copies of everything."""
    for c in _cases(case):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            first = [(call.name, frozen(call()), frozen(call())) for call in calls(Setting(c))]
            torch.manual_seed(2)
            second = [frozen(call()) for call in calls(Setting(c))]
        for (name, a, b), later in zip(first, second, strict=True):
            found = difference(a, b) or difference(a, later)
            need(not found, f"{name} gives another result for the same inputs: {found}; draw from keys, with seeds.py")


@contract("precision")
def precision(case):
    """In float32 and float64, the results come in the run's precision and agree to 0.2 % of the largest number."""
    for c in _cases(case):
        for a, b in zip(calls(Setting(c)), calls(Setting(c, "float64")), strict=True):
            one, two = a(), b()
            _typed(a, one, torch.float32)
            _typed(b, two, torch.float64)
            found = difference(one, two, LOOSE)
            need(not found, f"{a.name} in float32 and float64: {found}")


@contract("permuted", "task", "net", "distribute", "fairness", "local", "personalise", "correct", "encode", "attack",
          "privatise", "aggregate", "evaluate")
def permuted(case):
    """Clients in another order: the same rows in that order, or the same result, within 1e-12 in float64."""
    for c in _cases(case):
        for call in _with_clients(Setting(c, "float64")):
            count = _count(call)
            for order in (torch.arange(count).roll(1), torch.arange(count).flip(0)):
                expected, got = call(), call(pick(call.each, order))
                if call.out in ("rows", "joint"):
                    expected = _rows_of(expected, order, count)
                    got = _rows_of(got, torch.arange(count), count)
                found = difference(expected, got, TOLERANCE)
                need(not found, f"{call.name} depends on the order of the clients: {found}")


@contract("pieces", "task", "net", "distribute", "fairness", "local", "personalise", "correct", "encode", "attack",
          "privatise")
def pieces(case):
    """A client's result is the same alone, in pairs and among all: bit for bit in pieces, within 1e-12 alone."""
    with one_thread():
        for c in _cases(case):
            for call in _with_clients(Setting(c, "float64")):
                if call.out != "rows":
                    continue
                count, whole = _count(call), call()
                for size in range(1, count):
                    for at in range(0, count - size + 1, size):
                        index = torch.arange(at, at + size)
                        found = difference(_rows_of(whole, index, count),
                                           _rows_of(call(pick(call.each, index)), torch.arange(size), size),
                                           TOLERANCE)
                        need(not found, f"{call.name} depends on how many clients are together: {found} "
                                        f"between {size} and {count} of them")


def _typed(call: Call, out, dtype) -> None:
    for path, v in leaves(out) if call.typed else ():
        if isinstance(v, Tensor) and v.is_floating_point():
            need(v.dtype == dtype, f"{call.name} gives {path or 'its result'} as {v.dtype} in a run of {dtype}")


@contract("cuda")
def cuda(case):
    """On a GPU every hook gives what it gives on the CPU, within 1e-12 in float64."""
    if not torch.cuda.is_available():
        raise Skip("there is no CUDA GPU here")
    for c in _cases(case):
        here, there = Setting(c, "float64"), Setting(c, "float64", "cuda:0")
        for a, b in zip(calls(here), calls(there), strict=True):
            found = difference(a(), b(), TOLERANCE)
            need(not found, f"{a.name} on CPU and CUDA: {found}")


def _with_clients(s: Setting) -> list[Call]:
    return [call for call in calls(s) if call.each]


def _count(call: Call) -> int:
    return len(next(v for _, v in leaves(call.each) if isinstance(v, Tensor)))


def _rows_of(out, index: Tensor, count: int):
    """The rows of some clients of a result; parts of it that have no row per client are the same for all."""
    short = [p for p, v in leaves(out) if isinstance(v, Tensor) and (v.dim() == 0 or len(v) != count)]
    short = [p for p in short if "shared" not in p]
    if short:
        raise Broken(f"{short[0] or 'its result'} has no row for each of {count} clients")
    return pick(out, index)
