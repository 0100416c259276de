"""A recorded run, read back from its folder."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from .evaluate.measure import ROWS, accuracies
from .events import Evaluated, Event, Failed, RoundEnded, Shown, Started, Stopped
from .part import BadInput
from .plan import begin, models, prepare
from .spec import Experiment
from .store import RunFolder
from .types import View
from .world import build, pick_device, world_of

COLUMNS = ("round time trips seconds accuracy loss mean_client worst_client best_client bytes_up bytes_down epsilon "
           "global_disparity local_disparity unique redundant masked unique_corrected redundant_corrected "
           "masked_corrected unique_lo unique_hi redundant_lo redundant_hi masked_lo masked_hi").split()


class Run:
    """A run as its folder holds it: every number comes from the record.

    >>> import fedlab_widgets as fl, tempfile
    >>> quick = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=2)
    >>> run = fl.run(quick, out=tempfile.mkdtemp() + "/first", progress=False)
    >>> run.status, len(run.history), int(run.history.bytes_up[0])
    ('finished', 2, 38480)
    """

    def __init__(self, path: str | Path, replicates: tuple | list = ()):
        self.path = Path(path)
        self.replicates = tuple(replicates)
        self._folder = RunFolder.open(path)

    def __repr__(self) -> str:
        return f"<Run {self.path} {self.status}, {len(self.history)} of {self.experiment.rounds} rounds>"

    @cached_property
    def experiment(self) -> Experiment:
        return self._folder.experiment()

    @cached_property
    def events(self) -> list[Event]:
        return self._folder.events()

    @cached_property
    def status(self) -> str:
        """"finished", "stopped", "interrupted", "failed", or "incomplete" for a process that never got to say."""
        last = next((e for e in reversed(self.events) if isinstance(e, (Started, Stopped, Failed))), None)
        return "failed" if isinstance(last, Failed) else last.reason if isinstance(last, Stopped) else "incomplete"

    @property
    def reason(self) -> str | None:
        """Why a failed run failed."""
        last = next((e for e in reversed(self.events) if isinstance(e, Failed)), None)
        return last.text if self.status == "failed" else None

    @cached_property
    def history(self):
        """One row a round (pandas): bytes of that round, readings of the model after it, NaN where none were taken.

        accuracy and loss are on the official test set; mean, worst and best client, gaps and disparities on held-out
        client rows. `epsilon` is what was spent so far, at the delta of `forecast`. Disparities are plug-in, in bits.
        """
        import pandas as pd

        rows: dict[int, dict] = {}
        for event in self.events:
            if isinstance(event, RoundEnded):
                fields = {k: v for k, v in vars(event).items() if k != "cohort"}
                rows.setdefault(event.round, {}).update(fields)
            elif isinstance(event, Evaluated):
                rows.setdefault(event.round, {}).update(event.metrics)
        table = pd.DataFrame([rows[r] for r in sorted(rows) if "time" in rows[r]])
        extra = [c for c in table.columns if c not in COLUMNS]
        table = table.reindex(columns=[*COLUMNS, *extra])
        return table.astype({c: float for c in table.columns if table[c].dtype == object})

    @cached_property
    def clients(self):
        """One row per client of the panel (pandas): rows it learns from and holds out, labels, groups, liar, trips, and
        accuracy on its held-out rows after the last reading (and that of the model of all, where it uses its own)."""
        import pandas as pd

        start = next((e for e in self.events if isinstance(e, Started)), None)
        if start is None:
            return pd.DataFrame()
        trips: dict[int, int] = {}
        for event in self.events:
            for i in (event.cohort or ()) if isinstance(event, RoundEnded) else ():
                trips[i] = trips.get(i, 0) + 1
        rows = []
        for c in start.clients:
            rows.append({"client": c["client"], "train": c["train"], "held_out": c["held_out"], "liar": c["liar"],
                         "trips": trips.get(c["client"], 0),
                         **dict(zip((f"label {n}" for n in start.labels), c["labels"], strict=True)),
                         **(dict(zip((f"group {n}" for n in start.groups), c["groups"], strict=True))
                            if len(start.groups) > 1 else {})})
        table = pd.DataFrame(rows).set_index("client")
        counts = self.counts()
        if counts is not None:
            table["accuracy"] = accuracies(counts)
            shared = next(e.shared for e in reversed(self.events) if isinstance(e, Evaluated) and e.counts is not None)
            if shared is not None:
                n = counts.sum((1, 2, 3))
                table["shared_accuracy"] = np.array(shared) / np.where(n > 0, n, np.nan)
        return table

    @cached_property
    def views(self) -> dict[str, list[tuple[int, View]]]:
        """Live readings of what the run's parts remember: name -> (round, View), in the order of rounds; see
        `Part.shows`. Empty where no part shows anything."""
        found: dict[str, list] = {}
        for event in self.events:
            for name, fields in event.views.items() if isinstance(event, Shown) else ():
                found.setdefault(name, []).append((event.round, View(**fields)))
        return found

    def counts(self, round: int | None = None) -> np.ndarray | None:
        """Held-out counts [client, group, label, prediction] after a round (default: the last one read), or None."""
        for event in reversed(self.events):
            if isinstance(event, Evaluated) and event.counts is not None and round in (None, event.round):
                return np.array(event.counts).reshape(event.shape)
        return None

    def model(self, client: int | None = None) -> torch.nn.Module:
        """The net with the run's last kept weights, on the CPU; a client's own where it has one.

        Raises BadInput when no round was kept yet, or there is no such client.
        """
        world = world_of(self.experiment, pick_device("cpu"))
        plan = prepare(self.experiment, world)
        state = self._folder.snapshot(begin(plan))
        if state is None:
            raise BadInput(f"{self.path} holds no snapshot yet; resume the run first")
        if client is not None and not 0 <= client < world.clients:
            raise BadInput(f"client = {client} is no client: ids go from 0 to {world.clients - 1}")
        row = state.model if client is None else models(plan, state, torch.tensor([client]))[0]
        net = build(self.experiment.net, world.data, world.seed).to(world.dtype)   # its own: the world's is shared
        net.load_state_dict({k: v.clone() for k, v in world.layout.views(row).items()}, strict=False)
        return net.eval()

    def predict(self, x, client: int | None = None) -> np.ndarray:
        """Labels [rows] (int64, an index into the task's label names) for features x [rows, …] in the task's form.

        Raises BadInput for features of another shape, or that are no numbers.
        """
        world = world_of(self.experiment, pick_device("cpu"))
        wanted = list(world.data.x.shape[1:])
        form = f"[rows, {', '.join(map(str, wanted))}]"
        try:
            x = torch.as_tensor(np.asarray(x, dtype=np.float64)).to(world.dtype)
        except (TypeError, ValueError) as error:
            raise BadInput(f"x holds something else than numbers ({error}); give an array {form}") from None
        if not x.dim() or list(x.shape[1:]) != wanted:
            raise BadInput(f"x has shape {list(x.shape)}, and the net takes {form}; give rows in the form of the "
                           "task's features")
        net = self.model(client)
        with torch.no_grad():
            return np.concatenate([net(some).argmax(1).numpy() for some in x.split(ROWS)])

    def resume(self, **how) -> Run:
        """Go on where the run, and each of its replicates, stopped; see `session.resume`."""
        from .session import resume

        return Run(resume(self.path, **how).path, [r.resume(**how) for r in self.replicates])

    def figure(self, name: str, x: str = "rounds"):
        """A static figure: "convergence", "disparity", "communication", "accuracy_per_mb", "epsilon", "partition",
        "clients", "hull" or "gains"; or that of a live reading, by its name in `views`. x, where it is rounds:
        "rounds", "MB", "seconds" or "time" (virtual).

        It shows itself in a cell; `.data` are the numbers drawn, and `.save("x.pdf", width="column")` writes it as pdf,
        svg, png or html with a CSV beside it. Raises BadInput for other names and for a run without what it shows.
        """
        from .figures import figure

        return figure(self, name, x)

    def panel(self, name: str):
        """A piece of the lab alone in a cell: "convergence", "disparity", "communication", "fairness", "what_if",
        "clients" or "inside". Raises BadInput for other names and for a run without what it shows."""
        from .widgets.panel import panel

        return panel(self, name)

    def methods_text(self) -> str:
        """Paragraphs for a paper's methods section, every number from the spec and the record; with replicates mean
        and standard deviation."""
        from .methods import methods_text

        return methods_text(self)

    def code(self) -> str:
        """The shortest Python that makes this run's experiment, and runs it; see `code.as_python`."""
        from .code import as_python

        return as_python(self.experiment)

    def spread(self):
        """Mean and standard deviation over the seeds of `run(…, seeds=n)`, by round (pandas, two-level columns)."""
        import pandas as pd

        table = pd.concat([r.history for r in (self, *self.replicates)])
        return table.groupby("round").agg(["mean", "std"])

    @property
    def majority(self) -> float:
        """Accuracy of always guessing the commonest label of the test set."""
        return next((e.majority for e in self.events if isinstance(e, Started)), math.nan)


def open_run(path: str | Path) -> Run:
    """The run in a folder, finished or not. Raises BadInput when there is none."""
    path = Path(path)
    seeds = sorted(path.glob("seed-*"), key=lambda p: int(p.name[5:]) if p.name[5:].isdigit() else 0)
    if seeds and not (path / "spec.json").exists():
        return Run(seeds[0], [Run(p) for p in seeds[1:]])
    return Run(path)
