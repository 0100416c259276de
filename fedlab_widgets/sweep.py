"""The same experiment with some fields changed, every choice with every other, and a few seeds of each: a table.

A run a folder, so that a sweep that was cut off goes on where it was, and a wider one takes over what is there.
"""

from __future__ import annotations

import itertools
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .events import Started
from .executors import Executor
from .part import BadInput, Part
from .run import Run
from .session import folder_for, ready, resume, run
from .spec import Experiment

if TYPE_CHECKING:
    import pandas as pd

    from .export import Figure

MOST = 2000   # runs in a sweep
KEEP = ("finished", "failed")   # runs that are not run again
APART = ("time", "trips", "bytes_up", "bytes_down", "epsilon", "update_norm")   # of a last round, of no use in a table


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a sweep found: `data`, a row a run, with a column for each axis, `seed`, `status`, and the last readings
    (those of a failed run are NaN); `path` the folder of its runs."""

    experiment: Experiment
    axes: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    data: pd.DataFrame
    path: Path

    def __repr__(self) -> str:
        shape = " x ".join(f"{len(names)} {axis}" for axis, names in self.axes.items())
        return f"<Sweep of {shape} x {len(self.seeds)} seeds in {self.path}>"

    def table(self, read: str = "accuracy") -> pd.DataFrame:
        """Mean, standard deviation (with n - 1; NaN of one run) and n of a reading over seeds, a row a cell; failed
        runs are counted in `failed` and in nothing else. Raises BadInput for a reading that is not in `data`."""
        from .figure_attacks import cells

        return cells(self.data, tuple(self.axes), read)

    def figure(self, read: str = "accuracy", good: str = "high") -> Figure:
        """The sweep as a heat map, the first axis down and the second across; see `figure_attacks.heat_map`.

        good: whether "high" or "low" values are good. Raises BadInput unless there are two axes, and for a reading that
        is not in `data`.
        """
        from .figure_attacks import heat_map

        if len(self.axes) != 2:
            raise BadInput(f"axes = {', '.join(self.axes)}: a heat map has two; use .table() or .data")
        return heat_map(self.data, *self.axes, read, good, self._told(read))

    def _told(self, read: str) -> str:
        """What stands under the picture: what was read, on how many rows, after how many rounds."""
        start = next(e for e in Run(self.path / self.data.folder[0]).events if isinstance(e, Started))
        rows = f" on {start.test_rows:,} test rows" if read in ("accuracy", "loss") else ""
        return f"{read.replace('_', ' ')}{rows} after {self.experiment.rounds:,} rounds"


def sweep(experiment: Experiment, axes: Mapping[str, Any], seeds: int = 3, out: str | Path | None = None,
          executor: Executor | None = None, device: str | None = None, *,
          read: Callable[[Run], Mapping[str, float]] | None = None, progress: bool | None = None) -> Sweep:
    """Run an experiment with every combination of changes, each with seeds seed, seed + 1, …

    axes: for each field to change (`"attack"`, `"aggregate"`, `"local.lr"`) its values by name, or values alone, which
    then go by the name of the part. out: a folder of runs; runs that are there already are not run again (one that was
    cut off goes on), so that the same call resumes a sweep. read: more figures of a finished run, as columns.
    progress: draw a bar with the time left; by default in a terminal or notebook. Warnings of single runs stay in their
    records; `data` counts them in `notes`.
    Raises BadInput before the first run for wrong arguments, for a combination that cannot work, and for a folder that
    holds another experiment.

    >>> import fedlab_widgets as fl, tempfile
    >>> quick = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=4), rounds=1)
    >>> found = sweep(quick, {"attack": {"none": None, "sign flip": fl.SignFlip(liars=(0,))},
    ...                       "aggregate": [fl.Mean(), fl.Median()]}, seeds=2, out=tempfile.mkdtemp() + "/sweep")
    >>> found.axes["aggregate"], len(found.data), set(found.data.status)
    (('mean', 'median'), 8, {'finished'})
    """
    import pandas as pd

    if not isinstance(experiment, Experiment):
        raise BadInput(f"experiment = {experiment!r:.60} is no Experiment; use fl.Experiment() or "
                       "fl.recipe(\"fedavg\")")
    if not isinstance(seeds, int) or not 1 <= seeds <= 1000:
        raise BadInput(f"seeds = {seeds!r} is not allowed: give a whole number from 1 to 1000")
    axes = {path: _named(path, values) for path, values in axes.items()}
    cells = _cells(experiment, axes)
    if len(cells) * seeds > MOST:
        raise BadInput(f"axes and seeds make {len(cells) * seeds:,} runs; {MOST:,} are the most. Give fewer values")
    for names, e in cells.items():
        try:
            ready(e, executor, device)
        except BadInput as error:
            raise BadInput(f"{' with '.join(names)}: {error}") from None
    base = folder_for(experiment, out)
    each = tuple(range(experiment.seed, experiment.seed + seeds))
    rows = []
    with _bar(experiment.name, len(cells) * seeds, progress) as done, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for seed, (names, e) in itertools.product(each, cells.items()):   # the data are made once a seed
            folder = Path(*map(_slug, names)) / f"seed-{seed}"
            its = _run(e.changed(seed=seed), base / folder, executor, device)
            rows.append({**dict(zip(axes, names, strict=True)), "seed": seed, **_last(its),
                         **(read(its) if read and its.status == "finished" else {}), "folder": str(folder)})
            done(f"{' with '.join(names)}, seed {seed}")
    data = pd.DataFrame(rows)
    order = [data[axis].map(names.index) for axis, names in ((a, list(v)) for a, v in axes.items())]
    data = data.iloc[sorted(range(len(data)), key=lambda i: (*(o[i] for o in order), data.seed[i]))]
    return Sweep(experiment, {axis: tuple(values) for axis, values in axes.items()}, each,
                 data.reset_index(drop=True), base)


def _named(path: str, values: Any) -> dict[str, Any]:
    """The values of an axis by name."""
    if isinstance(values, Mapping):
        found = {str(name): value for name, value in values.items()}
    else:
        values = list(values)
        found = {_name_of(value): value for value in values}
        if len(found) < len(values):
            raise BadInput(f"axes: two values of {path} go by one name; give names and values, as in "
                           f"{{{path!r}: {{\"first\": …, \"second\": …}}}}")
    if not found:
        raise BadInput(f"axes: {path} has no values; give at least one")
    if len({_slug(name).lower() for name in found}) < len(found):
        raise BadInput(f"axes: names of {path} differ only in signs that cannot stand in the name of a folder; "
                       "change one")
    return found


def _name_of(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Part) or isinstance(value, Part):
        return value.name.replace("_", " ")
    return "none" if value is None else str(value)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+=-]+", "-", name).strip("-.") or "empty"


def _cells(experiment: Experiment, axes: dict[str, dict]) -> dict[tuple[str, ...], Experiment]:
    """Every combination: its names, and its experiment."""
    if not axes:
        raise BadInput("axes is empty; name a field and its values, as in {\"aggregate\": [fl.Mean(), fl.Median()]}")
    found = {}
    for names in itertools.product(*axes.values()):
        try:
            changes = {path: values[name] for (path, values), name in zip(axes.items(), names, strict=True)}
            found[names] = experiment.changed(**changes)
        except BadInput as error:
            raise BadInput(f"{' with '.join(names)}: {error}") from None
    return found


def _run(e: Experiment, folder: Path, executor, device) -> Run:
    """The run of an experiment in a folder: what is there, gone on with, or a new one."""
    if not folder.exists():
        return run(e, folder, executor, device, progress=False)
    before = Run(folder)
    if before.experiment != e:
        raise BadInput(f"{folder} holds another experiment than this sweep's; give out another folder")
    return before if before.status in KEEP else resume(folder, executor=executor, progress=False)


def _last(its: Run) -> dict[str, Any]:
    """What a run came to."""
    from .events import Warned

    finished = its.status == "finished"
    last = its.history.iloc[-1].drop(list(APART), errors="ignore") if finished else {}
    notes = sum(isinstance(event, Warned) for event in its.events)
    return {"status": its.status, "notes": notes, **last, "round": len(its.history),
            "seconds": float(its.history.seconds.sum())}


@contextmanager
def _bar(name: str, runs: int, wanted: bool | None) -> Iterator[Callable[[str], None]]:
    """A bar of runs with the time left, which follows from how long those so far took."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules if wanted is None else wanted):
        yield lambda note: None
        return
    from rich import progress as rich
    from rich.console import Console

    text = rich.TextColumn
    columns = (text("{task.description}"), rich.BarColumn(bar_width=None), rich.MofNCompleteColumn(),
               text("runs,"), text("{task.fields[left]}"), text("{task.fields[note]}"))
    with rich.Progress(*columns, console=Console(stderr=True), expand=True) as progress:
        task, began, count = progress.add_task(name, total=runs, left="", note=""), time.monotonic(), itertools.count(1)

        def draw(note: str) -> None:
            done = next(count)
            left = (time.monotonic() - began) / done * (runs - done)
            progress.update(task, completed=done, note=note, left=f"about {left:.0f} s left")

        yield draw
