"""Generated specs: every field of every part in the catalogue, from its type and range."""

import functools
import json
import math
import types
import typing

import annotated_types as at
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import fedlab_widgets as fl
from fedlab_widgets.contracts.toy import beside
from fedlab_widgets.events import Stopped
from fedlab_widgets.part import Part

pytestmark = pytest.mark.usefixtures("own_catalogue")
GENERATED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
PRIVATE = fl.Mean(weights="uniform", denominator="expected")
draw = np.random.default_rng(5)
TASKS = {
    "groups": fl.from_arrays(draw.normal(size=(60, 5)), np.arange(60) % 2, group=np.arange(60) // 2 % 2,
                             client=np.arange(60) % 7, name="groups"),
    "races": fl.from_arrays(draw.normal(size=(80, 3)), draw.integers(0, 2, 80), group=draw.integers(0, 4, 80),
                            name="races"),
    "images": fl.from_arrays(draw.normal(size=(50, 1, 8, 8)), np.arange(50) % 3, name="images"),
    "rows": fl.from_arrays(draw.normal(size=(12, 2)), np.arange(12) % 2, name="rows"),
}
# What keeps a generated run short and finite: (least, most) of a field by name.
SMALL = {
    "clients": (1, 12), "epochs": (1, 2), "steps": (1, 3), "hidden": (1, 12), "channels": (1, 3), "lr": (1e-4, 0.5),
    "weight_decay": (0, 0.1), "mu": (0, 1), "scale": (0.1, 3), "rounds": (1, 2), "liars": (0, 1), "m": (1, 20),
    "min_rows": (0, 4), "clip": (0.01, 5), "noise_multiplier": (0.3, 3), "epsilon": (1, 20), "delta": (1e-6, 0.1),
    "tau": (1e-6, 1), "hold": (1, 100),
}
SLOTS = {name: field for name, field in fl.Experiment.model_fields.items()}


def bounds(marks):
    low = high = None
    for mark in marks:
        for m in mark.metadata if isinstance(mark, FieldInfo) else (mark,):
            if isinstance(m, (at.Gt, at.Ge)):
                low = m.gt if isinstance(m, at.Gt) else m.ge
            if isinstance(m, (at.Lt, at.Le)):
                high = m.lt if isinstance(m, at.Lt) else m.le
    return low, high


def house(slot):
    """The parts of the package itself: other tests may have registered theirs."""
    return [cls for cls in fl.catalogue(slot).values() if cls.__module__.startswith("fedlab_widgets.")]


def inner_slot(annotation):
    """The slot a field's annotation holds parts of, else None."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation.slot
    inner = [inner_slot(a) for a in typing.get_args(annotation)]
    return next((s for s in inner if s), None)


def good(name, annotation, marks=()):
    """Allowed values of a field, by its annotation and range, in small sizes."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return good(name, args[0], (*marks, *args[1:]))
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return st.deferred(lambda: part_of(annotation.slot))   # a partition may hold a partition
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return fields_of(annotation)
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(good(name, a, marks) for a in args))
    if origin is tuple:
        return st.lists(good(name, args[0]), min_size=1 if name != "correct" else 0, max_size=2)
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return {"layers": st.sampled_from(["*", "1.*", "*.bias", "nowhere"])}.get(name, st.just("text"))
    low, high = bounds(marks)
    least, most = SMALL.get(name, (low if low is not None else 0, high if high is not None else 10))
    least, most = max(least, low if low is not None else least), min(most, high if high is not None else most)
    if annotation is int:
        return st.integers(least, min(most, least + 50))
    assert annotation is float, annotation
    open_low, open_high = low == least, high == most
    return st.floats(least, most, exclude_min=open_low, exclude_max=open_high)


def fields_of(cls):
    """Some fields of a part or spec, the others left at their defaults; of alternatives at most one."""
    def tidy(fields):
        for names in cls.alternatives:
            given = [n for n in names if fields.get(n) is not None]
            fields = {k: v for k, v in fields.items() if k not in names or k == next(iter(given), None)}
        return fields

    offers = {name: good(name, f.annotation, f.metadata) for name, f in cls.model_fields.items()}
    return st.fixed_dictionaries({}, optional=offers).map(tidy)


