"""The glossary as data, and the labels of the form: what "?" says about every term and every field.

What a field of a part of your own means is taken from its `description`, range and default, so none is without a word.
"""

from __future__ import annotations

import difflib
import typing
from typing import NamedTuple

from pydantic import BaseModel

from ..part import BadInput, Part, Spec, catalogue
from ..spec import Evaluation, Experiment
from ..wording import allowed


class Word(NamedTuple):
    """What "?" opens: one sentence, an example, and something to try."""

    sentence: str
    example: str
    lesson: str


GLOSSARY: dict[str, Word] = {
    "client": Word("A client is one holder of data, such as a phone, a hospital or a bank, that trains on its own rows "
                   "and never sends them away.",
                   "Ten hospitals are ten clients; each sends what its model learned, not its patients.",
                   "Raise the number of clients: the same rows are split into smaller shares."),
    "round": Word("In a round the server sends the model out, clients train it, and the server combines what comes "
                  "back.", "30 rounds with 10 clients are 300 trainings and 30 new models.",
                  "Run 10 rounds, then 30, and see where the curve flattens."),
    "local epoch": Word("A local epoch is one pass of a client over all of its own rows before it reports.",
                        "With 100 rows, batches of 20 and 2 epochs, a client takes 10 steps in a round.",
                        "Set 1, then 5: fewer rounds are needed, but clients that disagree drift apart."),
    "non-iid": Word("Data are non-IID when clients hold different kinds of rows, so that no client is a small copy of "
                    "the whole.", "One client has mostly the digits 0 and 1, another mostly 8 and 9.",
                    "Compare the partition iid with dirichlet at alpha 0.1."),
    "dirichlet alpha": Word("Alpha says how alike the clients' mixes of labels are: small = more different.",
                            "0.1: most clients hold two or three labels; 100: all hold nearly the same mix.",
                            "Move it from 100 to 0.1 and watch the picture of the partition."),
    "skew": Word("Skew is the share of each group's rows that the group's own clients hold; 0 mixes the groups.",
                 "0.9 with women and men: nine in ten of the women's rows lie with half of the clients.",
                 "Set 0, then 1: how do the redundant and unique parts of the gap change?"),
    "global disparity": Word("Global disparity is how much the model's answers tell about a person's group when all "
                             "clients are put together.",
                             "If 25 % of the men and 8 % of the women get the good answer, it is above zero.",
                             "It stands still in What if: moving rows between clients changes no prediction."),
    "local disparity": Word("Local disparity is how much the answers tell about the group inside the clients, once it "
                            "is known who holds a row.",
                            "Each hospital may treat its own patients alike while hospitals differ from each other.",
                            "Raise the skew and see local and global disparity part."),
    "unique": Word("The unique part of the disparity is in the answers alone, and knowing the client does not give it "
                   "away.", "With iid clients nearly all of the disparity is unique.",
                   "Choose the partition iid, then by group with skew 1."),
    "redundant": Word("The redundant part is what the answers tell about the group that the name of the client tells "
                      "as well. It does not mean that clients have no gap inside.",
                      "When women and men have different clients, the client gives the group away.",
                      "Raise the skew: the redundant part grows, and the gaps inside clients may stay."),
    "masked": Word("The masked part shows only when answer and client are looked at together; one of them alone does "
                   "not tell.", "One client favours women, another men: over all of them the rates are equal.",
                   "Choose the partition masked with lambda near 1."),
    "bits": Word("A bit is the amount of information in one fair yes-or-no answer; disparity is measured in bits.",
                 "1 bit would give the group away for certain (two equal groups); 0.01 bit hardly helps a guess.",
                 "Read the rate gap in percentage points first, then the bits."),
    "band": Word("The band is the range of values that chance alone can explain with this many rows.",
                 "A bar inside the band cannot be told from zero; that is not a proof of fairness.",
                 "Use fewer rows or more clients: the bands widen."),
    "withheld": Word("A withheld attribute is kept from the model as an input; other columns may still reveal it.",
                     "Without sex, the columns relationship and occupation give it away for most people.",
                     "Run with and without withholding: does the gap go away?"),
    "parity": Word("Parity asks whether groups get the favourable answer equally often, whatever the truth.",
                   "20 % of the men and 20 % of the women are given the loan.",
                   "Compare with opportunity: both can rarely be met at once."),
    "opportunity": Word("Opportunity asks whether those who deserve the favourable answer get it equally often in each "
                        "group.", "Of those who would repay, 80 % of the men and 80 % of the women get the loan.",
                        "Find a run where parity is small and opportunity is not."),
    "odds": Word("Odds asks that groups have equal rates of right and of wrong favourable answers.",
                 "Opportunity, and also: of those who would not repay, equal shares get the loan.",
                 "It is the strictest of the three: look at it last."),
    "epsilon": Word("Epsilon bounds how much the published models can tell about whether one client took part: small = "
                    "more private.", "1 is strong, 3 is usual in courses, above 10 promises little.",
                    "Set a target of 10, then 3, then 1, and read the accuracy."),
    "delta": Word("Delta is the chance that the promise of epsilon does not hold; it must be far below one in the "
                  "number of clients.", "With 1000 clients, 0.0005.",
                  "Leave it empty: it then follows the number of clients."),
    "clipping": Word("Clipping shortens what a client sends to a longest length, so that nobody can pull too hard.",
                     "With clip 0.5 a row of length 2 is sent at a quarter of its length.",
                     "A small clip slows learning; a large one needs more noise for the same epsilon."),
    "aggregator": Word("The aggregator is the rule by which the server makes one answer of what the clients sent.",
                       "mean averages; median takes the middle value, so that a few liars cannot carry it away.",
                       "Let one in five clients lie, and compare mean with median."),
    "codec": Word("A codec decides what of the update really goes over the wire, to save bytes.",
                  "top k with fraction 0.1 sends one entry in ten, each with its place.",
                  "Compare accuracy against megabytes, not against rounds."),
    "worst client": Word("The worst client is the one whose held-out rows the model gets wrong most often.",
                         "Mean accuracy 88 %, worst client 69 %: somebody is served badly.",
                         "Look at its number of rows first: a small client is also a noisy one."),
    "up and down": Word("Up is what clients send to the server, down is what the server sends to clients.",
                        "A model of 40 kB and 10 clients: 400 kB down and 400 kB up in each round.",
                        "Codecs save up; keeping layers at home saves both."),
    "liar": Word("A liar is a client that sends, or trains on, something false on purpose.",
                 "0.2 makes one client in five a liar, chosen by the seed; \"1, 4\" names clients 1 and 4.",
                 "Raise the share until the mean fails, then try the median."),
    "method": Word("A method is a published recipe: a choice of local training, aggregator, server and the rest that "
                   "belongs together.", "fedprox is fedavg with a pull back to where the round began.",
                   "Keep everything else as it is, change only the method, and compare the two runs."),
}

