"""An experiment as Python: the shortest source that makes exactly it, for a cell, a script or a paper's appendix."""

from __future__ import annotations

from typing import Any

from .part import Part, Spec
from .tasks import Arrays

WIDTH = 100   # columns that a call may take on one line


def as_python(experiment) -> str:
    """A cell that makes this experiment and runs it.

    >>> import fedlab_widgets as fl
    >>> print(as_python(fl.recipe("fedprox").changed(rounds=5)))
    import fedlab_widgets as fl
    <BLANKLINE>
    experiment = fl.recipe("fedprox").changed(rounds=5)
    run = fl.run(experiment)
    <BLANKLINE>
    """
    return cell(experiment) + "run = fl.run(experiment)\n"


def cell(experiment) -> str:
    """The import, what must be there first, and `experiment = …`; nothing runs."""
    return "\n".join(["import fedlab_widgets as fl", "", *_before(experiment),
                      f"experiment = {expression(experiment)}", ""])


def expression(experiment) -> str:
    """One expression: `fl.Experiment(…)` with what differs from the defaults, or a recipe with what was changed in it.

    `fl` is the package, `task` the task where the rows are the user's own, and own parts go by their class.
    """
    from .recipes import BOOK  # they are made of experiments

    offers = [_made(experiment)]
    for name, entry in BOOK.items():
        for deep in (False, True):
            changes = dict(_changes(entry.experiment, experiment, deep))
            offers.append(f"fl.recipe({_plain(name)})" + (_changed(changes) if changes else ""))
    return min(offers, key=len)


def _before(experiment) -> list[str]:
    """Lines that say what the cell cannot hold, and a task's fingerprint in place of its rows."""
    own = sorted({type(p).__name__ for p in _parts(experiment) if not _house(type(p))})
    lines = [f"# {name} is a part of your own: run the cell that defines it first." for name in own]
    task = experiment.task
    if isinstance(task, Arrays):
        form = " × ".join(map(str, task.shape)) or "unknown shape"
        group = ", group=…" if task.groups not in ((), ("all",)) else ""
        made = task.made_by
        if made.startswith("fl.from_arrays"):
            made = f"fl.from_arrays(X, y{group}, name={_plain(task.title)})"
        lines += [f"# Your own rows ({form}) cannot be written as code; this is their fingerprint. In a new session,",
                  "# make the task again from the same rows first (with client= if it had one): it finds them then.",
                  f"#     {made}",
                  f"task = {_made(task)}"]
    return lines


def _parts(value: Any):
    """All parts inside a spec, itself included."""
    if isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, Spec):
        if isinstance(value, Part):
            yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))


def _house(cls: type) -> bool:
    return cls.__module__.startswith(__package__ + ".")


def _made(spec: Spec, indent: int = 0) -> str:
    """The constructor with the fields that differ from their defaults."""
    cls = type(spec)
    given = {name: getattr(spec, name) for name, field in cls.model_fields.items()
             if getattr(spec, name) != field.get_default(call_default_factory=True)}
    return _call(("fl." if _house(cls) else "") + cls.__name__, _tidy(cls, given), indent)


def _changes(old: Spec, new: Spec, deep: bool, prefix: str = ""):
    """(path, value) of what differs; deep: field by field where both hold the same part."""
    both = {name: (getattr(old, name), getattr(new, name)) for name in type(new).model_fields}
    differ = {name: pair for name, pair in both.items() if pair[0] != pair[1]}
    for name in _tidy(type(new), {name: pair[1] for name, pair in differ.items()}):
        was, now = differ[name]
        if deep and isinstance(now, Spec) and type(was) is type(now):
            yield from _changes(was, now, deep, f"{prefix}{name}.")
        else:
            yield prefix + name, now


def _tidy(cls: type[Spec], given: dict) -> dict:
    """Of alternatives the one that holds: naming it clears the others."""
    cleared = {n for names in cls.alternatives for n in names
               if given.get(n, 0) is None and any(given.get(other) is not None for other in names)}
    return {name: value for name, value in given.items() if name not in cleared}


def _changed(changes: dict) -> str:
    """`.changed(rounds=3)`, or `.changed(**{"local.lr": 0.05})` where a path leads into a part."""
    if all(name.isidentifier() for name in changes):
        return _call(".changed", changes, 0)
    line = ", ".join(f"{_plain(path)}: {_source(value, 0)}" for path, value in changes.items())
    if len(line) < WIDTH and "\n" not in line:
        return f".changed(**{{{line}}})"
    lines = "".join(f"    {_plain(path)}: {_source(value, 4)},\n" for path, value in changes.items())
    return f".changed(**{{\n{lines}}})"


def _call(name: str, given: dict, indent: int) -> str:
    line = f"{name}({', '.join(f'{k}={_source(v, indent)}' for k, v in given.items())})"
    if len(line) + indent < WIDTH and "\n" not in line:
        return line
    pad = " " * (indent + 4)
    lines = "".join(f"{pad}{k}={_source(v, indent + 4)},\n" for k, v in given.items())
    return f"{name}(\n{lines}{' ' * indent})"


def _source(value: Any, indent: int) -> str:
    if isinstance(value, Arrays):
        return "task"
    if isinstance(value, Spec):
        return _made(value, indent)
    if isinstance(value, tuple):
        return "(" + ", ".join(_source(v, indent) for v in value) + ("," if len(value) == 1 else "") + ")"
    return _plain(value)


def _plain(value: Any) -> str:
    """A value as it is typed, texts in double quotes where that is all it takes."""
    return f'"{value}"' if repr(value) == f"'{value}'" and '"' not in value else repr(value)