@functools.cache   # hypothesis ends what goes round in circles when it meets the same strategy again
def part_of(slot):
    return st.one_of(*(fields_of(cls).map(lambda fields, name=cls.name: {"part": name} | fields)
                       for cls in house(slot)))


@st.composite
def experiments(draw):
    fields = {"task": draw(st.sampled_from(list(TASKS.values()))).model_dump(mode="json"), "rounds": 1}
    # Few slots at a time away from their defaults: else nearly everything is refused for one reason or another.
    for name in draw(st.lists(st.sampled_from([s for s in SLOTS if s not in ("task", "name", "rounds")]), max_size=6,
                              unique=True)):
        field = SLOTS[name]
        fields[name] = draw(good(name, field.annotation, field.metadata))
    corrections = fields.get("local", {}).get("correct", ())
    if fields.get("privatise") or any(c["part"] == "control_variate" for c in corrections):
        fields.setdefault("aggregate", PRIVATE.model_dump(mode="json"))
    return fields


def outcome(fields):
    """"finished", or the sentence of the refusal."""
    try:
        e = fl.Experiment.from_json(json.dumps(fields))
        assert fl.Experiment.from_json(e.to_json()) == e
        events = list(fl.stream(e))
    except fl.BadInput as refusal:
        text = str(refusal)
        assert "\n" not in text and 20 < len(text) < 700 and "Traceback" not in text, text
        return text
    assert events[-1] == Stopped(1, "finished"), events[-1]
    return "finished"


@pytest.mark.filterwarnings("ignore:.*delta.*")
@settings(GENERATED, max_examples=30)
@given(experiments())
@example({"task": TASKS["rows"].model_dump(mode="json"), "evaluate": {"readings": []}, "rounds": 1})
@example({"task": TASKS["groups"].model_dump(mode="json"), "partition": {"part": "natural"}, "rounds": 1})
def test_generated_specs_run_or_are_refused_in_a_sentence(fields):
    outcome(fields)


@pytest.mark.slow
@settings(GENERATED, max_examples=1500)
@given(experiments())
def test_many_generated_specs_run_or_are_refused_in_a_sentence(fields):
    outcome(fields)


@pytest.mark.parametrize("slot", sorted(set(SLOTS) & set(fl.catalogue()) - {"evaluate"}))
def test_every_part_of_the_house_runs_with_its_defaults(slot):
    for cls in house(slot):
        fields = {"task": TASKS["groups"].model_dump(mode="json"), "rounds": 1,
                  "partition": {"part": "iid", "clients": 10}, "aggregate": PRIVATE.model_dump(mode="json"),
                  } | {slot: {"part": cls.name}}
        if cls in (fl.Adult, fl.Austen, fl.Mnist, fl.Arrays):
            continue      # they have tests of their own
        fields = {name: part.model_dump(mode="json") for name, part in beside(cls()).items()} | fields | {
            name: part.model_dump(mode="json") for name, part in beside(cls()).items() if name != slot}
        if cls in (fl.CNN, fl.Rotated):
            fields["task"] = TASKS["images"].model_dump(mode="json")
        said = outcome(fields)
        assert said == "finished" or cls.name == "char_transformer", said   # which want rows of their own


