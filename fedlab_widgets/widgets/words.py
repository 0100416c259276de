"""The labels of the form, and what "?" says about every field.

What a field of a part of your own means is taken from its `description`, range and default, so none is without a word.
"""

from __future__ import annotations

import difflib
import typing

from pydantic import BaseModel

from ..part import BadInput, Part, Spec, catalogue
from ..phrases import listed
from ..spec import Evaluation, Experiment
from ..wording import allowed
from .glossary import ALSO, GLOSSARY, Word

# Which term a field is about. Keys are `slot.field` for parts, and the field's own name for the experiment.
TERMS = {"partition": "non-iid", "partition.clients": "client", "partition.alpha": "dirichlet alpha",
         "partition.skew": "skew", "partition.lam": "masked", "rounds": "round", "local.epochs": "local epoch",
         "task.withhold": "withheld", "task.context": "context", "privatise": "epsilon", "privatise.epsilon": "epsilon",
         "privatise.delta": "delta", "privatise.clip": "clipping", "encode": "codec", "aggregate": "aggregator",
         "attack": "liar", "attack.liars": "liar", "method": "method"}

LABELS = {"task": "data set", "net": "model", "schedule": "who takes part", "distribute": "clients start from",
          "local": "local training", "encode": "codec", "privatise": "privacy", "fairness": "remedies",
          "personalise": "own models", "aggregate": "aggregator",
          "evaluate.every": "read every … rounds", "evaluate.clients": "clients read", "evaluate.readings": "readings",
          "name": "name of the run", "partition.lam": "lambda", "local.lr": "step size", "server.lr": "server step",
          "task.sensitive": "compare groups by", "task.withhold": "withhold it from the model",
          "privatise.noise_multiplier": "noise", "privatise.epsilon": "target epsilon", "local.correct": "corrections",
          "local.epochs": "local epochs", "local.steps": "local steps", "schedule.clients": "only clients",
          "schedule.sampler": "sampler", "local.schedule": "step size over time", "local.lr_end": "step size left",
          "aggregate.topology": "links", "local.oracle": "reports", "partition.min_rows": "rows at least",
          "partition.of": "holdings"}

SAYS = {"task": "the rows and what is to be learned from them", "net": "the model that learns",
        "partition": "how the rows are dealt out to the clients", "schedule": "who takes part in a round, and when",
        "distribute": "what clients start a round from",
        "fairness": "what is done so that groups are treated alike",
        "personalise": "what each client learns for itself and uses in the end",
        "local": "how a client trains on its own rows",
        "encode": "what really goes over the wire", "attack": "what lying clients do",
        "privatise": "how one client's influence is bounded and hidden", "aggregate": "how the server combines rows",
        "server": "how the server turns the combined row into a new model", "sampler": "who is asked in a round",
        "topology": "who sends to whom where there is no server",
        "oracle": "how a user reports a value so that it stays private",
        "evaluate": "when the model is read, and what is read"}

# What stands for a field in the one-line summary of a section, where its label is too long for that.
SHORT = {"task.sensitive": "", "task.withhold": "withheld"}

# Sentences for fields whose description is too short for somebody who meets the word for the first time.
SENTENCES = {
    "task": "The data set says which rows there are and what is to be learned from them.",
    "net": "The model is what learns: it turns the columns of a row into an answer.",
    "schedule": "The schedule decides which clients take part in a round, and how long the round waits for them.",
    "distribute": "At the start of a round clients begin from the server's model, or partly from their own.",
    "local": "Local training is how a client learns from its own rows between two meetings with the server.",
    "local.lr": "The step size is how far the model moves at each step: too small is slow, too large never settles.",
    "local.steps": "Local steps are the steps a client takes in a round, however many rows it has.",
    "local.batch": "A batch is the number of rows that a client looks at before each step; empty means all of them.",
    "local.momentum": "Momentum is the share of the last step that is kept and added to the next one.",
    "local.lr_end": "The share of the step size that is left in the last round, if it falls over the rounds.",
    "local.correct": "A correction changes local steps so that clients that disagree do not drift apart.",
    "personalise": "A client may use a model of its own, beside the one that all train together.",
    "fairness": "A remedy changes what clients learn, or what they count, so that groups are treated alike.",
    "privatise.noise_multiplier": "The noise added to the sum, in units of the clip: more noise is more private.",
    "aggregate.weights": "How much a client counts in the average: by its rows, all the same, or by rows up to a cap.",
    "server": "The server turns the combined update into the next model.",
    "server.lr": "The server step is the share of the combined update that is added to the model.",
    "evaluate.every": "How many rounds pass between two readings of the model; the last round is always read.",
    "evaluate.clients": "How many clients are read one by one; with very many clients reading all would be slow.",
    "evaluate.readings": "Readings are the figures taken of the model: how often it is right, and for whom.",
    "seed": "The seed fixes every random draw, so that the same settings give the same run again.",
    "precision": "How exactly weights and data are stored: float64 is more exact and slower; bf16-mixed keeps "
                 "float32 and multiplies in bfloat16, which new GPUs do faster.",
    "name": "The name of the run, which is also the name of its folder.",
}

# A value to begin with when the other of two alternatives is chosen, whose own default is empty.
STARTS = {"local.steps": 20, "privatise.epsilon": 3.0}

# Parts made by a function, from data that a form does not have: listed only while they are in use.
NOT_BY_HAND = {("task", "arrays")}

TRY = "Change only this, press Start, and compare with the run before."


