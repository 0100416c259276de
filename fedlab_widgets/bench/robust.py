"""How long robust rules take, and how much room they need, beside `byzfl`: 100 rows of 200,000 columns, as in a round.

`python -m fedlab_widgets.bench.robust` prints the table. With `byzfl` 0.0.11 installed (it is no dependency of ours;
`pip install --no-deps byzfl` is enough) its times stand beside ours, on the same rows and threads: of its back-ends,
NumPy and torch, the faster one. Ours begin with the blocks of rows that a round hands over, and so with one more copy.
byzfl's geometric median is three steps from 0, ours runs until it moves no more; its Krum takes one neighbour more.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from ..aggregate import (
    Bucketing,
    Bulyan,
    CentredClipping,
    FLTrust,
    FoolsGold,
    GeometricMedian,
    Krum,
    MajoritySign,
    Mean,
    Median,
    NearestNeighbourMixing,
    NormClipping,
    TrimmedMean,
)
from ..folding import blocks
from ..seeds import keys
from ..session import one_thread
from ..slots import Aggregate
from ..types import Cohort, Memory
from .measure import _peak

ROWS, COLUMNS, LIARS = 100, 200_000, 20

# Ours, and a byzfl rule: (module, class, fields), then what follows a pre-aggregation.
RULES: dict[str, tuple[Aggregate, tuple | None]] = {
    "mean": (Mean(weights="uniform"), ("aggregators", "Average", {})),
    "median": (Median(), ("aggregators", "Median", {})),
    "trimmed mean": (TrimmedMean(f=LIARS), ("aggregators", "TrMean", {"f": LIARS})),
    "krum": (Krum(f=LIARS), ("aggregators", "Krum", {"f": LIARS})),
    "multi-krum": (Krum(f=LIARS, select=ROWS - LIARS), ("aggregators", "MultiKrum", {"f": LIARS})),
    "geometric median": (GeometricMedian(), ("aggregators", "GeometricMedian", {})),
    "bulyan": (Bulyan(f=LIARS), None),
    "centred clipping": (CentredClipping(tau=100.0), ("aggregators", "CenteredClipping", {"tau": 100.0})),
    "norm clipping, mean": (NormClipping(bound=2.0), ("preaggregators", "Clipping", {"c": 2.0}, "Average")),
    "bucketing, mean": (Bucketing(then=Mean()), ("preaggregators", "Bucketing", {"s": 2}, "Average")),
    "neighbour mixing, mean": (NearestNeighbourMixing(f=LIARS, then=Mean()),
                               ("preaggregators", "NNM", {"f": LIARS}, "Average")),
    "foolsgold": (FoolsGold(), None),
    "fltrust": (FLTrust(), None),
    "majority sign": (MajoritySign(), None),
}


def byzfl() -> bool:
    """Whether `byzfl` is installed; makes its rules importable without what only its benchmark needs (seaborn, …)."""
    found = "byzfl" in sys.modules or importlib.util.find_spec("byzfl")
    if found and "byzfl" not in sys.modules:
        package = ModuleType("byzfl")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["byzfl"] = package
    return bool(found)


def theirs(module: str, name: str, fields: dict, then: str | None = None) -> Callable:
    """A rule of byzfl as a function of rows. Raises ImportError without byzfl."""
    byzfl()
    first = getattr(importlib.import_module(f"byzfl.aggregators.{module}"), name)(**fields)
    if then is None:
        return first
    second = getattr(importlib.import_module("byzfl.aggregators.aggregators"), then)()
    return lambda rows: second(first(rows))


class _World:
    """As much of a world as a rule asks for."""

    def __init__(self, clients: int):
        self.clients, self.dtype, self.device = clients, torch.float32, torch.device("cpu")

    def keys(self, purpose, round, ids):
        return keys(0, purpose, round, ids)


def ours(rule: Aggregate, rows: Tensor) -> Tensor:
    """The combined row [D] of rows [C, D] in a first round: folded in blocks, as the engine does it."""
    ids = torch.arange(len(rows))
    ones = torch.ones(len(rows), dtype=torch.float64)
    total = None
    for at, block in enumerate(blocks(iter([rows]))):
        total = rule.fold(total, block, ones[16 * at:16 * at + len(block)])
    own = {"sent": torch.zeros_like(rows)} if isinstance(rule, FoolsGold) else {}
    shared = {"last": torch.zeros_like(rows[0])} if isinstance(rule, CentredClipping) else {}
    cohort = Cohort(1, ids, ids, ones, ids * 0, len(ids), 1.0)
    return rule.combine(_World(len(rows)), total, ones, float(len(rows)), cohort, Memory(own, shared))[0]


def made(rows: int = ROWS, columns: int = COLUMNS) -> Tensor:
    """Rows [C, D] of normal numbers around a half, a fifth of them turned round."""
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)).add_(0.5)
    x[-rows // 5:] *= -1
    return x


def seconds(repeats: int = 3, names: tuple[str, ...] = tuple(RULES)) -> Iterator[dict]:
    """{rule, ours, byzfl (or None), back_end, ratio}: the least seconds of a few calls, on one thread as in a run."""
    x = made()
    with one_thread():
        for name in names:
            rule, other = RULES[name]
            row = {"rule": name, "ours": _least(partial(ours, rule), repeats, lambda: x), "byzfl": None}
            if other is not None and byzfl():
                took = {what: _least(theirs(*other), repeats, given) for what, given in   # some write on what they get
                        (("numpy", lambda: x.clone().numpy()), ("torch", x.clone))}
                row["back_end"] = min(took, key=took.get)
                row["byzfl"] = took[row["back_end"]]
                row["ratio"] = row["ours"] / row["byzfl"]
            yield row


def _least(work: Callable, repeats: int, given: Callable) -> float:
    took = []
    for _ in range(repeats):
        rows = given()
        gc.collect()
        start = time.perf_counter()
        work(rows)
        took.append(time.perf_counter() - start)
    return min(took)


def room(name: str) -> float:
    """What a rule needs beside the rows [C, D] themselves, in sizes of them, measured in a process of its own."""
    code = (f"from fedlab_widgets.bench import robust as r; r._room({name!r})")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return float(out)


def _room(name: str) -> None:
    with one_thread():
        ours(RULES[name][0], made(ROWS, 1000))   # what is loaded once
        x = made()
        before = _peak()
        ours(RULES[name][0], x)
    print((_peak() - before) * 2**20 / (x.numel() * x.element_size()))


def lines(repeats: int = 3) -> Iterator[str]:
    """The table, a line at a time, as it comes in."""
    yield f"{ROWS} rows of {COLUMNS:,} columns, f = {LIARS}, one thread"
    yield f"{'rule':28} {'ours':>9} {'byzfl':>9} {'ratio':>6}  room beside the rows"
    ratios = []
    for row in seconds(repeats):
        beside = f"{1000 * row['byzfl']:6.0f} ms {row['ratio']:6.2f}" if row["byzfl"] else f"{'none':>9} {'':6}"
        ratios += [row["ratio"]] if row["byzfl"] else []
        yield f"{row['rule']:28} {1000 * row['ours']:6.0f} ms {beside}  {room(row['rule']):.1f} times as much"
    if ratios:
        yield f"median ratio {statistics.median(ratios):.2f}, largest {max(ratios):.2f}; below 1 ours is faster"


if __name__ == "__main__":
    for line in lines():
        print(line, flush=True)