def wrong(annotation, marks=(), optional=False):
    """Values that a field does not allow."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return wrong(args[0], (*marks, *args[1:]), optional)
    nothing = [] if optional else [st.none()]
    if inner_slot(annotation) and origin is not tuple and origin not in (typing.Union, types.UnionType):
        return st.one_of(*nothing, st.integers(), st.just("no_such_part"), st.just({"part": "no_such_part"}),
                         st.just({"lr": 1}), st.lists(st.integers(), max_size=2))
    if origin is typing.Literal:
        words = st.text(max_size=9).filter(lambda s: s not in (*args, "pydantic"))
        return st.one_of(*nothing, st.integers(), words, st.just([]))
    if origin in (typing.Union, types.UnionType):
        kinds = [a for a in args if a is not type(None)]
        if len(kinds) > 1:      # a share or a list of ids
            return st.sampled_from([-0.1, 1.5, "x", [-1], [0.5], ["x"], {}, math.nan, math.inf])
        return wrong(kinds[0], marks, optional=type(None) in args)
    if origin is tuple:
        return st.one_of(*nothing, st.integers(), st.text(max_size=5).filter(bool), st.lists(
            wrong(args[0]), min_size=1, max_size=2))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.one_of(*nothing, st.integers(), st.text(max_size=5), st.just({"x": 1}))
    if annotation is bool:
        return st.one_of(*nothing, st.sampled_from(["perhaps", 7, 0.5, []]))
    if annotation is str:
        return st.one_of(*nothing, st.integers(), st.just([]), st.floats())
    low, high = bounds(marks)
    no_number = [*nothing, st.sampled_from([math.nan, math.inf, -math.inf, "x", "", [], {}, [1], "1 000"])]
    if annotation is int:
        no_number.append(st.floats(allow_nan=False).filter(lambda v: v != int(v) if math.isfinite(v) else True))
        no_number += [] if low is None else [st.integers(max_value=low - 1)]
        no_number += [] if high is None else [st.integers(min_value=high + 1)]
        return st.one_of(*no_number)
    no_number += [] if low is None else [st.floats(max_value=low, exclude_max=True)]
    no_number += [] if high is None else [st.floats(min_value=high, exclude_min=True)]
    return st.one_of(*no_number)


def companions(cls):
    """What a part cannot do without; tasks stand alone."""
    return beside(cls()) if cls.slot != "task" else {}


def paths():
    """(changes that choose the part, path, annotation, marks) of every field reachable by a dotted path."""
    base = {"aggregate": PRIVATE}
    for name, field in SLOTS.items():
        yield base, name, field.annotation, field.metadata
    for name, field in fl.Evaluation.model_fields.items():
        yield base, f"evaluate.{name}", field.annotation, field.metadata
    for slot in sorted(set(SLOTS) & set(fl.catalogue()) - {"evaluate"}):   # in order: workers must collect alike
        for cls in house(slot):
            for name, field in cls.model_fields.items():
                path = f"{slot}.0.{name}" if slot == "fairness" else f"{slot}.{name}"   # a list of parts
                yield base | companions(cls) | {slot: cls()}, path, field.annotation, field.metadata
    for cls in house("sampler"):
        for name, field in cls.model_fields.items():
            chosen = base | {"schedule": fl.Lockstep(sampler=cls())}
            yield chosen, f"schedule.sampler.{name}", field.annotation, field.metadata
    for cls in house("correct"):
        for name, field in cls.model_fields.items():
            chosen = base | companions(cls) | {"local": fl.SGD(correct=(cls(),))}
            yield chosen, f"local.correct.0.{name}", field.annotation, field.metadata


PATHS = list(paths())


@pytest.mark.parametrize("chosen, path, annotation, marks", PATHS, ids=[f"{p[1]}-{i}" for i, p in enumerate(PATHS)])
def test_generated_wrong_values_are_refused_by_the_name_of_their_field(refused, chosen, path, annotation, marks):
    base = fl.Experiment().changed(**chosen)
    optional = path in ("attack", "personalise", "privatise")

    @settings(GENERATED, max_examples=25)
    @given(wrong(annotation, marks, optional))
    def check(value):
        if optional:
            assume(value not in ("none", "null", ""))
        text = refused(lambda: base.changed(**{path: value}), path.removesuffix(".0"))
        assert len(text) < 1000

    check()


NAMES = st.sampled_from(["part", "lr", "correct", "sampler", "q", "x", "hidden", "liars"]) | st.text(max_size=3)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
ANY_PATH = st.lists(st.sampled_from([*SLOTS, "lr", "correct", "0", "mu", "sampler", "q", "", "-1", "x"]), min_size=1,
                    max_size=4).map(".".join)


@settings(GENERATED, max_examples=150)
@given(st.dictionaries(st.sampled_from([*SLOTS, "schema", "x"]), JSON, max_size=3))
def test_any_json_is_an_experiment_or_refused(fields):
    try:
        e = fl.Experiment.from_json(json.dumps(fields))
    except fl.BadInput as refusal:
        assert "\n" not in str(refusal).replace(repr(fields), "")
    else:
        assert fl.Experiment.from_json(e.to_json()) == e


@settings(GENERATED, max_examples=150)
@given(st.dictionaries(ANY_PATH, JSON, min_size=1, max_size=3))
def test_any_change_is_made_or_refused(changes):
    try:
        e = fl.Experiment().changed(**changes)
    except fl.BadInput as refusal:
        assert str(refusal)
    else:
        assert fl.Experiment.from_json(e.to_json()) == e