def key_of(cls: type[BaseModel], name: str) -> str:
    """`slot.field` for a part's field, `evaluate.field` for when to read, the name alone for the experiment."""
    if issubclass(cls, Part):
        return f"{cls.slot}.{name}"
    return f"evaluate.{name}" if issubclass(cls, Evaluation) else name


def label(cls: type[BaseModel], name: str) -> str:
    """What a field is called beside its control."""
    return LABELS.get(key_of(cls, name), name.replace("_", " "))


def title(cls: type[Part]) -> str:
    """What a part is called in a dropdown."""
    return cls.name.replace("_", " ")


def of_field(cls: type[BaseModel], name: str) -> Word:
    """What "?" says of a field: its term of the glossary if it has one, with what is allowed and the default."""
    key, field = key_of(cls, name), cls.model_fields[name]
    says = field.description or SAYS.get(key) or SAYS.get(getattr(_part_of(field.annotation), "slot", ""))
    about = f"{label(cls, name).capitalize()}: {(says or 'a setting of ' + _holder(cls)).removeprefix('or: ')}."
    ours = cls.__module__.startswith(__package__.split(".")[0] + ".")   # a part of your own means what it says
    default = field.get_default(call_default_factory=True)
    usual = f"It is {spelled(default)} unless you change it." if not field.is_required() else "It has no default."
    limits = "" if _part_of(field.annotation) else f" Allowed: {allowed(field)}."
    if key in TERMS:
        word = GLOSSARY[TERMS[key]]
        return Word(f"{word.sentence}{'' if ours else ' ' + about}{limits}", f"{word.example} {usual}", word.lesson)
    return Word((SENTENCES.get(key, about) if ours else about) + limits, usual, TRY)


def explain(path_or_term: str) -> Word:
    """(sentence, example, lesson) of a term ("masked") or of a field ("local.lr", "privatise.gaussian.clip").

    Raises BadInput for a word that is neither.
    """
    term = path_or_term.strip().lower().replace("_", " ")
    word = GLOSSARY.get(ALSO.get(term, term))
    if word:
        return word
    for cls, name in _owners(path_or_term):
        return of_field(cls, name)
    near = difflib.get_close_matches(term, [*GLOSSARY, *ALSO], 1)
    raise BadInput(f"{path_or_term!r} is neither a term nor a field"
                   + (f"; did you mean {near[0]!r}?" if near else f"; the terms are {', '.join(GLOSSARY)}"))


def _owners(path: str):
    """The classes that have the field a path ends in: `slot.field`, `slot.part.field`, `slot.list.0.field`."""
    *steps, name = path.split(".")
    if not steps:
        yield from ((Experiment, name),) if name in Experiment.model_fields else ()
        return
    shelves = catalogue()
    if steps[0] == "evaluate" and name in Evaluation.model_fields:
        yield Evaluation, name
    named = [cls for cls in shelves.get(steps[0], {}).values() if cls.name in steps[1:]]
    for cls in named or shelves.get(steps[0], {}).values():
        if name in cls.model_fields:
            yield cls, name
    if len(steps) > 1:   # a field of a part inside a part: any part that knows the name
        yield from ((cls, name) for shelf in shelves.values() for cls in shelf.values() if name in cls.model_fields)


def _part_of(annotation) -> type[Part] | None:
    """The base class of the parts that an annotation admits; None where it admits none."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next(filter(None, map(_part_of, typing.get_args(annotation))), None)


def _holder(cls: type[BaseModel]) -> str:
    return title(cls) if issubclass(cls, Part) and hasattr(cls, "name") else "the experiment"


def spelled(value) -> str:
    """A value as a person would write it: "64, 32", "yes", "none", "sgd"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Part):
        return title(type(value))
    if isinstance(value, (tuple, list)):
        return ", ".join(map(spelled, value)) or "none"
    if isinstance(value, float):
        return f"{value:.12g}"
    return "none" if value in (None, "") else str(value)


def brief(value, everything: bool = False) -> str:
    """A part in one line: its name and the fields that differ from their defaults (or all that are set)."""
    if not isinstance(value, Part):
        return spelled(value)
    if (value.slot, value.name) in NOT_BY_HAND:
        return value.title   # its fields are fingerprints
    return ", ".join([title(type(value)), *settings(value, everything)])


def settings(value: Spec, everything: bool = False, skip: tuple[str, ...] = ()) -> list[str]:
    """The set fields of a spec, each as "clip 0.5"; those that differ from their defaults, or all."""
    cls, words = type(value), []
    for name, field in cls.model_fields.items():
        held = getattr(value, name)
        same = not field.is_required() and held == field.get_default(call_default_factory=True)
        if held is None or held == () or name in skip or (same and not everything):
            continue
        words.append(_liars(held) if key_of(cls, name) == "attack.liars" else
                     _setting(SHORT.get(key_of(cls, name), label(cls, name)), held))
    return words


def _liars(who: float | tuple[int, ...]) -> str:
    """Who lies: "client 9 lies", "clients 1 and 4 lie", "20 % of the clients lie"."""
    if isinstance(who, float):
        return f"{100 * who:g} % of the clients lie"
    return f"client {who[0]} lies" if len(who) == 1 else f"clients {listed(map(str, who))} lie"


def _setting(called: str, value) -> str:
    """A field in a summary: "clip 0.5", "withheld", "not withheld"."""
    if isinstance(value, bool):
        return called if value else f"not {called}"
    return f"{called} {brief(value) if isinstance(value, Part) else spelled(value)}".strip()
