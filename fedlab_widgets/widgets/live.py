"""From the events of a run to the board: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluate.measure import accuracies
from ..events import Evaluated, Event, RoundEnded, Started, Warned
from ..part import Part
from ..spec import Experiment
from . import words
from .board import Board
from .host import differences, value_at
from .runner import AT_WORK, Phase

RECENT = 10   # rounds whose mean length says how long one takes
NAMED = 3     # differences from the run before that are named


def show(board: Board, event: Event, e: Experiment) -> None:
    """Put one event on the board; kinds that have no place there are passed over."""
    if isinstance(event, Started):
        says, was = compared(board.before(), e)
        board.begin(e.name, event.clients, event.rounds, event.majority, event.labels, event.groups,
                    e.privatise is not None, data(e), says, was, e, e.own_models,
                    "" if e.privatise is None else e.privatise.covers)
    elif isinstance(event, RoundEnded):
        board.add({"round": event.round, "bytes_up": event.bytes_up, "bytes_down": event.bytes_down,
                   "seconds": event.seconds, "epsilon": event.epsilon})
    elif isinstance(event, Evaluated):
        row = {"round": event.round, **event.metrics}
        if event.counts is not None:
            row["client_accuracy"] = accuracies(np.array(event.counts).reshape(event.shape)).tolist()
        board.add(row)


def blank(board: Board, e: Experiment) -> None:
    """Clear the board for a run that failed before it had begun; the run before is its ghost."""
    board.begin(e.name, [], e.rounds, float("nan"), [], [], e.privatise is not None, data(e))


def former(made: Experiment | None) -> str:
    """Whose the figures on the screen are, in words; empty without an experiment.

    >>> former(Experiment(name="quick"))
    'These figures are of a former run: “quick”, on adult.'
    """
    return f"These figures are of a former run: “{made.name}”, on {words.brief(made.task)}." if made else ""


def data(e: Experiment) -> str:
    """Which data an experiment learns from. A withheld column is no other data: what it costs is worth comparing."""
    return e.task.model_dump_json(exclude={"withhold"})


def compared(former: Experiment | None, e: Experiment) -> tuple[str, str]:
    """(how an experiment differs from the former one, what the former one had there), in words; empty on other data.

    >>> from fedlab_widgets import Experiment, Median
    >>> compared(Experiment(), Experiment(aggregate=Median(), rounds=20))
    ('aggregator median instead of mean; rounds 20 instead of 30', 'mean; rounds 30')
    """
    says, was = [], []
    alike = former is not None and data(former) == data(e)
    for name in type(e).model_fields if alike else ():
        for path, new in differences(getattr(former, name), getattr(e, name), name):
            if path == "name":   # the title says it
                continue
            old, (holder, field) = value_at(former, path), _holder(e, path)
            called = words.label(holder, field)
            says.append(f"{called} {words.brief(new)} instead of {words.brief(old)}")
            was.append(words.brief(old) if isinstance(old, Part) else f"{called} {words.brief(old)}")
    return _some(says), _some(was)


def _holder(e: Experiment, path: str) -> tuple[type, str]:
    """The class that has the field at a path, and the field's name."""
    above, _, name = path.rpartition(".")
    return type(value_at(e, above) if above else e), name


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:NAMED] + ["…"] * (len(texts) > NAMED))


def warnings(events: Sequence[Event]) -> list[str]:
    """What a run has warned of, each sentence once, with the first round it was said in."""
    said: dict[str, int] = {}
    for event in events:
        if isinstance(event, Warned):
            said.setdefault(event.text, event.round)
    return [f"{f'From round {round}: ' if round else ''}{text}" for text, round in said.items()]


def say(board: Board, events: Sequence[Event], phase: Phase, rounds: int, least: float) -> None:
    """State, progress and time left; `rounds` until the run has said how many, `least` seconds a round takes."""
    ended = [e for e in events if isinstance(e, RoundEnded)]
    rounds = next((e.rounds for e in events if isinstance(e, Started)), rounds)
    done = ended[-1].round if ended else 0
    each = max(np.mean([e.seconds for e in ended[-RECENT:]]) if ended else 0.0, least)
    text = f"{phase}, round {done} of {rounds}" if phase is not Phase.IDLE else "ready: press Start"
    board.say(str(phase), text, done / rounds, each * (rounds - done) if phase in AT_WORK and ended else None)