ALSO = {"alpha": "dirichlet alpha", "clients": "client", "rounds": "round", "local epochs": "local epoch",
        "epoch": "local epoch", "iid": "non-iid", "heterogeneity": "non-iid", "atoms": "unique", "clip": "clipping",
        "noise": "epsilon", "up": "up and down", "down": "up and down", "bytes": "up and down", "liars": "liar",
        "global": "global disparity", "local disparity": "local disparity", "aggregate": "aggregator"}

# Which term a field is about. Keys are `slot.field` for parts, and the field's own name for the experiment.
TERMS = {"partition": "non-iid", "partition.clients": "client", "partition.alpha": "dirichlet alpha",
         "partition.skew": "skew", "partition.lam": "masked", "rounds": "round", "local.epochs": "local epoch",
         "task.withhold": "withheld", "privatise": "epsilon", "privatise.epsilon": "epsilon",
         "privatise.delta": "delta", "privatise.clip": "clipping", "encode": "codec", "aggregate": "aggregator",
         "attack": "liar", "attack.liars": "liar", "method": "method"}

LABELS = {"task": "data set", "net": "model", "schedule": "who takes part", "distribute": "clients start from",
          "local": "local training", "encode": "codec", "privatise": "privacy", "aggregate": "aggregator",
          "evaluate.every": "read every … rounds", "evaluate.clients": "clients read", "evaluate.readings": "readings",
          "name": "name of the run", "partition.lam": "lambda", "local.lr": "step size", "server.lr": "server step",
          "task.sensitive": "compare groups by", "task.withhold": "withhold it from the model",
          "privatise.noise_multiplier": "noise", "privatise.epsilon": "target epsilon", "local.correct": "corrections",
          "local.epochs": "local epochs", "local.steps": "local steps", "schedule.clients": "only clients",
          "schedule.sampler": "sampler", "local.schedule": "step size over time", "local.lr_end": "step size left",
          "partition.min_rows": "rows at least"}

SAYS = {"task": "the rows and what is to be learned from them", "net": "the model that learns",
        "partition": "how the rows are dealt out to the clients", "schedule": "who takes part in a round, and when",
        "distribute": "what clients start a round from", "local": "how a client trains on its own rows",
        "encode": "what really goes over the wire", "attack": "what lying clients do",
        "privatise": "how one client's influence is bounded and hidden", "aggregate": "how the server combines rows",
        "server": "how the server turns the combined row into a new model", "sampler": "who is asked in a round",
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
    "privatise.noise_multiplier": "The noise added to the sum, in units of the clip: more noise is more private.",
    "aggregate.weights": "How much a client counts in the average: by its rows, all the same, or by rows up to a cap.",
    "server": "The server turns the combined update into the next model.",
    "server.lr": "The server step is the share of the combined update that is added to the model.",
    "evaluate.every": "How many rounds pass between two readings of the model; the last round is always read.",
    "evaluate.clients": "How many clients are read one by one; with very many clients reading all would be slow.",
    "evaluate.readings": "Readings are the figures taken of the model: how often it is right, and for whom.",
    "seed": "The seed fixes every random draw, so that the same settings give the same run again.",
    "precision": "How exactly weights and data are stored: float64 is more exact and slower.",
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
    return ", ".join([title(type(value)), *settings(value, everything)])


def settings(value: Spec, everything: bool = False, skip: tuple[str, ...] = ()) -> list[str]:
    """The set fields of a spec, each as "clip 0.5"; those that differ from their defaults, or all."""
    cls, words = type(value), []
    for name, field in cls.model_fields.items():
        held = getattr(value, name)
        same = not field.is_required() and held == field.get_default(call_default_factory=True)
        if held is None or held == () or name in skip or (same and not everything):
            continue
        words.append(_setting(SHORT.get(key_of(cls, name), label(cls, name)), held))
    return words


def _setting(called: str, value) -> str:
    """A field in a summary: "clip 0.5", "withheld", "not withheld"."""
    if isinstance(value, bool):
        return called if value else f"not {called}"
    return f"{called} {brief(value) if isinstance(value, Part) else spelled(value)}".strip()
