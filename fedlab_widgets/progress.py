"""A bar with the time left, in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .events import Evaluated, Event, RoundEnded
from .spec import Experiment


@contextmanager
def bar(experiment: Experiment, done: int, wanted: bool | None) -> Iterator[Callable[[Event], None]]:
    """A function that takes events and moves the bar; it does nothing where no bar is wanted."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules if wanted is None else wanted):
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rounds ·"),
               TimeElapsedColumn(), TextColumn("· left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(experiment.name, total=experiment.rounds, completed=done, note="")

        def draw(event: Event) -> None:
            if isinstance(event, RoundEnded):
                progress.update(task, completed=event.round)
            elif isinstance(event, Evaluated) and event.metrics.get("accuracy") is not None:
                progress.update(task, note=f"accuracy {event.metrics['accuracy']:.3f}")

        yield draw
