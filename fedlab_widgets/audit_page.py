"""Pieces of the printed summary of an audit (`audit_summary.py`): style, the hull for print, the parts in bits."""

from __future__ import annotations

import html

import numpy as np

from .evaluate.hull import one_against_rest
from .figure_hull import headline, sentence
from .widgets.fairness import MEANS, Reading, bits, larger

STYLE = """@page{size:A4;margin:13mm 15mm}
*{box-sizing:border-box}body{font:10pt/1.4 'Open Sans',Arial,sans-serif;color:#1f1f1f;background:#fff;max-width:180mm;
margin:0 auto;padding:4mm}section+section{break-before:page}h1{font-size:17pt;line-height:1.2;margin:0 0 1mm}
h2{font-size:11.5pt;margin:4.5mm 0 1.5mm;border-bottom:1px solid #bdbdbd}p,ul{margin:0 0 2mm}ul{padding-left:5mm}
li{margin-bottom:.8mm}.who{color:#575757;overflow-wrap:anywhere}.note,small{color:#575757;font-size:8pt}
small{display:block;line-height:1.15}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;
margin-bottom:2mm;font-size:9pt}caption{text-align:left;font-weight:600;padding-bottom:1mm}
th,td{padding:.7mm 1.5mm;text-align:right;border-bottom:1px solid #dcdcdc;vertical-align:top}
tbody th{white-space:nowrap}th:first-child,td.text{text-align:left}thead th{vertical-align:bottom}.many{font-size:7.5pt}
.many :is(th,td){padding:.5mm .7mm}.many small{font-size:6.5pt}.total :is(th,td){border-top:1.5px solid #1f1f1f}
.pair{display:flex;gap:6mm;margin-bottom:3mm;align-items:flex-start}.pair>*{flex:1 1 0;min-width:0}
.pair>figure{flex:0 0 72mm}
figure{margin:0}figure p{margin:1mm 0 0;font-size:8pt}
.grid{display:grid;grid-template-columns:repeat(5,1fr);gap:2mm 3mm;margin-bottom:3mm}
.grid.three{grid-template-columns:repeat(3,1fr)}svg{display:block;width:100%;height:auto}
svg text{font:7px 'Open Sans',Arial,sans-serif;fill:#1f1f1f}.grid:not(.three) svg text{font-size:10px}
section+section{font-size:9pt;line-height:1.32}
section+section table{font-size:8pt}@media print{body{padding:0;max-width:none}}"""
LIMITS = (
    "It speaks of the people in this table, as they were recorded: not of those who never got there, and not of why "
    "groups differ. Recorded outcomes may carry earlier unfairness.",
    "Predictions are read as answers. Another threshold gives other answers, and another summary.",
    "Bits are measured in this sample; a part that is not above what chance reaches is no finding. Of several groups "
    "the pair furthest apart is shown, and the largest of several differences is on average too large.",
    "Small numbers are left out, and corners of the picture are moved to the nearest ten people. No noise is added: "
    "this is not differential privacy, and two summaries of nearly the same table can give a person away.",
    "Parts: Hamman and Dutta, arXiv:2307.11333; the hull, and what chance reaches, are this software's own.",
)


def safe(text) -> str:
    return html.escape(str(text))


def short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else name[:most - 1] + "…"


def listed(lines) -> str:
    return f"<ul>{''.join(f'<li>{safe(line)}' for line in lines)}</ul>"


