"""An audit on two printed pages: what is found, how it was measured, what it does not say; no number below ten people.

What a reader could work out by subtraction is withheld too. Totals of groups are printed, totals of clients are not,
so that a hidden cell has to be safe within its column. It is, where the hidden cells of a column are two or more and
hold ten people or more together (`hidden`): none of them is then known more closely than to a range of ten. All read
alike: were it said which of them are below ten, two that sum to eighteen would be known to be nine each.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .audit_page import LIMITS, STYLE, hull_svg, listed, parts, safe, short
from .export import PATIENCE, _font, _write
from .part import BadInput
from .widgets.fairness import in_data, percent, signed

LEAST = 10        # people behind a printed number
MOST_ROWS = 12    # clients in the table; the others are one row
HIDDEN = "not shown"
CRITERIA = (   # name, what is compared, when it applies
    ("Statistical parity", ("rate",), "shares of each group given the favourable answer",
     "Applies where groups should be given it alike whatever was recorded, or where the recorded outcomes are "
     "themselves in doubt."),
    ("Equal opportunity", ("tpr",), "the shares given it among those whose outcome was favourable",
     "Applies where recorded outcomes can be trusted and the harm is to be refused wrongly."),
    ("Equalised odds", ("tpr", "fpr"),
     "the shares given it among those whose outcome was favourable, and among the others",
     "Applies where outcomes can be trusted and both errors harm."),
    ("Predictive parity", ("ppv",), "shares of those given the favourable answer whose outcome was favourable",
     "Applies where somebody acts on the answer and it should mean the same for each group."))
TOGETHER = ("Where the outcomes of groups differ, equalised odds and predictive parity cannot both hold unless "
            "predictions are perfect: choose by what is at stake, not by what is met.")


def save(audit, path: str | Path) -> Path:
    """What `Audit.save` does."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".html", ".pdf"):
        raise BadInput(f"path = {str(path)!r} does not say which kind of file: let it end in .html or .pdf")
    if not path.parent.is_dir():
        raise BadInput(f"path = {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
    text = page(audit)
    _write({path: _printed(text) if kind == ".pdf" else text.encode()})
    return path


def page(audit) -> str:
    """The summary as one HTML page with nothing from a network, two pages of A4 when printed.

    Raises BadInput where a group has fewer than ten people, and where everybody is given the same answer.
    """
    counts, good = audit.counts, audit.favourable
    some = [g for g, n in enumerate(counts.sum((0, 2, 3))) if n]
    counts, groups = counts[:, some], [audit.groups[g] for g in some]
    small = [g for g, n in zip(groups, counts.sum((0, 2, 3)), strict=True) if n < LEAST]
    if small:
        raise BadInput(f"group {small[0]!r} has fewer than {LEAST} people, and no number of so few is printed; merge "
                       "it with another group, or leave it out")
    if counts.sum((0, 1, 2)).min() == 0:
        only = audit.labels[int(counts.sum((0, 1, 2)).argmax())]
        raise BadInput(f"everybody is predicted {only!r}: no group is treated otherwise than another, and there is "
                       "nothing to summarise; check the column of predictions")
    yes, n = counts[:, :, :, good].sum(2), counts.sum((2, 3))
    table, fewer = _clients_table(audit.clients, groups, yes, n, audit.labels[good])
    whole = counts.sum(0)
    open_ = bool((np.minimum(yes.sum(0), (n - yes).sum(0)) >= LEAST).all())
    first = (f"<h1>Who is predicted “{safe(audit.labels[good])}”?</h1><p class=who>{counts.sum():,} people, "
             f"{len(audit.clients):,} client{'s' * (len(audit.clients) != 1)}; groups: {safe(', '.join(groups))}.</p>"
             f"<h2>In words</h2>{_words(audit, whole, groups, fewer, open_)}<h2>Client by client</h2>{table}"
             f"<h2>What this does not say</h2>{listed(LIMITS)}")
    criteria = f"<h2>Criteria, and when each applies</h2>{_criteria(whole, groups, good)}"
    middle = hull_svg(audit, LEAST) + parts(audit.reading) if open_ else (
        f"<p>The parts of the disparity are withheld: they would give away a number of fewer than {LEAST} people.</p>")
    second = f"<h2>Where the difference sits</h2>{middle}{criteria}"
    face = f"@font-face{{font-family:'Open Sans';src:url(data:font/woff2;base64,{_font()})}}"
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>Who is predicted “{safe(audit.labels[good])}”?"
            f"</title><style>{face}{STYLE}</style><section>{first}</section><section>{second}</section></html>")


