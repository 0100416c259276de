"""The experiment as data: one field per slot. Form, command line, JSON and Python are printers of this value."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from .aggregate import Mean
from .distribute import Broadcast
from .drafts import draft, put
from .encode import Update
from .evaluate import Accuracy, Decomposition, Gaps
from .local import SGD
from .nets import MLP
from .part import BadInput, Spec, bad_input, parts_in, slot, slots, worded
from .partition import ByGroup
from .schedule import Lockstep
from .server import Apply
from .slots import (
    Aggregate,
    Attack,
    Distribute,
    Encode,
    Evaluate,
    Fairness,
    Local,
    Net,
    Partition,
    Personalise,
    Privatise,
    Schedule,
    Server,
    Task,
)
from .tasks import Adult

SCHEMA = 1
MIGRATIONS: dict[int, Any] = {}   # version -> a function from that version's dictionary to the next one's


class Evaluation(Spec):
    """When the model is read, on whom, and what is read."""

    every: int = Field(1, ge=1, le=100_000, description="rounds between two readings; the last round is always read")
    clients: int = Field(100, ge=1, le=100_000, description="clients of the panel whose held-out rows are read")
    readings: slots(Evaluate) = Field((Accuracy(), Gaps(), Decomposition()), description="what is read")


class Experiment(Spec):
    """Everything that decides the numbers of a run, and nothing that does not (device and executor are `run`'s).

    Raises BadInput with one sentence a field; neighbours that do not fit are refused by name.

    >>> import fedlab_widgets as fl
    >>> fl.Experiment().changed(**{"local.lr": 0.05, "aggregate": fl.Median()}).local.lr
    0.05
    """

    name: str = Field("fedavg", min_length=1, max_length=60, description="what to call the run")
    task: slot(Task) = Adult()
    net: slot(Net) = MLP()
    partition: slot(Partition) = ByGroup()
    schedule: slot(Schedule) = Lockstep()
    distribute: slot(Distribute) = Broadcast()
    fairness: slots(Fairness) = ()
    local: slot(Local) = SGD()
    personalise: slot(Personalise) | None = None
    encode: slot(Encode) = Update()
    attack: slot(Attack) | None = None
    privatise: slot(Privatise) | None = None
    aggregate: slot(Aggregate) = Mean()
    server: slot(Server) = Apply()
    evaluate: Evaluation = Evaluation()
    rounds: int = Field(30, ge=1, le=100_000, description="server updates")
    seed: int = Field(0, ge=0, le=2**53 - 1, description="of every random draw")
    precision: Literal["float32", "float64", "bf16-mixed"] = Field(
        "float32", description="of weights and data; mixed: float32, and products of training in bfloat16")

    @field_validator("name")
    @classmethod
    def _a_folder_name(cls, name):
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9 ._+-]*[A-Za-z0-9_+-])?", name):
            raise ValueError("must begin with a letter or digit, hold only letters, digits, spaces and . _ + -, and "
                             "not end in a space or dot, so that it can name a folder on every system")
        return name

    @field_validator("attack", "personalise", "privatise", mode="before")
    @classmethod
    def _none_in_words(cls, value):
        return None if value in ("none", "null", "") else value

    @model_validator(mode="after")
    def _neighbours_fit(self):
        for problem in misfits(self):
            raise PydanticCustomError("worded", "{text}", {"text": problem})
        return self

    def changed(self, **changes: Any) -> Experiment:
        """A new experiment with some fields changed: dotted paths or whole slots; all applied, then validated once.

        `changed(**{"local.lr": 0.05, "aggregate": "median"})`; a step in a list is its number (`local.correct.0.mu`).
        Naming one of two alternatives (`local.steps`, `privatise.epsilon`) clears the other.
        """
        fields = draft(self)
        for path in sorted(changes, key=lambda p: p.count(".")):
            put(fields, path, changes[path], changes)
        return _validated(fields)

    @property
    def own_models(self) -> bool:
        """Whether clients end up with models of their own, or with layers that nobody else has."""
        kept = type(self.distribute).kept is not Distribute.kept
        return kept or self.distribute.keeps_models or self.personalise is not None

    def forecast(self, device: str | None = None):
        """What the run will cost: see `Forecast`. Trains a few steps to measure the time."""
        from .forecast import forecast

        return forecast(self, device)

    def to_json(self) -> str:
        """The experiment as JSON text with its schema version; `from_json` reads it back."""
        return json.dumps({"schema": SCHEMA, **self.model_dump(mode="json")}, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Experiment:
        """The experiment that `to_json` wrote. Raises BadInput for broken JSON, wrong fields and newer versions."""
        try:
            fields = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise BadInput(f"the experiment is no JSON ({error}); write it with to_json") from None
        if not isinstance(fields, dict):
            raise BadInput(f"the experiment is a JSON {type(fields).__name__}, not an object; write it with to_json")
        version = fields.pop("schema", SCHEMA)
        if not isinstance(version, int) or not 1 <= version <= SCHEMA:
            raise BadInput(f"schema = {version!r}, and this FedLab Widgets reads versions 1 to {SCHEMA}; update it")
        while version < SCHEMA:
            fields, version = MIGRATIONS[version](fields), version + 1
        return _validated(fields)

    def to_python(self) -> str:
        """The same experiment as a cell of Python that names what differs from a recipe or the defaults; see `code`."""
        from .code import cell

        return cell(self)


def _validated(fields: dict) -> Experiment:
    try:
        return Experiment.model_validate(fields)
    except ValidationError as error:
        raise bad_input(worded(Experiment, error)) from None


def misfits(e: Experiment):
    """Neighbours whose terms do not agree, each as a sentence with the way out."""
    for part in parts_in(e):
        yield from part.misfits(e)
    corrections = getattr(e.local, "correct", ())
    for correct in corrections:
        name = type(correct).__name__
        if correct.equal_weights and not e.aggregate.equal_weights:
            yield (f"local.correct = {name} assumes that all clients count the same, and aggregate weighs them by "
                   + (f"{e.aggregate.weights!r}; set aggregate.weights to 'uniform'" if hasattr(e.aggregate, "weights")
                      else f"figures of its own; leave the correction out, or aggregate = {e.aggregate.name}"))
        if correct.plain_steps and getattr(e.local, "momentum", 0):
            yield (f"local.momentum = {e.local.momentum} with {name}, whose formula assumes plain steps; "
                   "set local.momentum to 0")
    if len({type(c) for c in corrections}) < len(corrections):
        yield "local.correct names the same correction twice; give each once"
    if len({type(f) for f in e.fairness}) < len(e.fairness):
        yield "fairness names the same part twice; give each once"
    for f in e.fairness:
        if (f.penalises or f.weighs_rows) and not e.local.heeds_fairness:
            yield (f"fairness = {f.name} changes what clients minimise, and local = {e.local.name} does not heed it; "
                   "set local to 'sgd'")
        if e.privatise is not None and f.sends and not f.stays:
            yield (f"fairness = {f.name} makes clients send figures that privatise = {e.privatise.name} does not "
                   "hide, so that its epsilon would not hold; leave one of them out")
    if e.privatise is not None and e.privatise.central:
        if e.aggregate.sensitivity is None:
            way = ("set aggregate.weights to 'uniform' or 'capped' and aggregate.denominator to 'expected'"
                   if hasattr(e.aggregate, "denominator") else "set aggregate to a mean with uniform weights and the "
                   "expected denominator: aggregate='{\"part\":\"mean\",\"weights\":\"uniform\","
                   "\"denominator\":\"expected\"}'")
            yield (f"privatise = {e.privatise.name} cannot calibrate its noise: one client's influence on aggregate = "
                   f"{e.aggregate.name} has no known bound as set; {way}")
        elif e.schedule.sampling(1000) is None:
            yield (f"privatise = {e.privatise.name} cannot account for schedule = {e.schedule.name}: nothing is known "
                   "of who takes part; choose the sampler poisson, fixed or full")
