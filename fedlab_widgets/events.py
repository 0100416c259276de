"""What a run says while it goes: frozen values that are JSON as they stand. Widgets, the store and tests are
for-loops over them; nobody is called back into."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base of all events. `measured` names the fields that a repetition of the round need not reproduce."""

    measured: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> str:
        return json.dumps({"event": type(self).__name__, **_plain(asdict(self))}, allow_nan=False,
                          separators=(",", ":"), ensure_ascii=False)

    def fixed(self) -> dict:
        """What must come out bit for bit the same when the round is computed again."""
        return {k: v for k, v in json.loads(self.to_json()).items() if k not in self.measured}


@dataclass(frozen=True)
class Started(Event):
    """Before the first round (or after a resume, `round` > 0). `clients` has one entry per client of the panel."""

    round: int
    rounds: int
    majority: float                 # accuracy of always guessing the commonest label of the test set
    parameters: int
    test_rows: int
    labels: list[str]
    groups: list[str]
    clients: list[dict] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)   # path, chunk, threads, device, versions
    measured: ClassVar = ("settings",)


@dataclass(frozen=True)
class RoundEnded(Event):
    """A server update. bytes are exact; epsilon is None without a privacy mechanism; `seconds` is wall time."""

    round: int
    time: float
    trips: int
    seconds: float
    bytes_up: int
    bytes_down: int
    epsilon: float | None
    train_loss: float | None
    update_norm: float | None
    cohort: list[int] | None = None   # ids that reported; None above 1 000
    clip: float | None = None         # the bound on rows in this round, where it moves
    measured: ClassVar = ("seconds",)


@dataclass(frozen=True)
class Evaluated(Event):
    """Readings of the model after `round`; `counts` is the table they were read from, flat, with its shape
    [client, group, label, prediction]; `clients` are that table's ids. `shared`: how many of each one's rows the model
    of all gets right, where clients use models of their own."""

    round: int
    metrics: dict[str, float | None]
    clients: list[int] | None = None
    counts: list[int] | None = None
    shape: list[int] | None = None
    shared: list[int] | None = None


@dataclass(frozen=True)
class Shown(Event):
    """Live readings of what parts remember after `round`: name -> the fields of a `View`."""

    round: int
    views: dict[str, dict]


@dataclass(frozen=True)
class Checkpointed(Event):
    """A snapshot of the state after `round` lies in the run folder."""

    round: int
    seconds: float
    measured: ClassVar = ("seconds",)


@dataclass(frozen=True)
class Warned(Event):
    """Something a reader of the results should know; the run goes on."""

    round: int
    text: str


@dataclass(frozen=True)
class Stopped(Event):
    """The run ended in good order: reason is "finished", "stopped" or "interrupted"."""

    round: int
    reason: str


@dataclass(frozen=True)
class Failed(Event):
    """The run cannot go on; `text` says why and what to change. Everything recorded stays."""

    round: int
    text: str


KINDS = {cls.__name__: cls for cls in (Started, RoundEnded, Evaluated, Shown, Checkpointed, Warned, Stopped, Failed)}


def from_json(line: str) -> Event:
    """The event that a line of `events.jsonl` holds. Raises ValueError for a line that is none."""
    fields = json.loads(line)
    kind = fields.pop("event", None) if isinstance(fields, dict) else None
    if kind not in KINDS:
        raise ValueError(f"no event: {line[:60]!r}")
    try:
        return KINDS[kind](**fields)
    except TypeError as error:
        raise ValueError(f"an event {kind} with other fields: {error}") from None


def _plain(value: Any) -> Any:
    """Numbers that are not finite become null: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
