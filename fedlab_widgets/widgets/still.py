"""A finished run as a picture that needs no kernel, no widget and no network: inline SVG and a small table.

It is the board's plot of convergence (`static/plots.js`): the same lines, colours, dashes and words. Its text keeps its
size on a narrow page, where the picture scrolls.
"""

from __future__ import annotations

import math
from html import escape

from ..forecast import size
from ..part import BadInput
from ..recipes import BOOK
from ..run import Run
from . import words
from .board import LINES
from .fairness import headline
from .host import METHOD
from .panel import reading

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 640, 250, 48, 12, 8, 38
TINTS = ("sky", "green", "purple", "orange", "yellow", "blue")
DASHES = ("", "6 3", "2 3")
LIGHT = {"blue": "#0072b2", "sky": "#56b4e9", "orange": "#e69f00", "green": "#009e73", "vermillion": "#d55e00",
         "purple": "#cc79a7", "yellow": "#c9b800", "label": "#b34700", "soft": "#575757", "card": "#fff"}
DARK = {"blue": "#56b4e9", "sky": "#8fd0f5", "orange": "#f0b02e", "green": "#2cc79b", "vermillion": "#ff8a3d",
        "purple": "#e39cc3", "yellow": "#f0e442", "label": "#ff9a57", "soft": "#bdbdbd", "card": "#111"}
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def still(run: Run) -> str:
    """Accuracy by round and the last figures, as HTML. Empty for a run without a reading."""
    history = run.history
    read = history[history.accuracy.notna()] if len(history) else history
    if not len(read):
        return ""
    rounds = read["round"].astype(int).tolist()
    lines, worst = _lines(run, read)
    values = [v for _, line, *_ in lines for v in line if v == v] + [v for v in [run.majority] if v == v]
    more = max(0.08 * (max(values) - min(values)), 0.02)
    low, high = max(min(values) - more, 0), min(max(values) + more, 1.005)

    def x(r: float) -> float:
        return LEFT + (r - rounds[0]) / max(rounds[-1] - rounds[0], 1) * (WIDTH - LEFT - RIGHT)

    def y(v: float) -> float:
        return (high - v) / (high - low) * (HEIGHT - FOOT - TOP) + TOP

    marks = _axes(x, y, low, high, rounds)
    if run.majority == run.majority:
        marks.append(_line([(LEFT, y(run.majority)), (WIDTH - RIGHT, y(run.majority))], "soft", 1.5, "9 5", "guessing"))
    for name, line, colour, width, dash in lines:
        at = [(x(r), y(v)) for r, v in zip(rounds, line, strict=True) if v == v]
        marks.append(_line(at, colour, width, dash, name))
    marks += _names(lines, worst, run.majority, x, y, rounds)
    name = escape(run.experiment.name)
    return (f'<figure class="fedlab-still" aria-label="A picture of the last finished run: {name}" '
            f'style="margin:8px 0;max-width:{WIDTH}px;font-size:13px">{_style()}'
            f'<figcaption><b>A picture of the last finished run: {name}</b><br>{_caption(run)}</figcaption>'
            f'<div style="overflow-x:auto" tabindex="0" role="group" aria-label="Accuracy by round, as a picture">'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'style="max-width:none;display:block" role="img" aria-label="Accuracy by round" font-size="12" '
            f'fill="currentColor">{"".join(marks)}</svg></div>'
            f'{_key(lines, run)}{_table(run, read)}</figure>{_inside(run)}')


