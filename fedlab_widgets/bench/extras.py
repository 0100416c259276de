"""What is paid on top of plain averaging: evaluation, SCAFFOLD, FedProx, clipping with noise, TopK; rounds in turn."""

from __future__ import annotations

import statistics
import time

from .. import engine
from ..aggregate import Mean
from ..correct import ControlVariate, Proximal
from ..encode import TopK
from ..evaluate.measure import measure, readings
from ..executors import Executor
from ..local import SGD
from ..plan import begin
from ..privatise import Gaussian
from ..session import one_thread, ready
from ..spec import Evaluation, Experiment
from .works import work

PANEL = 2000   # held-out rows that an evaluation reads at most


def variants(name: str, rounds: int) -> dict[str, Experiment]:
    """FedAvg on one of the works, and the same with one thing more each."""
    plain = work(name, rounds)
    fields = {field: getattr(plain, field) for field in Experiment.model_fields}
    held_out = plain.task.rows // 4
    changes = {
        "fedavg": {},
        "evaluation": {"evaluate": Evaluation(every=1, clients=max(1, PANEL // held_out),
                                              readings=plain.evaluate.readings)},
        "scaffold": {"aggregate": Mean(weights="uniform"), "local": _corrected(plain, ControlVariate())},
        "fedprox": {"local": _corrected(plain, Proximal(mu=0.1))},
        "dp clipping": {"privatise": Gaussian(clip=1.0, noise_multiplier=0.5),
                        "aggregate": Mean(weights="uniform", denominator="expected")},
        "top k": {"encode": TopK(fraction=0.1)}}
    return {what: Experiment(**(fields | change)) for what, change in changes.items()}


def _corrected(e: Experiment, *correct) -> SGD:
    return SGD(lr=e.local.lr, batch=e.local.batch, correct=correct)


def extras(name: str, repeats: int = 5, executor: Executor | None = None,
           device: str | None = None) -> dict[str, float]:
    """Median time of a round over that of FedAvg, less one: 0.1 is ten per cent more. Raises BadInput for a name."""
    runs, took = {}, {}
    for what, e in variants(name, 2 * repeats + 2).items():
        plan, settled = ready(e, executor, device)
        runs[what], took[what] = [plan, settled, begin(plan)], []
    with one_thread():
        for i in range(repeats + 1):
            for what, run in runs.items():
                plan, settled, state = run
                start = time.perf_counter()
                run[2], _ = engine.advance(plan, state, settled, lambda: False)
                if what == "evaluation":
                    readings(plan.experiment, measure(plan, run[2]), run[2].round)
                took[what] += [time.perf_counter() - start] if i else []
    middle = {what: statistics.median(times) for what, times in took.items()}
    return {what: ms / middle["fedavg"] - 1 for what, ms in middle.items() if what != "fedavg"}
