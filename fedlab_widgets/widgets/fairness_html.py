"""The picture of a `fairness.Reading`: one self-contained piece of HTML, without script, for light and dark.

Colours are of Okabe and Ito's palette (safe for colour-blind readers), each with a pattern of its own, and none of
them is a verdict; a part within its band has no colour at all.
"""

from __future__ import annotations

import html as markup
import itertools
import math

from .fairness import METHOD, TABLES, WHOSE, Atom, Gap, Rate, Reading, bits, percent, signed, span

MOST_ROWS = 40   # clients shown in a table
UNPROTECTED = "True counts, not protected."   # beside figures that are not read from noisy tables
IDS = itertools.count()   # patterns of several readings on a page need names of their own
STYLE = """<style>
.fl-fair{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1a1a1a));--ground:var(--jp-layout-color0,
var(--vscode-editor-background,#fff));--line:var(--jp-border-color2,#bdbdbd);--redundant:#e69f00;--unique:#56b4e9;
--masked:#cc79a7;color:var(--ink);background:var(--ground);font:13px/1.45 var(--jp-content-font-family,system-ui,
sans-serif);padding:8px clamp(0px,2%,10px);box-sizing:border-box}
@media (prefers-color-scheme:dark){.fl-fair{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#ececec));
--ground:var(--jp-layout-color0,var(--vscode-editor-background,#151515));--line:var(--jp-border-color2,#555)}}
.fl-fair *{box-sizing:border-box}.fl-fair p{margin:0 0 8px}.fl-fair .big{font-weight:600;line-height:1.1;
font-size:clamp(1.1em,12cqi,2em)}
.fl-fair :is(p,ul,h4,.wide){max-width:46rem}.fl-fair h4{font-size:1em;font-weight:600;margin:8px 0 4px}
.fl-fair .pair{display:flex;flex-wrap:wrap;gap:8px 32px;align-items:flex-start}.fl-fair .pair>*{flex:1 1 22rem;
min-width:0;max-width:46rem}.fl-fair .figures{display:flex;flex-wrap:wrap;gap:4px 24px}
.fl-fair .wide{overflow-x:auto;margin-bottom:14px}.fl-fair table{border-collapse:collapse;table-layout:auto;
width:100%;font-size:.93em;font-variant-numeric:tabular-nums;color:inherit}
.fl-fair caption{text-align:left;font-weight:600;padding:4px 0;
color:inherit;font-size:1.07em}.fl-fair th,.fl-fair td{padding:3px 5px;text-align:right;border:0;border-bottom:1px solid
var(--line);background:none;color:inherit;vertical-align:middle;white-space:nowrap}.fl-fair th{font-weight:600}
.fl-fair th:first-child{text-align:left}.fl-fair small{display:block;font-size:.87em;font-weight:400}
.fl-fair svg{display:block}.fl-fair .atoms{width:100%;min-width:380px;max-width:560px;height:auto;margin:2px 0 10px}
.fl-fair svg text{fill:var(--ink);font-size:12px;font-family:inherit}.fl-fair ul{margin:0;padding-left:18px}
.fl-fair li{margin-bottom:4px}.fl-fair .wide:focus-visible{outline:2px solid var(--jp-brand-color1,#1976d2)}
@media (min-width:1800px){.fl-fair{font-size:16px}}</style>"""


def page(reading: Reading, scale: float | None = None) -> str:
    """What `fairness.html` returns."""
    return STYLE + framed(headline(reading) + overall(reading), by_client(reading), parts(reading, scale),
                          said(reading))


def standing(reading: Reading) -> str:
    """What no split can move: the gap, how often the model is right, and the table over everybody."""
    where = "on held-out rows" if reading.held_out else "in these rows"
    figures = [(f"accuracy {where}", _safe(percent(reading.accuracy)))]
    if not reading.private:   # noise on another split is other noise, and moves it
        figures.append(("global disparity", f"{reading.global_disparity:.4f} bits"))
    each = "".join(f"<span>{name} <b>{value}</b></span>" for name, value in figures)
    return STYLE + framed(f"{headline(reading)}<p class=figures>{each}</p>{overall(reading)}")


def moving(reading: Reading, scale: float | None = None) -> str:
    """What a split moves: parts and clients side by side, and the sentences. Needs the style of `standing`."""
    return framed(f"<div class=pair><div>{parts(reading, scale)}</div><div>{by_client(reading)}</div></div>",
                  said(reading))


def framed(*pieces: str) -> str:
    return f"<div class=fl-fair>{''.join(pieces)}</div>"


