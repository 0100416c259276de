"""Runs an experiment: a for-loop over the engine's events that writes them down, keeps snapshots and draws a bar."""

from __future__ import annotations

import platform
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import torch

from . import engine, room
from .events import Checkpointed, Evaluated, Event, Failed, Started, Stopped, Warned
from .executors import Executor, PlaceLost, as_described, fitting, short_of_memory
from .part import BadInput
from .plan import Plan, begin, prepare
from .progress import bar
from .run import Run
from .spec import Experiment
from .store import RunFolder
from .types import State, Stop, never
from .world import pick_device, world_of

KEEP_EVERY = 2.0     # seconds of work between two snapshots …
KEEP_SHARE = 0.1     # … or as seldom as keeps them under this share of the time


class Mismatch(RuntimeError):
    """A round computed again came out differently from what was recorded."""


def stream(experiment: Experiment, executor: Executor | None = None, device: str | None = None,
           stop: Stop = never) -> Iterator[Event]:
    """The events of a run, as they happen; nothing is written. Raises BadInput before the first one.

    >>> import fedlab_widgets as fl
    >>> quick = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1)
    >>> [type(event).__name__ for event in stream(quick)]
    ['Started', 'RoundEnded', 'Evaluated', 'Evaluated', 'Stopped']
    """
    plan, executor = ready(experiment, executor, device)
    return _events(plan, executor, stop)


def _events(plan: Plan, executor: Executor, stop: Stop) -> Iterator[Event]:
    with one_thread():
        for event, _ in engine.rounds(plan, begin(plan), executor, stop, settings(plan, executor)):
            yield event


def run(experiment: Experiment, out: str | Path | None = None, executor: Executor | None = None,
        device: str | None = None, seeds: int = 1, *, progress: bool | None = None, stop: Stop = never) -> Run:
    """Run an experiment into a new folder (`./runs/<time>-<name>` when `out` is not given) and return it.

    executor: `Stacked(…)` or `OneByOne(…)`; what suits the net when not given. device: "auto", "cpu", "cuda:0" ….
    seeds: how many runs, with seed, seed + 1, …; the others are `Run.replicates`, in folders of their own under `out`.
    progress: draw a bar; by default in a terminal or notebook. stop: polled between chunks and every few steps.
    Raises BadInput for wrong arguments and an existing folder, DiskProblem when it cannot be written. A run that fails
    (its model explodes, memory is short) is returned with `status == "failed"`, and a warning says why.
    """
    if not isinstance(seeds, int) or not 1 <= seeds <= 1000:
        raise BadInput(f"seeds = {seeds!r} is not allowed: give a whole number from 1 to 1000")
    plan, settled = ready(experiment, executor, device)
    base = folder_for(experiment, out)
    if seeds == 1:
        return _watched(RunFolder.create(base, experiment), plan, begin(plan), settled, stop, progress, known=[])
    RunFolder(base).must_be_new()
    each = [experiment.changed(seed=seed) for seed in range(experiment.seed, experiment.seed + seeds)]
    folders = [RunFolder.create(base / f"seed-{e.seed}", e) for e in each]   # all at once: a resume knows what is due
    for folder, e in zip(folders, each, strict=True):
        plan, settled = ready(e, executor, device)
        _watched(folder, plan, begin(plan), settled, stop, progress, known=[])
    return Run(folders[0].path, [Run(folder.path) for folder in folders[1:]])


def resume(path: str | Path, *, executor: Executor | None = None, here: bool = False, progress: bool | None = None,
           stop: Stop = never) -> Run:
    """Go on with a run from its last snapshot; one that has finished is returned as it is.

    Rounds recorded after the snapshot are computed again on the recorded path and held against the record, bit for bit.
    here: on this machine, where it ran on a cluster, which may have gone; the recorded chunk and path are kept, and so
    are the bits. executor: elsewhere, or otherwise.
    Raises BadInput for a damaged folder or a missing device, Mismatch when a round comes out differently.
    """
    folder = RunFolder.open(path)
    known = folder.events()
    if any(isinstance(e, Stopped) and e.reason == "finished" for e in known):
        return Run(folder.path)
    before = next((e.settings for e in known if isinstance(e, Started)), {})
    plan, executor = ready(folder.experiment(), executor or (as_described(before, here) if before else None),
                           before.get("device"))
    blank = begin(plan)
    state = folder.snapshot(blank)
    folder.drop_torn_line()
    return _watched(folder, plan, blank if state is None else state, executor, stop, progress, known)


def _watched(folder: RunFolder, plan: Plan, state: State, executor: Executor, stop: Stop, progress: bool | None,
             known: list[Event]) -> Run:
    """Run to the end with a bar; warnings and failures are said aloud."""
    events = record(folder, plan, state, executor, stop, known)
    with closing(events), bar(plan.experiment, state.round, progress) as draw:
        for event in events:
            draw(event)
            if isinstance(event, (Warned, Failed)):
                place = f"round {event.round}: " if isinstance(event, Warned) and event.round else ""
                warnings.warn(place + event.text, stacklevel=3)
    return Run(folder.path)


