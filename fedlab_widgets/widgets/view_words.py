"""What recorded views say in words and numbers, for the pictures of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ..types import View

Reading = tuple[int, View]


def number(value: float | None) -> str:
    """Three digits, or all that stand before the point.

    >>> number(0.12345), number(-2.0), number(12345.6), number(None)
    ('0.123', '−2', '12,346', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def brief(value: float | None) -> str:
    """Two digits behind the point, for a cell."""
    if value is None or not math.isfinite(value):
        return "–"
    said = f"{value:.2f}" if abs(value) < 9.995 else f"{value:,.0f}"
    return said.rstrip("0").rstrip(".").replace("-", "−") if "." in said else said.replace("-", "−")


def short(labels: Sequence[str]) -> tuple[str, list[str]]:
    """(the words that all labels begin with, the rest of each).

    >>> short(("client 0", "client 11"))
    ('client', ['0', '11'])
    """
    labels = list(map(str, labels))
    first = [label.rpartition(" ")[0] for label in labels]
    if len(labels) > 1 and first[0] and len(set(first)) == 1:
        return first[0], [label.rpartition(" ")[2] for label in labels]
    return "", labels


def sentence(read: Sequence[Reading]) -> str:
    """What the newest of some readings shows, in words."""
    round, view = read[-1]
    return f"After round {round}: {SENTENCES[view.kind](view)}."


def _named(view: View) -> list[tuple[str, float]]:
    return [(str(n), v) for n, v in zip(view.labels, view.values, strict=False) if v is not None and math.isfinite(v)]


def _lines_said(view: View) -> str:
    known = _named(view)
    if not known:
        return "nothing to read"
    if len(known) <= 4:
        return ", ".join(f"{name}{':' * name[-1:].isdigit()} {number(v)}" for name, v in known)
    low, high = min(v for _, v in known), max(v for _, v in known)
    if low == high:
        return f"all {len(known)} are {number(low)}"

    def who(value):
        names = [name for name, v in known if v == value]
        return f"{names[0] if len(names) == 1 else f'{len(names)} of them'} ({number(value)})"

    return f"highest {who(high)}, lowest {who(low)}, of {len(known)}"


def _matrix_said(view: View) -> str:
    own = without_itself(view)
    known = [(v, i, j) for i, row in enumerate(view.values) for j, v in enumerate(row)
             if v is not None and math.isfinite(v) and not (own and i == j)]
    if not known:
        return "nothing to read"
    low, high = min(known)[0], max(known)[0]
    names = [*map(str, view.labels), *map(str, range(len(view.labels), len(view.values) + len(view.values[0])))]
    if low == high:
        return f"{number(low)} everywhere" + (", each with itself left out" if own else "")

    def who(value):
        pairs = sorted({(min(i, j), max(i, j)) for v, i, j in known if v == value})
        return f"for {len(pairs)} pairs" if len(pairs) > 1 else f"between {names[pairs[0][0]]} and {names[pairs[0][1]]}"

    return f"largest {who(high)} ({number(high)}); smallest {who(low)} ({number(low)})"


def _graph_said(view: View) -> str:
    nodes = max(len(view.labels), len(view.values))
    said = f"{nodes} nodes and {len(view.links)} link{'s' * (len(view.links) != 1)}"
    return said + (f"; {_lines_said(view)}" if _named(view) else "")


def _tree_said(view: View) -> str:
    now = sorted((first, last) for _, first, last, on in view.values if on)
    spans = [f"{a:g}" if a == b else f"{a:g}–{b:g}" for a, b in now]
    more = f" and {len(spans) - 8} more" if len(spans) > 8 else ""
    if view.labels:
        lowest = min(level for level, *_, on in view.values if on) if now else 0
        ends = sum(1 for level, *_, on in view.values if on and level == lowest)
        return f"{len(now)} boxes over {view.labels[0]}, {ends} of them at the lowest level, {lowest:g}"
    which = f": rounds {', '.join(spans[:8])}{more}" if now else ""
    return f"{len(now)} of {len(view.values)} intervals count now{which}"


def _text_said(view: View) -> str:
    return ", ".join(f"{label}: {len(text):,} characters" for label, text in view.values)


SENTENCES = {"text": _text_said, "lines": _lines_said, "matrix": _matrix_said, "graph": _graph_said, "tree": _tree_said}


def over_rounds(read: Sequence[Reading]) -> dict[str, list[tuple[int, float]]]:
    """label -> (round, value) of views of lines, in the order that labels come up; None and NaN are left out."""
    found: dict[str, list] = {}
    for round, view in read:
        for label, value in zip(view.labels, view.values, strict=False):
            line = found.setdefault(str(label), [])
            if value is not None and math.isfinite(value):
                line.append((round, value))
    return found


def samples(read: Sequence[Reading]) -> list[tuple[str, str]]:
    """(label, text) of views of text: the first, one from the middle, and the last.

    >>> samples([(n, View("text", "", "", values=((f"round {n}", "a" * n),))) for n in range(1, 6)])
    [('round 1', 'a'), ('round 3', 'aaa'), ('round 5', 'aaaaa')]
    """
    every = list({label: text for _, view in read for label, text in view.values}.items())
    return [every[i] for i in sorted({0, len(every) // 2, len(every) - 1})]


def extremes(lines: Mapping[str, list]) -> list[str]:
    """Which of many lines are named: the two that end highest and the two that end lowest."""
    ends = [name for name, line in lines.items() if line]
    ends.sort(key=lambda name: -lines[name][-1][1])   # of equal ones the first come first
    return list(dict.fromkeys([*ends[:2], *ends[-2:]]))


def without_itself(view: View) -> bool:
    """Whether a matrix has nothing to say on its diagonal: each with itself is the same number for all, and no other
    is larger. The scale then is that of the others."""
    values = view.values
    n = len(values)
    own = {values[i][i] for i in range(n)} if all(len(row) == n for row in values) else set()
    return n > 1 and len(own) == 1 and all(v is None or own == {None} or v <= max(own) for row in values for v in row)


def table(view: View) -> str:
    """The numbers of the newest reading."""
    names = list(map(str, view.labels))
    if view.kind == "text":
        head, rows = ("sample", "characters"), [(label, number(len(text))) for label, text in view.values]
    elif view.kind == "tree":
        head, rows = ("level", "first", "last", "counts"), [tuple(map(number, row)) for row in view.values if row[3]]
    elif view.kind == "matrix":
        kind, names = short(names)
        columns = max(map(len, view.values), default=0)
        head = (kind or "name", *(names if len(names) == columns else map(str, range(columns))))
        rows = [(name, *map(number, row)) for name, row in zip(names, view.values, strict=False)]
    else:
        head, rows = ("name", "value"), [(n, number(v)) for n, v in zip(names, view.values, strict=False)]
        if view.kind == "graph":
            linked = [sorted({*(j for i, j in view.links if i == k), *(i for i, j in view.links if j == k)})
                      for k in range(len(names))]
            ends = short(names)[1]
            head, rows = (*head, "linked with"), [(*row, ", ".join(ends[j] for j in its))
                                                  for row, its in zip(rows, linked, strict=False)]
    top = "".join(f"<th scope=col>{escape(h)}" for h in head)
    body = "".join(f"<tr><th scope=row>{escape(row[0])}" + "".join(f"<td>{escape(c)}" for c in row[1:]) for row in rows)
    return (f'<div class=fv-wide tabindex=0 role=group aria-label="{escape(view.title)}: numbers"><table><thead>'
            f"<tr>{top}<tbody>{body}</table></div>")
