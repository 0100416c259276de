"""A bar with the time left, in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .events import Evaluated, Event, RoundEnded, Started
from .spec import Experiment


@contextmanager
def bar(experiment: Experiment, done: int, wanted: bool | None) -> Iterator[Callable[[Event], None]]:
    """A function that takes events and moves the bar; it does nothing where no bar is wanted."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules if wanted is None else wanted):
        yield lambda event: None
        return
    from rich import progress as rich
    from rich.console import Console

    text = rich.TextColumn
    # The bar takes what the figures leave, so that none of them is cut off in a terminal of 80 columns.
    columns = (text("{task.description}"), rich.BarColumn(bar_width=None), rich.MofNCompleteColumn(),
               text("rounds, left"), rich.TimeRemainingColumn(), text("{task.fields[note]}"))
    with rich.Progress(*columns, console=Console(stderr=True), expand=True) as progress:
        task = progress.add_task(experiment.name, total=experiment.rounds, completed=done, note="")
        guess = float("nan")

        def draw(event: Event) -> None:
            nonlocal guess
            if isinstance(event, Started):
                guess = event.majority
            elif isinstance(event, RoundEnded):
                progress.update(task, completed=event.round)
            elif isinstance(event, Evaluated) and event.metrics.get("accuracy") is not None:
                progress.update(task, note=f"accuracy {event.metrics['accuracy']:.3f}, guess {guess:.3f}")

        yield draw
