"""Live readings as cards of HTML, for light and dark: title, what is seen, the picture, and a sentence on it.

No colour speaks alone: lines have dashes and names, shades a scale in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .still import DARK, LIGHT
from .view_pictures import PICTURES, WIDTH
from .view_words import Reading, samples, sentence, table

# The ground is that of the page: faint shades lie on it, and words on strong ones are in its colour.
STYLE = (
    ".fl-views{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1f1f1f));"
    "--ground:var(--jp-layout-color1,var(--vscode-editor-background,#fff));"
    + ";".join(f"--fv-{k}:{v}" for k, v in LIGHT.items())
    + ";display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:14px 20px;color:var(--ink)}"
    '[data-jp-theme-light="false"] .fl-views{' + ";".join(f"--fv-{k}:{v}" for k, v in DARK.items()) + "}"
    ".fl-views figure{margin:0;max-width:480px;min-width:0;font-size:13px;line-height:1.4}"
    ".fl-views svg.fv{display:block;width:100%;height:auto;margin:4px 0}.fl-views p{margin:2px 0}"
    ".fl-views table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums;margin:4px 0;"
    "color:inherit}.fl-views :is(th,td){padding:1px 8px;text-align:right;border-bottom:1px solid #8886;"
    "background:none;white-space:nowrap}"
    ".fl-views th:first-child{text-align:left}.fl-views .fv-key span{display:inline-block;margin-right:12px}"
    ".fl-views blockquote{margin:8px 0 0;padding:0 0 0 10px;border-left:3px solid #8886}"
    ".fl-views pre{white-space:pre-wrap;margin:2px 0;font-size:12px;line-height:1.45;color:inherit;background:none}"
    ".fl-views .fv-wide{overflow-x:auto}.fl-views .fv-wide:focus-visible{outline:2px solid "
    "var(--jp-brand-color1,#1976d2)}")


def page(views: Mapping[str, Sequence[Reading]], upto: int | None = None, numbers: bool = False,
         rounds: int = 0) -> str:
    """All views as cards: name -> (round, View) in the order of rounds. upto: the last round to be shown (default: all
    of them). numbers: with tables. rounds: how many an axis has room for, at least. Empty where nothing was read until
    then."""
    some = {name: read for name, every in views.items()
            if (read := [r for r in every if upto is None or r[0] <= upto])}
    cards = "".join(card(read, max(views[name][-1][0], rounds), numbers) for name, read in some.items())
    return f"<style>{STYLE}</style><div class=fl-views>{cards}</div>" if cards else ""


def card(read: Sequence[Reading], last: int, numbers: bool = False) -> str:
    """One view over its rounds. last: where the axis of rounds ends."""
    view, says = read[-1][1], sentence(read)
    title, about = (escape(text[:1].upper() + text[1:]) for text in (view.title, view.about))
    if view.kind == "text":
        parts = "".join(f"<blockquote><b>{escape(label)}</b><pre>{escape(text)}</pre></blockquote>"
                        for label, text in samples(read))
        return f"<figure><figcaption><b>{title}</b><br>{about}</figcaption>{parts}</figure>"
    high, marks, key = PICTURES[view.kind](read, last)
    return (f"<figure><figcaption><b>{title}</b><br>{about}</figcaption>"
            f'<svg class="fv" viewBox="0 0 {WIDTH} {high:.0f}" role="img" aria-label="{title}. {escape(says)}" '
            f'font-size="11" style="fill:var(--ink,#1f1f1f);max-width:480px">{marks}</svg>{key}<p>{escape(says)}</p>'
            f"{table(view) if numbers else ''}</figure>")