def hidden(*counts: np.ndarray, already=False) -> np.ndarray:
    """Which cells of a column to hide, [C]: those with fewer than ten people in any of counts [C], those `already`
    hidden, and others, smallest first, until what is hidden cannot be worked out from the total.

    >>> hidden(np.array([4, 12, 50, 60])).tolist()   # 12 too, as 126 - 50 - 60 - 12 = 4
    [True, True, False, False]
    """
    hide = np.any([c < LEAST for c in counts], axis=0) | already
    for i in np.argsort(np.min(counts, axis=0), kind="stable"):
        if not hide.any() or hide.sum() > 1 and min(c[hide].sum() for c in counts) >= LEAST:
            break
        hide[i] = True
    return hide


def _clients_table(names, groups, yes, n, good) -> tuple[str, bool]:
    """Rates by client and group, and whether a number had to be left out."""
    names = list(names)
    if len(names) > MOST_ROWS:
        order = np.argsort(-n.sum(1), kind="stable")
        shown, rest = np.sort(order[:MOST_ROWS - 1]), order[MOST_ROWS - 1:]
        names = [*(names[i] for i in shown), f"{len(rest):,} others together"]
        yes, n = (np.concatenate([a[shown], a[rest].sum(0, keepdims=True)]) for a in (yes, n))
    cells, fewer = [[""] * len(groups) for _ in names], False
    for g in range(len(groups)):
        no_n = hidden(n[:, g])
        no_rate = hidden(yes[:, g], n[:, g] - yes[:, g], already=no_n)
        fewer = fewer or bool(no_rate.any())
        for c in range(len(names)):
            rate = HIDDEN if no_rate[c] else percent(yes[c, g] / n[c, g])
            cells[c][g] = rate + ("" if no_n[c] else f"<small>of {n[c, g]:,}</small>")
    rows = "".join(f"<tr><th scope=row>{safe(short(name, 30))}" + "".join(f"<td>{cell}" for cell in row)
                   for name, row in zip(names, cells, strict=True))
    total = "".join(f"<td>{_rate(k, m)}<small>of {m:,}</small>" for k, m in zip(yes.sum(0), n.sum(0), strict=True))
    head = "".join(f"<th scope=col>{safe(short(g))}" for g in groups)
    note = (f"<p class=note>{HIDDEN.capitalize()}: fewer than {LEAST} people in the cell, or given one of the answers; "
            "or a number from which one of those could be worked out. Which it is, is not said.</p>")
    return (f"<table class={'many' if len(groups) > 4 else 'few'}><caption>Predicted “{safe(good)}”, of people of the "
            f"group at the client</caption><thead><tr><th scope=col>client{head}</thead><tbody>{rows}<tr class=total>"
            f"<th scope=row>everybody{total}</table>{note if fewer else ''}"), fewer


def _rate(part, n) -> str:
    return percent(part / n) if min(part, n - part) >= LEAST else HIDDEN


def _words(audit, whole, groups, fewer, open_) -> str:
    """The sentences that need no bits, without those that would give away a small number."""
    if not open_:
        return (f"<p>Rates are not compared in words: in one group fewer than {LEAST} people were given one of the "
                "answers.</p>")
    said = list(audit.reading.message)
    pair = [groups.index(r.group) for r in (audit.reading.gap.first, audit.reading.gap.second)]
    if whole.sum(2)[pair].min() < LEAST:   # labels of the two groups
        said.remove(in_data(audit.reading))
    if fewer:
        said[-1] = said[-1].split(" (")[0].rstrip(".") + "."   # who was not counted, and why, are small numbers
    return listed(said)