def said(r: Reading) -> str:
    """The sentences: first those that need no bits."""
    groups = (("In words", r.message), ("In bits", r.in_bits))
    lists = "".join(f"<h4>{name}</h4><ul>{''.join(f'<li>{_safe(line)}' for line in lines)}</ul>"
                    for name, lines in groups)
    return f"{lists}<p><small>{TABLES}</small>"


def headline(r: Reading) -> str:
    whose = f"<small>{WHOSE}</small>" if r.held_out else ""
    whose += f"<small>{UNPROTECTED}</small>" if r.private else ""
    return (f"<p><span class=big>{signed(r.gap.points)}</span> percentage points, {_safe(r.gap.first.group)} − "
            f"{_safe(r.gap.second.group)} in being predicted “{_safe(r.favourable)}”<small>{span(r.gap)} ({METHOD}); "
            f"n = {r.n:,}{' held-out rows' if r.held_out else ''}</small>{whose}</p>")


def _safe(text) -> str:
    return markup.escape(str(text)).replace(" %", "\u00a0%")   # no line ends between the two


def overall(r: Reading) -> str:
    """All groups: predicted, and in the data."""
    rows = "".join(f"<tr><th scope=row>{_safe(p.group)}<td>{p.n:,}{_share(p)}{_share(d)}"
                   for p, d in zip(r.rates, r.data_rates, strict=True))
    ends = "".join(map(_ends, (r.gap, r.data_gap)))
    last = f"<tr><th scope=row>{_safe(r.gap.first.group)} − {_safe(r.gap.second.group)}<td>{ends}"
    return (f"<div class=wide tabindex=0 role=group aria-label='Everybody'><table><caption>"
            f"“{_safe(r.favourable)}” over everybody</caption><thead><tr>"
            "<th scope=col>group<th scope=col>n<th scope=col>predicted<th scope=col>in the data</thead>"
            f"<tbody>{rows}{last}</table></div>")


def _ends(gap: Gap) -> str:
    return f"<td>{signed(gap.points)}<small>{signed(gap.low)} to {signed(gap.high)}</small>"


def _share(rate: Rate) -> str:
    return f"<td>{percent(rate.rate)}<small>{rate.positives:,} of {rate.n:,}</small>"


def by_client(r: Reading) -> str:
    """Each client's rates and signed gap, with a dot and its interval on a common axis."""
    shown = r.clients[:MOST_ROWS]
    ends = [abs(e) for c in shown if c.gap for e in (c.gap.low, c.gap.high)]
    wide = 25 * math.ceil(max(ends, default=25) / 25 - 1e-9)      # coarse, so that it holds still while dragging
    head = "".join(f"<th scope=col>{_safe(g)}" for g in r.groups)
    rows = "".join(f"<tr><th scope=row>{_safe(c.client)}{''.join(map(_share, c.rates))}{_gap_cells(c.gap, wide)}"
                   for c in shown)
    more = f"; the first {MOST_ROWS} of {len(r.clients):,}" if len(r.clients) > MOST_ROWS else ""
    axis = f"<svg width=92 height=14 role=img aria-label='axis from −{wide} to +{wide} points'>"
    axis += "".join(f"<text x={x} y=11 text-anchor={a}>{t}</text>" for x, a, t in
                    ((0, "start", f"−{wide}"), (46, "middle", 0), (92, "end", f"+{wide}"))) + "</svg>"
    return ("<div class=wide tabindex=0 role=group aria-label='Clients'><table><caption>"
            f"“{_safe(r.favourable)}” predicted, client by client{more}"
            f"{f'<small>{UNPROTECTED}</small>' if r.private else ''}</caption><thead><tr>"
            f"<th scope=col>client{head}<th scope=col>"
            f"{_safe(r.gap.first.group)} − {_safe(r.gap.second.group)}<small>points, 95 %</small><th scope=col>{axis}"
            f"</thead><tbody>{rows}</table></div>")


def _gap_cells(gap: Gap | None, wide: float) -> str:
    if gap is None:
        return "<td>–<small>one group only</small><td>"
    at = [46 + 45 * p / wide for p in (gap.low, gap.points, gap.high)]
    fill = "var(--ink)" if gap.clear else "var(--ground)"
    return (f"{_ends(gap)}<td><svg width=92 height=16 "
            f"aria-hidden=true><path d='M46 0V16' stroke='var(--line)'/><path d='M{at[0]:.1f} 8H{at[2]:.1f}' "
            f"stroke='var(--ink)'/><circle cx={at[1]:.1f} cy=8 r=3.5 fill='{fill}' stroke='var(--ink)'/></svg>")