def record(folder: RunFolder, plan: Plan, state: State, executor: Executor, stop: Stop = never,
           known: list[Event] = ()) -> Iterator[Event]:
    """Every event of a run, once it is written; a snapshot now and then; a clear last word however it ends.

    `known` are events recorded before: what is computed again is held against them. Raises Mismatch, DiskProblem, and
    what a part of the user's own raises, after recording it.
    """
    recorded = {_name(e): e.fixed() for e in known}
    kept, cost, ended = time.monotonic(), 0.0, False
    steps = engine.rounds(plan, state, executor, stop, settings(plan, executor))
    try:
        with one_thread():
            for event, now in steps:
                ended = isinstance(event, (Stopped, Failed))
                if ended and now is not None:
                    folder.keep(now)   # before the last word: who reads "finished" finds the last state
                if _name(event) in recorded:
                    _same(event, recorded[_name(event)])
                else:
                    folder.record(event)
                state = now or state
                yield event
                if now is not None and not ended and time.monotonic() - kept >= max(KEEP_EVERY, cost / KEEP_SHARE):
                    start = time.monotonic()
                    folder.keep(now)
                    kept, cost = time.monotonic(), time.monotonic() - start
                    folder.record(Checkpointed(now.round, cost))
    # Whatever ends the loop, the snapshot stays as it is: a round torn in the middle may have written some client rows.
    except (KeyboardInterrupt, GeneratorExit):
        if not ended:
            folder.record(Stopped(state.round, "interrupted"))
        raise
    except (Mismatch, OSError):   # the record is right and the run wrong; or nothing more can be written
        raise
    except Exception as error:
        short, lost = short_of_memory(error), isinstance(error, PlaceLost)
        said = _short_of_memory(error) if short else str(error) if lost else f"{type(error).__name__}: {error}"
        failed = Failed(state.round, said)
        folder.record(failed)
        if not (short or lost):
            raise
        yield failed
    finally:
        steps.close()


def _short_of_memory(error: BaseException) -> str:
    return (f"out of memory ({str(error).splitlines()[0] if str(error) else 'the system gave none'}); use "
            "executor=fl.Stacked(chunk=1, workers=1), a smaller net or batch, or fewer clients a round")


def _name(event: Event) -> tuple:
    """What makes an event of a repeated round the same event."""
    if isinstance(event, Evaluated):
        return "Evaluated", event.round, tuple(sorted(event.metrics))
    if isinstance(event, Warned):
        return "Warned", event.round, event.text
    if isinstance(event, (Started, Stopped, Failed, Checkpointed)):
        return type(event).__name__, event.round, id(event)   # said anew each time
    return type(event).__name__, event.round


def _same(event: Event, recorded: dict) -> None:
    fixed = event.fixed()
    for field, value in recorded.items():
        if fixed.get(field) != value:
            raise Mismatch(f"round {event.round} came out differently from what was recorded: {field} is "
                           f"{str(fixed.get(field))[:80]} and was {str(value)[:80]}; other hardware, another version "
                           "of torch or another number of threads would explain it. What was recorded stays")


def ready(experiment: Experiment, executor: Executor | None, device: str | None) -> tuple[Plan, Executor]:
    """World, plan and executor, with every choice made."""
    if not isinstance(experiment, Experiment):
        raise BadInput(f"experiment = {experiment!r:.60} is no Experiment; use fl.Experiment() or "
                       "fl.recipe(\"fedavg\")")
    if executor is not None and not isinstance(executor, Executor):
        raise BadInput(f"executor = {executor!r:.60} is no executor; use fl.Stacked(), fl.OneByOne() or fl.Ray()")
    with one_thread():
        plan = prepare(experiment, world_of(experiment, pick_device(device)))
    executor = (executor or fitting(plan.world)[0]).settled(plan.world)
    room.for_run(plan, executor)
    return plan, executor


def settings(plan: Plan, executor: Executor) -> dict:
    """What a resume must repeat, and what a reader wants to know."""
    from . import __version__  # which imports this

    world, ledger = plan.world, plan.ledger
    privacy = {"delta": ledger.delta, "noise_multiplier": ledger.noise_multiplier} if ledger else {}
    return {**executor.describe(), "why": fitting(world)[1], "threads": 1, "device": str(world.device),
            **({"products": "tf32"} if world.device.type == "cuda" else {}),
            "fedlab_widgets": __version__, "torch": torch.__version__, "python": platform.python_version(),
            "machine": platform.machine(), **privacy}


_ONE, _BEFORE = threading.Lock(), []   # who wants these settings at the moment, and what they were before


def _settings_of_torch() -> tuple[int, bool]:
    return torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32


def _set_torch(threads: int, tf32: bool) -> None:
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = tf32


@contextmanager
def one_thread():
    """One intra-op thread: products and sums are then the same bits whatever else the machine does. And on a GPU TF32,
    which rounds the factors of float32 products to 10 bits of fraction; precision = "float64" is untouched.

    These are settings of the process: they are put back when the last of several users, in threads of their own, ends.
    """
    with _ONE:
        _BEFORE.append(_BEFORE[0] if _BEFORE else _settings_of_torch())
        _set_torch(1, True)
    try:
        yield
    finally:
        with _ONE:
            before = _BEFORE.pop()
            if not _BEFORE:
                _set_torch(*before)


def folder_for(experiment: Experiment, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out)
    name = getattr(experiment, "name", "run").replace(" ", "-")
    base = Path("runs") / f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{name}"
    path, count = base, 1
    while path.exists():   # two runs in one second
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    return path
