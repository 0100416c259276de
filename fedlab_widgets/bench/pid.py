"""How long the disparity decomposition takes: many tables, a wide one, its share of a round, and `dit` beside it.

`python -m fedlab_widgets.bench.pid` prints the figures; with the path of a file of reference cases (`cases`, each with
`pmf` [Z, Yhat, S] and its unique disparity) and `dit` installed, `dit`'s too: errors above WRONG bits, and times. `dit`
is no dependency of ours: install it into an environment of its own and put that on PYTHONPATH.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .. import engine
from ..evaluate import Accuracy, Decomposition, Gaps
from ..evaluate.measure import measure
from ..evaluate.pid import atoms_binary, chance, decompose
from ..evaluate.pid_gradient import gradients
from ..plan import begin
from ..session import one_thread, ready, run
from ..spec import Experiment

WRONG = 1e-3   # bits
UNIQUE = "uni_Z_Yhat_given_not_S__unique_disparity"   # its name in the file of cases


def closed_form(repeats: int = 7) -> dict[str, float]:
    """Median milliseconds: 10,000 tables 2 x 2 x 20 at once, a table 2 x 2 x 100 in several ways."""
    g = np.random.default_rng(0)
    many = g.dirichlet(np.ones(80), 10_000).reshape(-1, 2, 2, 20)
    wide = g.poisson(20, (2, 2, 100))
    p = wide / wide.sum()
    works = {"10,000 tables 2x2x20, parts": lambda: atoms_binary(many),
             "2x2x100, parts": lambda: atoms_binary(p[None]),
             "2x2x100, decompose, probabilities": lambda: decompose(p),
             "2x2x100, decompose, counts": lambda: decompose(wide),
             "2x2x100, decompose, counts, corrected": lambda: decompose(wide).corrected,
             "2x2x100, gradients": lambda: gradients(p[None]),
             "2x2x100, chance, 3 x 200 shuffled tables": lambda: chance(wide)}
    with one_thread():
        return {what: 1000 * _median(work, repeats) for what, work in works.items()}


def share(e: Experiment | None = None, repeats: int = 5) -> dict[str, float]:
    """What the decomposition costs in an experiment (default: the default one), in median milliseconds a round.

    `with_it` and `without`: whole runs, recorded, in turn; `share` is the median of their ratios less 1. `read` is the
    decomposition itself, `later` its bands, which a run draws on another thread while it trains on; `work` is both over
    `with_it`: what the share would be if nothing ran beside.
    """
    e = e or Experiment()
    plain = e.changed(evaluate=e.evaluate.model_copy(update={"readings": (Accuracy(), Gaps())}))
    full = e.changed(evaluate=e.evaluate.model_copy(update={"readings": (Accuracy(), Gaps(), Decomposition())}))
    _run(full)
    pairs = [(_run(full), _run(plain)) for _ in range(repeats)]
    plan, settled = ready(full, None, None)
    state, _ = engine.advance(plan, begin(plan), settled, lambda: False)
    tables, part = measure(plan, state), Decomposition()
    with one_thread():
        read, later = (1000 * _median(work, 4 * repeats) for work in (partial(part.read, tables),
                                                                      partial(part.later, tables, 1)))
    with_it, without = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    return {"with_it": with_it, "without": without, "share": statistics.median(a / b for a, b in pairs) - 1,
            "read": read, "later": later, "work": (read + later) / with_it}


def _run(e: Experiment) -> float:
    """Seconds a round of a run into a folder that is thrown away."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(e, Path(folder) / "run")
        return (time.perf_counter() - start) / e.rounds


def against_dit(cases: list[dict], method: str = "auto", limit: float = 60.0) -> list[dict]:
    """`dit` on cases: {name, shape, bits, error, seconds, wrong}; error None where it raised or ran past `limit` s.

    method: "auto" is what `PID_BROJA(...)` does unasked, else "cone", "admui", "scipy". Each case has a process of its
    own, which is ended when its time is over. "auto" starts at random: how many it gets wrong differs from run to run.
    Raises ImportError without dit.
    """
    import dit  # noqa: F401  fail here, not in the child

    fork, found = multiprocessing.get_context("spawn"), []
    for case in cases:
        answer = fork.Queue()
        child = fork.Process(target=_dit, args=(case["pmf"], method, answer), daemon=True)
        child.start()
        try:
            bits, seconds = answer.get(timeout=limit)
        except queue.Empty:
            bits, seconds = None, limit
        child.kill()
        child.join()
        error = None if bits is None else abs(bits - case["values_bits"][UNIQUE])
        found.append({"name": case["name"], "shape": np.shape(case["pmf"]), "bits": bits, "error": error,
                      "seconds": seconds, "wrong": error is not None and error > WRONG})
    return found


def _dit(pmf, method, answer):
    import warnings

    warnings.simplefilter("ignore")
    import dit
    from dit.algorithms.broja_method import broja_solve_bivariate

    pmf = np.array(pmf)
    cells = np.argwhere(pmf > 0)
    outcomes = [tuple(f"{i:03d}" for i in (s, y, z)) for z, y, s in cells]
    table = dit.Distribution(outcomes, pmf[tuple(cells.T)].tolist())
    start = time.perf_counter()
    try:
        unique, _ = broja_solve_bivariate(table, [(0,), (1,)], (2,), method=method)
        answer.put((float(unique[(1,)]), time.perf_counter() - start))
    except Exception:   # counted, not explained: what dit raises differs by version and solver
        answer.put((None, time.perf_counter() - start))


def _median(work, repeats: int) -> float:
    """Median seconds of so many calls, the first one of several left out."""
    took = []
    for i in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        work()
        took += [time.perf_counter() - start] if i or repeats == 1 else []
    return statistics.median(took)


def lines(cases: list[dict] | None = None, repeats: int = 7):
    """The figures as text, a line at a time, as they come in."""
    for what, ms in closed_form(repeats).items():
        yield f"{what}: {ms:.3g} ms"
    found = share()
    yield (f"default experiment: {found['with_it']:.3g} ms a round with the decomposition and its bands, "
           f"{found['without']:.3g} without: {found['share']:+.1%}")
    yield f"    alone {found['read']:.2g} ms, bands {found['later']:.2g} ms: {found['work']:.1%} of a round's time"
    for method in ("auto", "cone") if cases else ():
        told = against_dit(cases, method)
        wrong, none = sum(one["wrong"] for one in told), sum(one["error"] is None for one in told)
        slow, middle = max(one["seconds"] for one in told), statistics.median(one["seconds"] for one in told)
        yield (f"dit, {method}: {wrong} of {len(told)} cases off by more than {WRONG:g} bit, {none} without an answer; "
               f"{1000 * middle:.3g} ms a case, {slow:.3g} s at most")
        yield from (f"    {one['name']}: off by {one['error']:.2g} bit" for one in told if one["wrong"])


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())["cases"] if len(sys.argv) > 1 else None
    for line in lines(given):
        print(line, flush=True)