def _lines(run: Run, read) -> tuple[list[tuple], str]:
    """(name, values by reading, colour, width, dash) of each line, in the order drawn; who is worst at the end."""
    from ..figures import client_accuracy, worst_of  # plotly comes with it

    each = client_accuracy(run).reindex(read["round"].astype(int))
    last = each.iloc[-1].dropna()
    few = 0 < each.shape[1] <= LINES
    lines = [(name, each[name].tolist(), TINTS[i % 6], 1, DASHES[i // 6 % 3])
             for i, name in enumerate(each) if few]
    worst = f"worst: {worst_of(run, last)}" if len(last) else ""
    if few and worst:
        lines.append(("worst client at the end", each[last.idxmin()].tolist(), "vermillion", 2, ""))
    elif read.worst_client.notna().any():
        lines += [("best client of each round", read.best_client.tolist(), "sky", 1, ""),
                  ("worst client of each round", read.worst_client.tolist(), "vermillion", 1.5, "")]
    return [*lines, ("mean client", read.mean_client.tolist(), "blue", 2, "7 4"),
            ("test set", read.accuracy.tolist(), "", 3, "")], worst


def _axes(x, y, low: float, high: float, rounds: list[int]) -> list[str]:
    step = next((s for s in STEPS if (high - low) / s <= 6), 0.2)
    ticks = [i * step for i in range(math.ceil(low / step - 1e-9), int(high / step + 1e-9) + 1)]
    marks = [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#7f7f7f" '
             f'stroke-opacity=".16"/><text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">'
             f'{100 * v:.{0 if step >= 0.01 else 1}f} %</text>' for v in ticks]
    span = rounds[-1] - rounds[0]
    every = next(s * 10 ** k for k in range(9) for s in (1, 2, 5) if span / (s * 10 ** k) <= 6)
    for r in sorted({r for r in range(0, rounds[-1] + 1, every) if r >= rounds[0]} or {rounds[0]}):
        marks.append(f'<text x="{x(r):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{r}</text>')
    return [*marks, f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">rounds</text>']


def _line(at: list[tuple], colour: str, width: float, dash: str, name: str) -> str:
    """A line through points of the picture; a single one is a dot."""
    paint = f"var(--fs-{colour},{LIGHT[colour]})" if colour else "currentColor"
    if len(at) == 1:
        return (f'<circle cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="{width + 1.5}" style="fill:{paint}"><title>'
                f'{escape(name)}</title></circle>')
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
    faint = ' stroke-opacity=".6"' if width == 1 else ""
    return (f'<polyline points="{points}" fill="none" style="stroke:{paint}" stroke-width="{width}" '
            f'stroke-dasharray="{dash}"{faint}><title>{escape(name)}</title></polyline>')


def _names(lines: list[tuple], worst: str, majority: float, x, y, rounds: list[int]) -> list[str]:
    """The names along the worst client's line and the guessing line, each on the side with fewer lines."""
    heights = [[y(v) for v in line if v == v] for _, line, *_ in lines]
    ends = [h for line in heights for h in line[-max(len(line) // 3, 1):]]   # under the words, which end at the right
    texts, taken = [], [y(majority)] if majority == majority else []

    def place(text: str, at: float, colour: str, dot: bool) -> None:
        room = [at + d for d in (16, -8, 30, -22) if TOP + 10 < at + d < HEIGHT - FOOT - 2] or [at - 8]
        best = min(room, key=lambda h: sum(abs(e - h + 4) < 8 for e in ends)
                   + 1000 * sum(abs(t - h + 4) < 12 for t in taken))
        taken.append(best - 4)
        mark = f'<circle cx="{x(rounds[-1]):.1f}" cy="{at:.1f}" r="3.5" style="fill:var(--fs-vermillion,#d55e00)"/>'
        texts.append(f'{mark if dot else ""}<text x="{WIDTH - RIGHT - 6}" y="{best:.1f}" text-anchor="end" style="fill:'
                     f'var(--fs-{colour},{LIGHT[colour]});stroke:var(--fs-card,#fff);stroke-width:4px;'
                     f'stroke-linejoin:round;paint-order:stroke">{escape(text)}</text>')

    line = next((line for name, line, *_ in lines if name.startswith("worst client")), [])
    known = [v for v in line if v == v]
    if worst and known:
        place(worst, y(known[-1]), "label", True)
    if majority == majority:
        taken.remove(y(majority))
        place(f"always guessing: {majority:.1%}".replace("%", " %"), y(majority), "soft", False)
    return texts


def _key(lines: list[tuple], run: Run) -> str:
    """What each line is, in the board's order: a short piece of it and its name."""
    shown = {name: (colour, width, dash) for name, _, colour, width, dash in lines if not name.startswith("client ")}
    if any(name.startswith("client ") for name, *_ in lines):
        shown["clients"] = ("sky", 1, "")
    order = [n for n in ("test set", "mean client", "clients", "best client of each round", *shown) if n in shown]
    shown["always the commonest label"] = ("soft", 1.5, "7 3")
    pieces = [f'<span style="display:inline-block;margin-right:12px"><svg width="26" height="10" aria-hidden="true" '
              f'fill="currentColor">{_line([(1, 5), (25, 5)], *shown[n][:2], shown[n][2], n)}</svg> {n}</span>'
              for n in dict.fromkeys([*order, "always the commonest label"])]
    return f'<div style="color:var(--fs-soft,#575757);font-size:12px">{"".join(pieces)}</div>'


def _caption(run: Run) -> str:
    e = run.experiment
    said = [words.brief(e.task), words.brief(e.partition, everything=True), f"method {_method(run)}",
            f"{len(run.history):,} rounds", f"seed {e.seed}"]
    said += [f"{words.label(type(e), slot)} {words.brief(getattr(e, slot), everything=True)}"
             for slot in ("attack", "privatise") if getattr(e, slot) is not None]
    return escape("; ".join(said)) + f'.<br>Run folder: <code>{escape(str(run.path))}</code>'


def _method(run: Run) -> str:
    """The recipe with the run's own parts, "adapted" where their settings differ."""
    e, slots = run.experiment, set(METHOD) - {"partition"}
    parts = {name: [getattr(book.experiment, slot) for slot in slots] for name, book in BOOK.items()}
    own = [getattr(e, slot) for slot in slots]
    like = [name for name, some in parts.items() if _kinds(some) == _kinds(own)]
    same = [name for name in like if parts[name] == own]
    name = next((n for n in (e.name, *same, *like) if n in (same or like)), "")
    return f"{name}{'' if same else ', adapted'}" if name else (
        f"of its own ({', '.join(words.title(type(part)) for part in (e.local, e.aggregate, e.server))})")


def _kinds(parts: list) -> list:
    return sorted(str(type(p)) + str([type(c) for c in getattr(p, "correct", ())]) for p in parts)


def _table(run: Run, read) -> str:
    last, history = read.iloc[-1], run.history
    figures = [("test set", f"{last.accuracy:.1%}"), ("always guessing", f"{run.majority:.1%}"),
               ("mean client", f"{last.mean_client:.1%}"), ("worst client", f"{last.worst_client:.1%}"),
               ("sent up", size(history.bytes_up.sum())), ("sent down", size(history.bytes_down.sum()))]
    if last["unique"] == last["unique"]:
        figures += [("global disparity", f"{last.global_disparity:.4f} bits"),
                    ("local disparity", f"{last.local_disparity:.4f} bits")]
    if last.epsilon == last.epsilon:
        figures.append(("epsilon spent", f"{last.epsilon:.3g}"))
    cells = "".join(f'<tr><th scope="row" style="text-align:left">{k}</th><td>{v.replace("%", " %")}</td></tr>'
                    for k, v in figures if "nan" not in v)
    try:
        gap = f"<p>{escape(headline(reading(run, draws=0)))}</p>"
    except BadInput:   # no groups, or nothing to be favoured by
        gap = ""
    return f'<table><caption>After round {last["round"]:.0f}</caption><tbody>{cells}</tbody></table>{gap}'


def _inside(run: Run) -> str:
    """What the run's parts remembered at its end."""
    from .view_html import page  # which takes its colours from here

    cards = page(run.views)
    return f'<section class="fedlab-still" aria-label="Inside the method">{cards}</section>' if cards else ""


def _style() -> str:
    """The board's colours, for a light page and a dark one; where a page drops this, the light ones stand in place."""
    light, dark = (";".join(f"--fs-{k}:{v}" for k, v in colours.items()) for colours in (LIGHT, DARK))
    # A page without the lab would begin with "model not found".
    gone = ".jp-OutputArea:has(.fedlab-still):not(:has(.fedlab-lab)) .jupyter-widgets{display:none}"
    return f'<style>{gone}.fedlab-still{{{light}}}[data-jp-theme-light="false"] .fedlab-still{{{dark}}}</style>'
