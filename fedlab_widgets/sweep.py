"""The same experiment with some fields changed, every choice with every other, and a few seeds of each: a table.

A run a folder, so that a sweep that was cut off goes on where it was, and a wider one takes over what is there.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .events import Event, Started, Warned
from .executors import Executor, as_described
from .part import BadInput, Part
from .plan import begin
from .run import Run
from .session import folder_for, ready, record
from .spec import Experiment
from .store import RunFolder
from .types import Stop, never

if TYPE_CHECKING:
    import pandas as pd

    from .export import Figure

Read = Callable[[Run], Mapping[str, float]]   # more figures of a finished run
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


@dataclass(frozen=True, eq=False)
class Grid:
    """What a sweep runs: `cells`, each an experiment by the names of its changes, with each of `seeds`. A run has a
    folder of its own under `path`, so that one that is there is not run again."""

    experiment: Experiment
    axes: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    cells: dict[tuple[str, ...], Experiment]
    path: Path
    executor: Executor | None = None
    device: str | None = None

    @classmethod
    def of(cls, experiment: Experiment, axes: Mapping[str, Any], seeds: int = 3, out: str | Path | None = None,
           executor: Executor | None = None, device: str | None = None) -> Grid:
        """Arguments and errors as in `sweep`."""
        if not isinstance(experiment, Experiment):
            raise BadInput(f"experiment = {experiment!r:.60} is no Experiment; use fl.Experiment() or "
                           "fl.recipe(\"fedavg\")")
        if not isinstance(axes, Mapping) or not axes:
            raise BadInput(f"axes = {axes!r:.60} names no field; give a field and its values, as in "
                           "{\"aggregate\": [fl.Mean(), fl.Median()]}")
        if "seed" in axes:
            raise BadInput("axes: seed is no axis, since every cell runs with the same seeds; say how many with seeds=")
        if not isinstance(seeds, int) or not 1 <= seeds <= 1000:
            raise BadInput(f"seeds = {seeds!r} is not allowed: give a whole number from 1 to 1000")
        axes = {path: _named(path, values) for path, values in axes.items()}
        many = seeds * math.prod(map(len, axes.values()))
        if many > MOST:
            raise BadInput(f"axes and seeds make {many:,} runs; {MOST:,} are the most. Give fewer values")
        cells = {}
        for names in itertools.product(*axes.values()):
            try:
                cells[names] = experiment.changed(**{path: values[name] for (path, values), name in zip(
                    axes.items(), names, strict=True)})
                ready(cells[names], executor, device)
            except BadInput as error:
                raise BadInput(f"{' with '.join(names)}: {error}") from None
        return cls(experiment, {path: tuple(values) for path, values in axes.items()},
                   tuple(range(experiment.seed, experiment.seed + seeds)), cells, folder_for(experiment, out),
                   executor, device)

    @property
    def runs(self) -> list[tuple[tuple[str, ...], int]]:
        """Every (names, seed), seed by seed: the data of a seed are made once, and a cut sweep has whole maps."""
        return [(names, seed) for seed in self.seeds for names in self.cells]

    def folder(self, names: tuple[str, ...], seed: int) -> Path:
        return self.path.joinpath(*map(_slug, names), f"seed-{seed}")

    def ended(self, names: tuple[str, ...], seed: int) -> Run | None:
        """A run that is there and not to be run again. Raises BadInput where another experiment's is."""
        folder = self.folder(names, seed)
        if not folder.exists():
            return None
        found = Run(folder)
        if found.experiment != self.cells[names].changed(seed=seed):
            raise BadInput(f"{folder} holds another experiment than this sweep's; give out another folder")
        return found if found.status in KEEP else None

    def events(self, names: tuple[str, ...], seed: int, stop: Stop = never) -> Iterator[Event]:
        """The events of a run as it goes, from the start or from where it was cut off; it is recorded in its folder.

        Warnings are events here: `warnings` belongs to the whole process, and a panel trains on a thread.
        """
        place, e = self.folder(names, seed), self.cells[names].changed(seed=seed)
        folder = RunFolder.open(place) if place.exists() else RunFolder.create(place, e)
        known = folder.events()
        before = next((event.settings for event in known if isinstance(event, Started)), {})
        executor = self.executor or (as_described(before) if before else None)
        plan, executor = ready(e, executor, before.get("device", self.device))
        blank = begin(plan)
        state = folder.snapshot(blank)
        folder.drop_torn_line()
        yield from record(folder, plan, blank if state is None else state, executor, stop, known)

    def row(self, names: tuple[str, ...], seed: int, its: Run, read: Read | None = None) -> dict[str, Any]:
        """What a run came to, as a row of `Sweep.data`."""
        finished = its.status == "finished"
        last = its.history.iloc[-1].drop(list(APART), errors="ignore") if finished else {}
        return {**dict(zip(self.axes, names, strict=True)), "seed": seed, "status": its.status, "reason": its.reason,
                "notes": sum(isinstance(event, Warned) for event in its.events), **last, "round": len(its.history),
                "seconds": float(its.history.seconds.sum()), **(read(its) if read and finished else {}),
                "folder": str(its.path.relative_to(self.path))}

    def found(self, rows: list[dict[str, Any]]) -> Sweep:
        """The sweep of the rows of some or all runs, in the order of the axes."""
        import pandas as pd

        place = {names: i for i, names in enumerate(self.cells)}
        rows = sorted(rows, key=lambda row: (place[tuple(row[axis] for axis in self.axes)], row["seed"]))
        return Sweep(self.experiment, self.axes, self.seeds, pd.DataFrame(rows), self.path)


def sweep(experiment: Experiment, axes: Mapping[str, Any], seeds: int = 3, out: str | Path | None = None,
          executor: Executor | None = None, device: str | None = None, *,
          read: Read | None = None, progress: bool | None = None) -> Sweep:
    """Run an experiment with every combination of changes, each with seeds seed, seed + 1, …

    axes: for each field to change (`"attack"`, `"aggregate"`, `"local.lr"`) its values by name, or values alone, which
    then go by the name of the part. out: a folder of runs; runs that are there already are not run again (one that was
    cut off goes on), so that the same call resumes a sweep. read: more figures of a finished run, as columns.
    progress: draw a bar with the time left; by default in a terminal or notebook. Warnings of single runs stay in their
    records; `data` counts them in `notes`, and says in `reason` why a run failed. `SweepPanel` is the same, live.
    Raises BadInput before the first run for wrong arguments and for a combination that cannot work; for a folder that
    holds another experiment; and what a part of your own raises.

    >>> import fedlab_widgets as fl, tempfile
    >>> quick = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=4), rounds=1)
    >>> found = sweep(quick, {"attack": {"none": None, "sign flip": fl.SignFlip(liars=(0,))},
    ...                       "aggregate": [fl.Mean(), fl.Median()]}, seeds=2, out=tempfile.mkdtemp() + "/sweep")
    >>> found.axes["aggregate"], len(found.data), set(found.data.status)
    (('mean', 'median'), 8, {'finished'})
    """
    grid = Grid.of(experiment, axes, seeds, out, executor, device)
    rows = []
    with _bar(experiment.name, len(grid.runs), progress) as done:
        for names, seed in grid.runs:
            its = grid.ended(names, seed)
            if its is None:
                for _ in grid.events(names, seed):
                    pass
                its = Run(grid.folder(names, seed))
            rows.append(grid.row(names, seed, its, read))
            done(f"{' with '.join(names)}, seed {seed}")
    return grid.found(rows)


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
