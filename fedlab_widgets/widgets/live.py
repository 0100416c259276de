"""From the events of a run to the board: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..events import Evaluated, Event, RoundEnded, Started, Warned
from ..spec import Experiment
from .board import Board
from .runner import AT_WORK, Phase

RECENT = 10   # rounds whose mean length says how long one takes


def show(board: Board, event: Event, e: Experiment) -> None:
    """Put one event on the board; kinds that have no place there are passed over."""
    if isinstance(event, Started):
        board.begin(e.name, event.clients, event.rounds, event.majority, event.labels, event.groups,
                    e.privatise is not None)
    elif isinstance(event, RoundEnded):
        board.add({"round": event.round, "bytes_up": event.bytes_up, "bytes_down": event.bytes_down,
                   "seconds": event.seconds, "epsilon": event.epsilon})
    elif isinstance(event, Evaluated):
        row = {"round": event.round, **event.metrics}
        if event.counts is not None:
            row["client_accuracy"] = accuracies(np.array(event.counts).reshape(event.shape)).tolist()
        board.add(row)


def accuracies(counts: np.ndarray) -> np.ndarray:
    """counts [client, group, label, prediction] -> each client's accuracy [client], NaN for one without rows."""
    n, right = counts.sum((1, 2, 3)), np.einsum("kgll->k", counts)
    return np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0)


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