def _criteria(whole, groups, good) -> str:
    """Each group's rates and each criterion's largest difference. whole: [group, label, prediction]."""
    n, k, true = whole.sum((1, 2)), whole[:, :, good].sum(1), whole[:, good].sum(1)
    hit = whole[:, good, good]
    wrong = k - hit
    clear = np.min([hit, wrong, true - hit, n - true - wrong], axis=0) >= LEAST   # all four, as rates give all away
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = {"rate": np.where(np.minimum(k, n - k) >= LEAST, k / n, np.nan)}
        rates |= {name: np.where(clear, over / under, np.nan) for name, over, under in (
            ("tpr", hit, true), ("fpr", wrong, n - true), ("ppv", hit, k))}
    names = {"rate": "given the favourable answer", "tpr": "given it, of those whose outcome was favourable",
             "fpr": "given it, of the others", "ppv": "outcome favourable, of those given it"}
    head = "".join(f"<th scope=col>{name}" for name in names.values())
    rows = "".join(f"<tr><th scope=row>{safe(short(g))}" + "".join(
        f"<td>{HIDDEN if math.isnan(rates[r][i]) else percent(rates[r][i])}" for r in names) for i, g in
        enumerate(groups))
    lines = []
    for name, which, what, when in CRITERIA:
        found = [d for d in (_largest(rates[r], groups) for r in which) if d]
        value = found and max(found, key=lambda d: d[0])
        said = (f"{signed(100 * value[0])} points at most ({safe(value[1])} − {safe(value[2])})" if len(found) == len(
            which) else "withheld, as a number is below " + str(LEAST))
        lines.append(f"<b>{name}</b> compares {what}: {said}. {when}")
    return (f"<table class=few><thead><tr><th scope=col>group{head}</thead><tbody>{rows}</table><ul>"
            f"{''.join(f'<li>{line}' for line in [*lines, TOGETHER])}</ul>")


def _largest(rates, groups) -> tuple[float, str, str] | None:
    """The largest difference of two groups' rates, larger first; None where one of the rates is not to be shown."""
    if np.isnan(rates).any():
        return None
    a, b = max(itertools.permutations(range(len(rates)), 2), key=lambda p: rates[p[0]] - rates[p[1]])
    return float(rates[a] - rates[b]), groups[a], groups[b]


def _printed(text: str) -> bytes:
    """The page as PDF. Raises BadInput where Chrome does not print."""
    from choreographer.errors import BrowserDepsError, BrowserFailedError, ChromeNotFoundError

    way = "or save it as .html, which prints on two pages from any browser"
    with ThreadPoolExecutor(1) as aside:   # a notebook's own thread has a loop already
        try:
            return aside.submit(asyncio.run, _print(text)).result()
        except ChromeNotFoundError:
            raise BadInput("a .pdf is printed by Chrome or Chromium, and there is none on this machine; install one "
                           f"(the command plotly_get_chrome does), {way}") from None
        except (BrowserFailedError, BrowserDepsError, TimeoutError) as error:
            why = str(error.args[0])[:120] if error.args else f"no answer in {PATIENCE} s"
            raise BadInput(f"Chrome did not print the .pdf ({why}); try again, {way}") from None


async def _print(text: str) -> bytes:
    """By a browser that is closed whatever happens."""
    from choreographer import Browser

    chrome = Browser(headless=True)
    try:
        async with asyncio.timeout(PATIENCE):
            await chrome.open()
            tab = await chrome.create_tab("about:blank")
            frame = (await tab.send_command("Page.getFrameTree"))["result"]["frameTree"]["frame"]["id"]
            await tab.send_command("Page.setDocumentContent", {"frameId": frame, "html": text})
            await tab.send_command("Runtime.evaluate", {"expression": "document.fonts.ready.then(() => 1)",
                                                        "awaitPromise": True})
            answer = await tab.send_command("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
            return base64.b64decode(answer["result"]["data"])
    finally:
        await asyncio.wait_for(chrome.close(), 10)