def parts(r: Reading, scale: float | None) -> str:
    """The stack redundant, unique, masked with its two brackets, and beside it each part against its band."""
    uid, total = f"fl{next(IDS)}", sum(a.bits for a in r.atoms)
    full = max(scale or 0, total, *(a.high for a in r.atoms if a.known), 1e-3)
    defs = "".join(f"<pattern id={uid}{name} width=7 height=7 patternUnits=userSpaceOnUse>"
                   f"<rect width=7 height=7 fill='{ground}'/><path d='{d}' stroke='{ink}' fill='none'/>"
                   "</pattern>" for name, ground, ink, d in (
                       ("redundant", "var(--redundant)", "#000", "M0 7L7 0M-1 1L1 -1M6 8L8 6"),
                       ("unique", "var(--unique)", "none", ""), ("masked", "var(--masked)", "#000", "M3.5 2.5V4.5"),
                       ("band", "none", "var(--ink)", "M0 0L7 7M-1 6L1 8M6 -1L8 1")))
    high, bottom, shapes, edge = 168 / full, 188.0, [], [188.0]
    for i, atom in enumerate(r.atoms):
        top = bottom - atom.bits * high
        fill = f"url(#{uid}{atom.name})" if atom.above else "none"
        shapes.append(f"<rect x=132 y={top:.1f} width=42 height={bottom - top:.1f} fill='{fill}' stroke='var(--ink)'"
                      + ("/>" if atom.above else " stroke-dasharray='2 2'/>"))
        shapes.append(_strip(atom, full, uid, (top + bottom) / 2, 158 - 60 * i))
        edge.append(top)
        bottom = top
    shapes += [f"<text x=206 y=196>0</text><text x=468 y=196 text-anchor=end>{full:.2g} bits</text>",
               _bracket("global", r.global_disparity, edge[0], edge[2], 58),
               _bracket("local", r.disparity.local_disparity, edge[1], edge[3], 121)]
    told = ", ".join(f"{a.name} {bits(a.bits)} bits"
                     + ("" if r.private else f" ({bits(a.corrected)} less small-sample bias)")
                     + (f", {r.reaches} {bits(a.high)}" if a.known else "")
                     for a in r.atoms)
    explain = "chance and noise explain" if r.private else "chance explains"
    spent, account = "", ""
    if r.private:
        spent = f"<p class=figures><span>epsilon spent on tables <b>{r.private.spent:.3g}</b></span></p>"
        account = f"<p><small>{' '.join(map(_safe, r.spent))}</small></p>"
    whole = sum(-a.n / r.n * math.log2(a.n / r.n) for a in r.rates if a.n)
    return ("<p><b>Global and local disparity</b><small>0 bits: predictions tell nothing about the group; "
            f"{whole:.2f} bits: they tell it fully. Hatched: what {explain}. Dashed outline: not told from 0."
            f"</small></p>{spent}<div class=wide tabindex=0 role=group aria-label='Parts of the disparity'>"
            f"<svg class=atoms viewBox='0 0 500 204' role=img aria-label='{told}'><defs>{defs}</defs>"
            f"{''.join(shapes)}</svg></div>{account}")


def _strip(atom: Atom, full: float, uid: str, middle: float, y: float) -> str:
    """A part's name and value, its band hatched, its value as a mark; a line leads to its place in the stack."""
    known = (atom.low, atom.high) if atom.known else (0, 0)
    at = [206 + 262 * b / full for b in (*known, atom.bits)]
    mark = f"url(#{uid}{atom.name})" if atom.above else "var(--ground)"
    note = "" if atom.above else " · not told from 0" if atom.known else " · not drawn yet"
    value = bits(atom.bits).replace("below ", "&lt; ")   # the longest line must fit: 294 of the picture's units
    return (f"<path d='M174 {middle:.1f}L198 {y}' stroke='var(--line)' fill='none'/><text x=206 y={y - 8}><tspan "
            f"font-weight=600>{atom.name}</tspan> {value} bits{note}</text><path d='M206 {y + 8}H468' "
            f"stroke='var(--line)'/><rect x={at[0]:.1f} y={y + 1} width={max(at[1] - at[0], 1.5):.1f} height=14 "
            f"fill='url(#{uid}band)' stroke='var(--ink)' stroke-opacity='.5'/><circle cx={at[2]:.1f} cy={y + 8} r=6 "
            f"fill='{mark}' stroke='var(--ink)'/>")


def _bracket(name: str, value: float, low: float, high: float, x: float) -> str:
    middle = (low + high) / 2
    return (f"<path d='M{x + 5} {low:.1f}H{x}V{high:.1f}H{x + 5}' stroke='var(--ink)' stroke-width=1.5 fill='none'/>"
            f"<text x={x - 5} y={middle - 2:.1f} text-anchor=end font-weight=600>{name}</text>"
            f"<text x={x - 5} y={middle + 12:.1f} text-anchor=end>{f'{value:.4f}'}</text>")
