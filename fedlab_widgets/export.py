"""A figure beside its numbers, and both as files: whole or not at all, fonts inside, nothing from a network."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from .part import BadInput

STATIC = Path(__file__).parent / "widgets" / "static"
FONT = STATIC / "open_sans" / "open-sans-latin-400-normal.woff2"   # OFL, its licence is beside it
SUFFIXES = (".pdf", ".svg", ".png", ".html")
INCHES = {"column": 3.35, "page": 7.0}
PIXELS, DOTS = 96, 300   # an inch on a page of HTML, and in a PNG
PATIENCE = 60            # seconds for one picture; 3 are usual
ROW = 17                 # pixels a row of names takes


class Figure:
    """A figure of a run: `figure` (plotly), `data` (pandas: exactly the numbers drawn), `save`. A cell shows it."""

    def __init__(self, name: str, figure: go.Figure, data: pd.DataFrame):
        self.name, self.figure, self.data = name, figure, data

    def __repr__(self) -> str:
        return f"<Figure {self.name}, {len(self.data)} rows of {', '.join(self.data)}>"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """The figure where plotly is known (JupyterLab, VS Code), and its table everywhere else. No script, 50 kB."""
        return {"application/vnd.plotly.v1+json": self.figure.to_plotly_json() | {"config": {"displaylogo": False}},
                "text/html": self.data.to_html(max_rows=30, index=False), "text/plain": repr(self)}

    def save(self, path: str | Path, width: str | float = "column") -> Path:
        """Write the figure, by its suffix .pdf, .svg, .png (300 dots an inch) or .html (works offline), and the numbers
        beside it as .csv; files of these names are replaced. Returns the path.

        width: "column" (3.35 inches), "page" (7) or inches; an .html is as wide as its window. Pictures are drawn
        by the Chrome or Chromium of this machine, about 3 seconds each; .html needs none.
        Raises BadInput for another suffix, a folder that is not there or may not be written, a width outside 1 to 40,
        and a machine without Chrome.
        """
        path = Path(path)
        inches = _inches(width)
        if path.suffix.lower() not in SUFFIXES:
            raise BadInput(f"path = {str(path)!r} does not say which kind of file: let it end in "
                           f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
        if not path.parent.is_dir():
            raise BadInput(f"path = {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
        kind = path.suffix.lower()[1:]
        if kind == "html":
            self._keep(path, self._html())
        else:
            _pictures([self], kind, inches, lambda figure, picture: figure._keep(path, picture))
        return path

    def _keep(self, path: Path, picture: bytes) -> None:
        _write({path.with_suffix(".csv"): self.data.to_csv(index=False).encode(), path: picture})

    def _html(self) -> bytes:
        page = self.figure.to_html(include_plotlyjs=True, include_mathjax=False, config={"displaylogo": False})
        face = f"<style>@font-face{{font-family:'Open Sans';src:url(data:font/woff2;base64,{_font()})}}</style>"
        return page.replace("<head>", f"<head><title>{self.name}</title>{face}", 1).encode()


def save_all(figures: Iterable[Figure], folder: Path, said: Callable[[Figure], None] = lambda figure: None) -> None:
    """Write each figure as PDF into a folder that is there, its numbers beside it, all by one browser; `said` hears
    which figure is next. Raises BadInput as `Figure.save` does; what was written before stays."""
    _pictures(figures, "pdf", INCHES["column"], lambda figure, pdf: figure._keep(folder / f"{figure.name}.pdf", pdf),
              said)


def _pictures(figures: Iterable[Figure], kind: str, inches: float, keep: Callable[[Figure, bytes], None],
              said: Callable[[Figure], None] = lambda figure: None) -> None:
    """Draw the figures one after the other and hand each to `keep`. Raises BadInput where Chrome does not draw."""
    from choreographer.errors import BrowserDepsError, BrowserFailedError, ChromeNotFoundError

    way = "or save it as .html, which needs no browser"
    with ThreadPoolExecutor(1) as aside:   # a notebook's own thread has a loop already
        drawn = aside.submit(asyncio.run, _drawn(figures, kind, inches, keep, said))
        try:
            drawn.result()
        except ChromeNotFoundError:
            raise BadInput(f"a .{kind} is drawn by Chrome or Chromium, and there is none on this machine; install "
                           f"one (the command plotly_get_chrome does), {way}") from None
        except (BrowserFailedError, BrowserDepsError, TimeoutError) as error:
            why = str(error.args[0])[:120] if error.args else f"no answer in {PATIENCE} s"
            raise BadInput(f"Chrome did not draw the .{kind} ({why}); try again, {way}") from None


async def _drawn(figures, kind, inches, keep, said) -> None:
    """By one browser that is closed whatever happens: one that never answers too."""
    from kaleido import Kaleido

    chrome, opened = Kaleido(page_generator=_page()), False
    try:
        for figure in figures:
            said(figure)
            copy = sized(figure.figure, inches)
            options = {"format": kind, "width": copy.layout.width, "height": copy.layout.height,
                       "scale": DOTS / PIXELS if kind == "png" else 1}
            async with asyncio.timeout(PATIENCE):
                if not opened:
                    await chrome.open()
                    opened = True
                picture = await chrome.calc_fig(copy, opts=options)
            keep(figure, picture)
    finally:
        await asyncio.wait_for(chrome.close(), 10)


def sized(figure: go.Figure, inches: float) -> go.Figure:
    """A copy for print, that wide: text of 7.5 points (9 on a page), lines a little thinner in a column."""
    narrow = inches < 5
    width = round(inches * PIXELS)
    height = figure.layout.height or round(width * (0.78 if narrow else 0.5))   # a drawer sets it by its rows
    size = 10 if narrow else 12
    own = (figure.layout.meta or {}).get("column", {}) if narrow else {}   # a drawer may lay out its column itself
    copy = go.Figure(figure).update_layout({"width": width, "height": height, "font_size": size, **own})
    copy.for_each_xaxis(lambda axis: axis.title.font.update(size=size))
    copy.for_each_yaxis(lambda axis: axis.title.font.update(size=size))
    return keys(copy, width, copy.layout.height, size)


def keys(figure: go.Figure, width: float, height: float, size: float) -> go.Figure:
    """The names of the lines in rows above the plot, as many beside each other as fit: plotly's own legend would put
    them in columns as wide as the longest. For a figure of that width, height and text size, in pixels."""
    named = sorted((t for t in figure.data if t.name and t.showlegend is not False), key=lambda t: t.legendrank or 0)
    if len(named) < 2 or figure.layout.barmode:   # nothing to tell apart; or two stacks of bars, each with its own
        return figure.update_layout(showlegend=len(named) > 1)
    room, rows, at = width - 62 - (figure.layout.margin.r or 0), [[]], 0.0
    for trace in named:
        wide = 46 + 0.5 * size * len(trace.name)
        if rows[-1] and at + wide > room:
            rows.append([])
            at = 0.0
        rows[-1].append(trace)
        at += wide
    for i, row in enumerate(rows):
        place = f"legend{i + 1 if i else ''}"
        for trace in row:
            trace.legend = place
        figure.layout[place] = {"orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "yanchor": "top",
                                "y": 1 - (3 + ROW * i) / height, "bgcolor": "rgba(0,0,0,0)", "traceorder": "normal"}
    return figure.update_layout(margin_t=ROW * len(rows) + 10, showlegend=True)


def _inches(width) -> float:
    inches = INCHES.get(width, width) if isinstance(width, str) else width
    if isinstance(inches, bool) or not isinstance(inches, (int, float)) or not 1 <= inches <= 40:
        raise BadInput(f"width = {width!r} is not allowed: give \"column\" (3.35 inches), \"page\" (7), or inches from "
                       "1 to 40")
    return float(inches)


def _font() -> str:
    return base64.b64encode(FONT.read_bytes()).decode()


def _page():
    """The page Chrome draws on: plotly's own script from this machine, our font, no MathJax (it would be fetched)."""
    from kaleido import PageGenerator

    class Page(PageGenerator):
        def generate_index(self):
            script = f'const FONT = "{_font()}";\n{(STATIC / "export.js").read_text(encoding="utf-8")}'
            return super().generate_index().replace("</head>", f"<script>{script}</script></head>", 1)

    return Page(mathjax=False)


def _write(files: dict[Path, bytes]) -> None:
    """All of the files or, where one cannot be written, none; the picture last: where it is, its numbers are."""
    drafts = {path: path.with_name(path.name + ".part") for path in files}
    try:
        for path, draft in drafts.items():
            if path.is_dir():
                raise IsADirectoryError(0, f"{path.name} is a folder")
            draft.write_bytes(files[path])
        for path, draft in drafts.items():
            os.replace(draft, path)
    except OSError as error:
        raise BadInput(f"path = {str(list(files)[-1])!r} cannot be written ({error.strerror}); check the folder, its "
                       "permissions and the room on the disk") from None
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
