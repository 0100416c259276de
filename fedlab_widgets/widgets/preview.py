"""Who holds what, before any training: each client's size, label mix and group mix, and one number of heterogeneity."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import torch
from torch import Tensor

from .. import seeds
from ..spec import Experiment
from ..world import rows_of

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999", "#332288", "#88CCEE")
MOST = 60   # clients drawn; the others are summed up in words


@dataclass(frozen=True)
class Preview:
    """sizes [N], labels [N, L] and groups [N, G] of each client's rows; `different` is the Jensen-Shannon divergence of
    the clients' label-and-group mixes in bits over its largest possible value: 0 alike, 1 nothing in common."""

    sizes: Tensor
    labels: Tensor
    groups: Tensor
    label_names: tuple[str, ...]
    group_names: tuple[str, ...]
    different: float

    @classmethod
    def of(cls, e: Experiment) -> Preview:
        """Deals out the rows as the run will. Raises BadInput as the run would."""
        data = rows_of(e.task)
        clients = e.partition.count(data)
        owner = e.partition.assign(data, seeds.keys(e.seed, "partition", 0, 0))
        L, G = len(data.labels), len(data.groups)
        joint = torch.bincount((owner * G + data.group) * L + data.y, minlength=clients * G * L).view(clients, G, L)
        return cls(joint.sum((1, 2)), joint.sum(1), joint.sum(2), data.labels, data.groups,
                   heterogeneity(joint.flatten(1).double()))

    def html(self) -> str:
        """A picture and, folded beneath it, the same as a table."""
        shown = min(len(self.sizes), MOST)
        parts = [self._bars(self.labels, self.label_names, "label", shown)]
        if len(self.group_names) > 1:
            parts.append(self._bars(self.groups, self.group_names, "group", shown))
        more = "" if shown == len(self.sizes) else f" The first {shown} of {len(self.sizes):,} clients are drawn."
        words = (f"{len(self.sizes):,} clients hold {int(self.sizes.sum()):,} rows, {int(self.sizes.min()):,} to "
                 f"{int(self.sizes.max()):,} each. Heterogeneity {self.different:.2f} (Jensen-Shannon; 0 alike, 1 "
                 f"nothing in common).{more}")
        return (f'<div class="fedlab-preview"><div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(parts)}</div>'
                f'<p style="margin:4px 0">{words}</p>{self._table(shown)}</div>')

    def _bars(self, counts: Tensor, names: tuple[str, ...], kind: str, shown: int) -> str:
        top, width, height = int(self.sizes.max()) or 1, 300, 96
        step = width / shown
        bars = []
        for i in range(shown):
            y = float(height)
            for j, n in enumerate(counts[i].tolist()):
                tall = n / top * height
                y -= tall
                bars.append(f'<rect x="{i * step + step * .08:.2f}" y="{y:.2f}" width="{step * .84:.2f}" '
                            f'height="{tall:.2f}" fill="{COLOURS[j % len(COLOURS)]}"><title>client {i}: {n:,} rows '
                            f'of {kind} {escape(names[j])}</title></rect>')
        key = " ".join(f'<span style="white-space:nowrap"><span style="color:{COLOURS[j % len(COLOURS)]}">■'
                       f'</span> {escape(name)}</span>' for j, name in enumerate(names))
        ground = (f'<line x1="0" x2="{width}" y1="{height}" y2="{height}" stroke="currentColor" '
                  'vector-effect="non-scaling-stroke"/>')
        return ('<figure style="margin:0;flex:1 1 280px;max-width:520px">'
                f"<figcaption>Rows of each client by {kind}: {key}</figcaption>"
                f'<svg viewBox="0 0 {width} {height + 2}" width="100%" height="110" preserveAspectRatio="none" '
                f'role="img" aria-label="Bars: rows of each client by {kind}; numbers in the table">'
                f'{"".join(bars)}{ground}</svg></figure>')

    def _table(self, shown: int) -> str:
        names = [*(f"label {n}" for n in self.label_names),
                 *(f"group {n}" for n in self.group_names if len(self.group_names) > 1)]
        head = "".join(f'<th scope="col">{escape(n)}</th>' for n in ("client", "rows", *names))
        body = []
        for i in range(shown):
            cells = [int(self.sizes[i]), *self.labels[i].tolist(),
                     *(self.groups[i].tolist() if len(self.group_names) > 1 else [])]
            body.append(f'<tr><th scope="row">{i}</th>' + "".join(f"<td>{c:,}</td>" for c in cells) + "</tr>")
        return (f"<details><summary>The same as a table</summary><div style='overflow-x:auto'><table><caption>Rows of "
                f"each client</caption><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
                "</details>")


def heterogeneity(mix: Tensor) -> float:
    """Jensen-Shannon divergence of the rows of mix [N, K] (counts), weighed by size, over the entropy of the sizes.

    The numerator is the mutual information of client and kind of row, the denominator its largest value, H(client).
    """
    p = mix / mix.sum()
    client, kind = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    known = p > 0
    information = float((p[known] * (p / (client * kind).clamp(min=1e-300))[known].log2()).sum())
    entropy = float(-(client[client > 0] * client[client > 0].log2()).sum())
    return max(0.0, information / entropy) if entropy else 0.0