def hull_svg(audit, grain: int) -> str:
    """The picture of `figure_hull` for print, its corners moved to the nearest `grain` people of each group; for more
    than two groups one for each against the rest."""
    table, groups = audit.table, audit.groups
    found = one_against_rest(table)
    some = np.flatnonzero(table.sum((1, 2)) > 0)
    drawn = []
    for z, told in found.items():
        pair = np.stack([np.delete(table, z, 0).sum(0), table[z]])
        names = (groups[some[0]], groups[z]) if len(found) == 1 else ("all others", groups[z])
        said = sentence(told)
        head = headline(told, pair) if len(found) == 1 else f"{short(groups[z])}: {bits(told.unique)} bits"
        drawn.append(f"<figure>{_square(told, pair.sum((1, 2)), names, grain)}<p><b>{safe(head)}.</b> "
                     f"{safe(said) if len(found) < 4 else ''}</p></figure>")
    if len(found) == 1:
        return f"<div class=pair>{drawn[0]}<div>{HOW.format(safe(groups[max(found)]))}</div></div>"
    sure = audit.disparity.gap
    exact = (f"<p>All {len(found)} groups at once: unique disparity {bits(audit.disparity.unique)} bits, certified to "
             f"within {max(sure, 1e-12):.0e}. Below, the unique disparity of each group against all others, a "
             "question of its own (blue, solid: the prediction; red, dashed: the client; grey: the hull):</p>")
    return f"{exact}<div class='grid{' three' * (len(found) < 4)}'>{''.join(drawn)}</div>"


HOW = ("<p>How well could one guess somebody's group, from the prediction (blue, solid) or from the client (red, "
       "dashed)? Predictions, and clients, are counted from the one with the largest share of {} down; the higher a "
       "curve, the more it tells. What lies on the thin diagonal tells nothing.</p><p>Where the prediction's curve "
       "rises above the clients', it adds what no client tells: the shaded region under the hull (grey) is the unique "
       "disparity. Where it stays below, what predictions tell of the group the client tells as well.</p>")


def _square(told, totals, names, grain) -> str:
    """One pair of curves, 200 units wide. totals: people of the others and of the group."""
    def at(v):
        x, y = (1.0 if share == 1 else min(1.0, round(share * n / grain) * grain / n)
                for share, n in zip((v.x, v.y), totals, strict=True))
        return f"{18 + 176 * x:.1f},{4 + 176 * (1 - y):.1f}"

    def line(curve, colour, width, dash="none"):
        return (f"<polyline points='{' '.join(map(at, curve))}' fill='none' stroke='{colour}' stroke-width='{width}' "
                f"stroke-dasharray='{dash}'/>")

    ring = " ".join(map(at, [*told.hull, *reversed(told.clients)]))
    shade = f"<polygon points='{ring}' fill='#b5d3e8'/>" if told.added else ""
    dots = "".join(f"<circle cx='{p[0]}' cy='{p[1]}' r='1.8' fill='#d55e00'/>" for p in
                   (at(v).split(",") for v in told.clients[1:] if len(told.clients) < 40))
    across, up = (safe(short(n)) for n in names)
    return ("<svg viewBox='0 0 200 206' role=img aria-label='ROC curves of prediction and client, and their hull'>"
            f"<path d='M18 180L194 4' stroke='#575757' stroke-width='.6'/>{shade}"
            f"{line(told.hull, '#a5a5a5', 4)}{line(told.predictions, '#0072b2', 2)}"
            f"{line(told.clients, '#d55e00', 1.4, '4,3')}{dots}"
            "<path d='M18 4V180H194' stroke='#1f1f1f' stroke-width='.8' fill='none'/>"
            "<text x=18 y=189>0 %</text><text x=194 y=189 text-anchor=end>100 %</text>"
            f"<text x=106 y=200 text-anchor=middle>share of {across} counted so far</text>"
            f"<text transform='translate(10 92) rotate(-90)' text-anchor=middle>share of {up} counted so far</text>"
            "</svg>")


def parts(reading: Reading) -> str:
    """The parts in bits against what chance reaches, and which of global and local is larger."""
    rows = "".join(f"<tr><th scope=row>{a.name}<td>{bits(a.bits)}<td>{bits(a.high)}<td>"
                   f"{'above' if a.above else 'not above'}<td class=text>{MEANS[a.name]}" for a in reading.atoms)
    gap = reading.disparity.gap
    sure = f" Each part is exact to within {gap:.0e} bits." if gap > 1e-12 else ""
    return ("<table class=few><caption>Parts of the disparity</caption><thead><tr><th scope=col>part<th scope=col>bits"
            "<th scope=col>chance reaches<th scope=col>the part is<th scope=col style='text-align:left'>it is</thead>"
            f"<tbody>{rows}</table><p>{safe(larger(reading))}{sure}</p>")
