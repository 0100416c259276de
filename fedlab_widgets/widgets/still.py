"""A finished run as a picture that needs no kernel, no widget and no network: inline SVG and a small table."""

from __future__ import annotations

from html import escape

from ..forecast import size
from ..run import Run

WIDTH, HEIGHT, LEFT, FOOT = 640, 220, 44, 24


def still(run: Run) -> str:
    """Accuracy by round and the last figures, as HTML. Empty for a run without a reading."""
    history = run.history
    read = history[history.accuracy.notna()] if len(history) else history
    if not len(read):
        return ""
    rounds, lines = read["round"].tolist(), [("test accuracy", read.accuracy.tolist(), "#0072B2", "", 2.5),
                                             ("mean client", read.mean_client.tolist(), "#009E73", "6 3", 1.5),
                                             ("worst client", read.worst_client.tolist(), "#D55E00", "2 3", 1.5)]
    values = [v for _, line, *_ in lines for v in line if v == v] + [run.majority]
    low, high = min(values) - 0.02, min(1.0, max(values) + 0.02)
    x = lambda r: LEFT + (r - rounds[0]) / max(rounds[-1] - rounds[0], 1) * (WIDTH - LEFT - 8)  # noqa: E731
    y = lambda v: (high - v) / (high - low) * (HEIGHT - FOOT - 8) + 8  # noqa: E731
    marks = []
    for v in (low + i * (high - low) / 4 for i in range(5)):
        marks.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#8884"/>'
                     f'<text x="{LEFT - 4}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.0%}</text>')
    for name, line, colour, dash, thick in lines:
        points = " ".join(f"{x(r):.1f},{y(v):.1f}" for r, v in zip(rounds, line, strict=True) if v == v)
        marks.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}" '
                     f'stroke-dasharray="{dash}"><title>{name}</title></polyline>')
    guess = y(run.majority)
    marks.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{guess:.1f}" y2="{guess:.1f}" stroke="#777" '
                 f'stroke-dasharray="8 4"/><text x="{WIDTH - 10}" y="{guess - 4:.1f}" text-anchor="end">always '
                 f'guessing the commonest answer</text>'
                 f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">round</text>'
                 f'<text x="{LEFT}" y="{HEIGHT - 8}">{rounds[0]:.0f}</text>'
                 f'<text x="{WIDTH - 8}" y="{HEIGHT - 8}" text-anchor="end">{rounds[-1]:.0f}</text>')
    last = read.iloc[-1]
    key = " · ".join(f'<span style="color:{colour}">━</span> {name}' for name, _, colour, *_ in lines)
    figures = [("test accuracy", f"{last.accuracy:.1%}"), ("guessing", f"{run.majority:.1%}"),
               ("worst client", f"{last.worst_client:.1%}"), ("sent up", size(history.bytes_up.sum())),
               ("sent down", size(history.bytes_down.sum()))]
    if last["unique"] == last["unique"]:
        figures += [("global disparity", f"{last.global_disparity:.4f} bits"),
                    ("local disparity", f"{last.local_disparity:.4f} bits")]
    if last.epsilon == last.epsilon:
        figures.append(("epsilon spent", f"{last.epsilon:.3g}"))
    cells = "".join(f'<tr><th scope="row" style="text-align:left">{k}</th><td>{v}</td></tr>' for k, v in figures)
    return (f'<figure style="margin:8px 0;max-width:{WIDTH}px"><figcaption><b>{escape(run.experiment.name)}</b>, '
            f'{len(history)} rounds, seed {run.experiment.seed}: {key}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="100%" role="img" aria-label="Accuracy by round" font-size="11" fill="currentColor">'
            f'{"".join(marks)}</svg>'
            f'<table><caption>After round {last["round"]:.0f}</caption><tbody>{cells}</tbody></table></figure>')
