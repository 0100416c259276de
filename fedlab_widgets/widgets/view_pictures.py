"""The picture of each kind of view as inline SVG: pure functions of what was recorded.

A picture is as wide as a narrow page and grows with its card. Each function gives its height, its marks, and the key
beneath it as HTML.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from .still import LIGHT
from .view_words import brief, extremes, number, over_rounds, short, without_itself

WIDTH, LEFT, TOP, FOOT = 340, 40, 10, 34
FEW = 8             # lines that are coloured and named; of more, only the extremes
POINTS = 2500       # of all lines of a picture together
SHADES = (0.06, 0.16, 0.27, 0.38, 0.49, 0.6, 1.0)   # of one hue over the page's ground, faint to strong
TINTS = ("blue", "vermillion", "green", "purple", "orange", "sky", "soft", "yellow")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 3", "12 4", "6 2 1 2")
NAME = 14           # letters that fit beside a line


def _lines(read, last):
    lines, high = over_rounds(read), 220
    several = len(lines) > FEW
    named = extremes(lines) if several else list(lines)
    long = max((len(n) for n in named), default=0) > NAME and not several
    right = WIDTH - (12 + 6.4 * max([min(len(n), NAME) * (not long) + 6 for n in named], default=6))
    rounds, values = [r for r, _ in read] + [last], [v for line in lines.values() for _, v in line] or [0]
    first, low, top, ticks = rounds[0], *_range(min(values), max(values))

    def place(point):
        r, v = point
        return (LEFT + (r - first) / max(last - first, 1) * (right - LEFT),
                TOP + (top - v) / (top - low) * (high - FOOT - TOP))

    marks = [f'<path d="M{LEFT} {place((first, t))[1]:.1f}H{right:.0f}" stroke="#888" stroke-opacity=".25"/>'
             + _text(LEFT - 5, place((first, t))[1] + 4, number(t), "end") for t in ticks]
    marks += _rounds(lambda r: place((r, low))[0], first, last, high)
    most = max(POINTS // max(len(lines), 1), 40)
    marks += [_line(list(map(place, _thin(line, most))), "soft", 1, "", name, ".45")
              for name, line in lines.items() if several and name not in named]
    ends = []
    for i, name in enumerate(named):
        if lines[name]:
            at = list(map(place, _thin(lines[name], most)))
            marks.append(_line(at, TINTS[i], 2.2, DASHES[i], name))
            words = number(lines[name][-1][1])
            ends.append((*at[-1], words if long else f"{_cut(name)} {words}", TINTS[i], name))
    marks += _ends(ends, high - FOOT)
    key = ""
    if long:
        key = "".join(f'<span><svg width="26" height="10" aria-hidden="true">'
                      f"{_line([(1, 5), (25, 5)], TINTS[i], 2.2, DASHES[i])}</svg> {escape(name)}</span>"
                      for i, name in enumerate(named))
    if several:
        key = f"<span>thin: the other {len(lines) - len(named)}</span>"
    return high, "".join(marks), f"<div class=fv-key>{key}</div>" if key else ""


def _ends(ends, floor):
    """Names beside the ends of lines, moved apart until none lies on another."""
    ends = sorted(ends, key=lambda e: e[1])
    heights, at = [], -math.inf
    for _, y, *_ in ends:
        heights.append(at := max(y, at + 12.5))
    at = floor + 4
    for i in reversed(range(len(heights))):
        heights[i] = at = min(heights[i], at - 12.5 * (i < len(heights) - 1))
    return [f'<path d="M{x + 2:.1f} {y:.1f}L{x + 8:.1f} {h:.1f}" fill="none" style="stroke:{_tint(tint)}"/>'
            + _text(x + 10, h + 4, said, title=name)
            for (x, y, said, tint, name), h in zip(ends, heights, strict=True)]


def _matrix(read, _):
    view = read[-1][1]
    rows, columns = len(view.values), max(map(len, view.values), default=0)
    if not rows or not columns:
        return 20, "", ""
    own = without_itself(view)
    kind, names = short(view.labels)
    scale = Scale(v for i, row in enumerate(view.values) for j, v in enumerate(row) if not (own and i == j))
    across = names if rows == columns == len(names) else [str(j) for j in range(columns)]
    gutter = 18 + 6.2 * max((min(len(n), 10) for n in names), default=1)
    upright = max(map(len, across)) * 6.4 > (WIDTH - gutter) / columns * _every(columns)
    above = 10 + (6.2 * min(max(map(len, across)), 10) if upright else 8) + 12 * bool(kind)
    cell = min((WIDTH - gutter - 4) / columns, 260 / rows if rows < 4 else 300 / rows)
    drawn, cells, words = {}, [], []
    for i, row in enumerate(view.values):
        for j, v in enumerate(row):
            x, y = gutter + j * cell, above + i * cell
            if own and i == j:
                words.append(f'<path d="M{x + 2:.1f} {y + 2:.1f}l{cell - 4:.1f} {cell - 4:.1f}" stroke="#888"/>'
                             if cell > 8 else "")
                continue
            paint = scale.paint(v)
            if columns <= 20:
                said = f"{names[i] if i < len(names) else i} and {across[j]}: {number(v)}"
                cells.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - .6:.1f}" height="{cell - .6:.1f}" '
                             f'style="{paint}"><title>{escape(f"{kind} {said}".strip())}</title></rect>')
            else:   # one path a shade: thousands of cells stay small
                drawn.setdefault(paint, []).append(f"M{j} {i}h1v1h-1z")
            if cell >= 27:
                words.append(_text(x + cell / 2, y + cell / 2 + 4, brief(v), "middle", ink=scale.ink(v)))
    inside = f"translate({gutter:.1f} {above:.1f}) scale({cell:.4f})"
    cells += [f'<path d="{"".join(d)}" transform="{inside}" style="{paint}"/>' for paint, d in drawn.items()]
    words += [_text(gutter - 5, above + (i + 0.5) * cell + 4, _cut(n, 10), "end") for i, n in enumerate(names[:rows])
              if i % _every(rows) == 0]
    for j in range(0, columns, _every(columns)):
        x = gutter + (j + 0.5) * cell
        turn = f' transform="rotate(-90 {x + 4:.1f} {above - 5:.1f})"' if upright else ""
        words.append(_text(x + 4 * upright, above - 5, _cut(across[j], 10), "start" if upright else "middle",
                           more=turn))
    if kind:
        words.append(_text(gutter, 11, kind))
    frame = (f'<rect x="{gutter:.1f}" y="{above:.1f}" width="{columns * cell:.1f}" height="{rows * cell:.1f}" '
             f'fill="none" stroke="#888" stroke-opacity=".5"/>')
    return above + rows * cell + 4, "".join([*cells, frame, *words]), scale.key(
        "each with itself is left out" if own else "")


def _graph(read, _):
    view = read[-1][1]
    nodes, high, middle = max(len(view.labels), len(view.values)), 300, 148
    if not nodes:
        return 20, "", ""
    kind, names = short(view.labels or [str(i) for i in range(nodes)])
    scale, r = Scale(view.values), min(13.0, math.pi * 112 / nodes * 0.8)
    inside = r >= 10 and max(map(len, names)) <= 3
    at = [(WIDTH / 2 + 116 * math.sin(2 * math.pi * i / nodes), middle - 116 * math.cos(2 * math.pi * i / nodes))
          for i in range(nodes)]
    lines = "".join(f"M{at[i][0]:.0f} {at[i][1]:.0f}L{at[j][0]:.0f} {at[j][1]:.0f}" for i, j in view.links)
    every = _every(nodes, 24)
    marks = [f'<path d="{lines}" fill="none" style="stroke:var(--ink,#1f1f1f)" stroke-opacity="'
             f'{0.55 if len(view.links) <= 120 else 0.22}"/>']
    for i, (x, y) in enumerate(at):
        v = view.values[i] if i < len(view.values) else None
        said = f"{kind} {names[i]}".strip() + (f": {number(v)}" if v is not None else "")
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"'
        marks.append(f'<circle {place} style="fill:var(--ground,#fff)"/><circle {place} style="{scale.paint(v)};'
                     f'stroke:var(--ink,#1f1f1f)"><title>{escape(said)}</title></circle>')
        if inside:
            marks.append(_text(x, y + 4, names[i], "middle", ink=scale.ink(v)))
        elif i % every == 0 and (i == 0 or nodes - i >= every):   # the last beside the first would lie on it
            out = 1 + (r + 6) / 116
            sine = (x - WIDTH / 2) / 116
            anchor = "middle" if abs(sine) < 0.3 else "start" if sine > 0 else "end"
            marks.append(_text(WIDTH / 2 + (x - WIDTH / 2) * out, middle + (y - middle) * out + 4, _cut(names[i], 8),
                               anchor))
    return high, "".join(marks), scale.key(f"a circle is a {kind or 'node'}, a line a link" if nodes else "")


def _tree(read, _):
    round, view = read[-1]
    if not view.values:
        return 20, "", ""
    unit = view.labels[0] if view.labels else "rounds"   # of what the tree's leaves are
    levels = sorted({level for level, *_ in view.values})
    end, tall = max(last for _, _, last, _ in view.values), min(26, 180 / len(levels))
    high, left = TOP + 12 + tall * len(levels) + FOOT, 52
    step, most = (WIDTH - left - 10) / end, max(abs(on) for *_, on in view.values) or 1
    place = lambda r: left + (r - 1) * step   # noqa: E731
    marks = []
    for level, first, last, on in view.values:
        x, y, wide = place(first), TOP + 12 + tall * (len(levels) - 1 - levels.index(level)), (last - first + 1) * step
        if not on and wide < 2:
            continue
        gap = min(1.0, wide / 4)
        strong = f"fill:{_tint('blue')};fill-opacity:{max(abs(on) / most, 0.25):.2f};stroke:var(--ink,#1f1f1f)"
        look = strong if on else "fill:none;stroke:#888;stroke-opacity:.8"
        said = f"{unit} {first:g} to {last:g}" + (f", counts {number(on)}" if on else ", does not count now")
        marks.append(f'<rect x="{x + gap:.1f}" y="{y + 1:.1f}" width="{max(wide - 2 * gap, 1.5 if on else .5):.1f}" '
                     f'height="{tall - 3:.1f}" rx="{min(2, wide / 4):.1f}" style="{look}"><title>{said}</title></rect>')
    every = math.ceil(13 / tall)
    marks += [_text(left - 6, TOP + 12 + tall * (len(levels) - 0.5 - i) + 4, f"level {level:g}", "end")
              for i, level in enumerate(levels) if i % every == 0]
    key = (f"<div class=fv-key><span>{_swatch('fill:' + _tint('blue'))} counts now</span>"
           f"<span>{_swatch('fill:none;stroke:#888')} does not</span></div>")
    if view.labels:
        return high, "".join([*marks, _text(left, high - 6, f"{end:,.0f} {unit}, in their order")]), key
    now = place(min(round, end) + 1)
    marks.append(f'<path d="M{now:.1f} {TOP + 6}V{high - FOOT + 2:.1f}" stroke-dasharray="4 3" style="stroke:'
                 f'{_tint("vermillion")}" stroke-width="1.5"/>'
                 + _text(now, 12, "now", "end" if now > WIDTH - 30 else "middle"))
    return high, "".join([*marks, *_rounds(lambda r: place(r) + step / 2, 1, end, high)]), key


PICTURES = {"lines": _lines, "matrix": _matrix, "graph": _graph, "tree": _tree}


# --- small things ---------------------------------------------------------------------------------------------------

class Scale:
    """Values as shades of blue, faint for the smallest; where some are negative, those in orange, and faint is zero."""

    def __init__(self, values: Iterable[float | None]):
        known = [v for v in values if v is not None and math.isfinite(v)]
        self.low, self.high = min(known, default=0.0), max(known, default=0.0)
        self.known, self.signed = bool(known), bool(known) and self.low < 0

    def shade(self, value: float | None) -> int | None:
        if value is None or not math.isfinite(value):
            return None
        low, high = (0.0, max(-self.low, self.high)) if self.signed else (self.low, self.high)
        share = (abs(value) if self.signed else value) - low
        return min(max(int(share / (high - low) * len(SHADES)), 0), len(SHADES) - 1) if high > low else 3

    def paint(self, value: float | None) -> str:
        shade = self.shade(value)
        if shade is None:
            return "fill:none"
        return f"fill:{_tint('orange' if value < 0 else 'blue')};fill-opacity:{SHADES[shade]}"

    def ink(self, value: float | None) -> str:
        """The colour of words on it, where it is not that of all words."""
        if self.shade(value) != len(SHADES) - 1:
            return ""
        return "#111" if value < 0 else "var(--ground,#fff)"

    def key(self, more: str = "") -> str:
        words = [more] if more else []
        if self.known and self.low == self.high:
            words.insert(0, f"all are {number(self.low)}")
        swatches = [f"{_tint('blue')};fill-opacity:{o}" for o in SHADES]
        if self.signed:
            swatches = [f"{_tint('orange')};fill-opacity:{o}" for o in reversed(SHADES)] + swatches * (self.high > 0)
            words.insert(0, "orange: below zero, blue: above, the stronger the further")
        elif self.known and self.low < self.high:
            words.insert(0, "faint: small, strong: large")
        end = max(-self.low, self.high)
        ends = (-end, end if self.high > 0 else 0) if self.signed else (self.low, self.high)
        wide = 12 if len(swatches) <= 7 else 8
        bar = "".join(f'<rect x="{i * wide}" width="{wide}" height="11" style="fill:{look}"/>'
                      for i, look in enumerate(swatches))
        bar = f'<svg width="{wide * len(swatches)}" height="11" aria-hidden="true">{bar}</svg>'
        shown = self.known and self.low < self.high
        strip = (f"<span>{number(ends[0])} {bar} "
                 f"{number(ends[1])}</span>") if shown else ""
        return f"<div class=fv-key>{strip}<span>{escape('; '.join(words))}</span></div>"


def _tint(name: str) -> str:
    return f"var(--fv-{name},{LIGHT[name]})"


def _swatch(look: str) -> str:
    return (f'<svg width="16" height="11" aria-hidden="true"><rect x="1" y="1" width="14" height="9" style="{look}"/>'
            "</svg>")


def _text(x, y, said, anchor="start", ink="", title="", more="") -> str:
    look = f' style="fill:{ink}"' if ink else ""
    name = f"<title>{escape(title)}</title>" if title else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{look}{more}>{escape(said)}{name}</text>'


def _line(at, tint, width, dash, name="", opacity="1") -> str:
    """A line through points of the picture; a single one is a dot."""
    title = f"<title>{escape(name)}</title>" if name else ""
    if len(at) == 1:
        return (f'<circle cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="{width + 1:.1f}" style="fill:{_tint(tint)}">'
                f"{title}</circle>")
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (f'<polyline points="{points}" fill="none" stroke-width="{width}" stroke-opacity="{opacity}"{dashes} '
            f'style="stroke:{_tint(tint)}">{title}</polyline>')


def _thin(line: list, most: int) -> list:
    """At most so many points, the first and the last among them."""
    if len(line) <= most:
        return line
    return [line[round(i * (len(line) - 1) / (most - 1))] for i in range(most)]


def _range(low: float, high: float) -> tuple[float, float, list[float]]:
    """The ends of an axis that holds both, and its ticks: from zero where that is near."""
    if 0 <= low < 0.4 * high:
        low = 0.0
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step = next(step * m for m in (1, 2, 5, 10) if span / (step * m) <= 5)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if top <= bottom:
        bottom, top = bottom - step, top + step
    return bottom, top, [bottom + i * step for i in range(round((top - bottom) / step) + 1)]


def _rounds(place, first: int, last: int, high: float) -> list[str]:
    """The numbers of rounds beneath a picture."""
    span = max(last - first, 0)
    every = next(s * 10 ** k for k in range(9) for s in (1, 2, 5) if span / (s * 10 ** k) <= 5)
    at = [r for r in range(0, int(last) + 1, every) if r >= first] or [first]
    middle = (place(first) + place(last)) / 2
    return [*(_text(place(r), high - FOOT + 16, str(r), "middle") for r in at),
            _text(middle, high - 4, "round", "middle")]


def _every(n: int, most: int = 16) -> int:
    """Every how many of n names one is written."""
    return math.ceil(n / most)


def _cut(name: str, most: int = NAME) -> str:
    return name if len(name) <= most else name[:most - 1] + "…"
