"""The picture that a finished run leaves in the notebook, and the figures taken home."""

import re
from html import escape
from xml.etree import ElementTree

import nbclient
import nbformat
import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the lab's widgets are not installed")
import fedlab_widgets as fl  # noqa: E402
from fedlab_widgets import figures  # noqa: E402
from fedlab_widgets.widgets import fairness  # noqa: E402
from fedlab_widgets.widgets import still as stills  # noqa: E402
from fedlab_widgets.widgets.board import STATIC  # noqa: E402
from fedlab_widgets.widgets.keep import Keep  # noqa: E402
from fedlab_widgets.widgets.still import still  # noqa: E402

PANEL = """import fedlab_widgets as fl
panel = fl.WhatIf.of(fl.open_run({path!r}))
panel"""
DRAG = """import asyncio
panel.choice.value = "by group"
for skew in (0.7, 0.6):
    panel._strengths["by group"].box.value = skew
await asyncio.sleep(1)"""


@pytest.fixture(scope="module")
def adult(tmp_path_factory):
    e = fl.Experiment(name="first and last", partition=fl.ByGroup(clients=4), rounds=4, seed=5,
                      attack=fl.SignFlip(liars=(1,), scale=2.0))
    return fl.run(e, out=tmp_path_factory.mktemp("still") / "run", progress=False)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=40), rounds=3,
                      privatise=fl.Gaussian(clip=0.5), aggregate=fl.Mean(weights="uniform", denominator="expected"))
    return fl.run(e, out=tmp_path_factory.mktemp("many") / "run", progress=False)


def drawn(run):
    """The lines of the picture: name -> [y], top first, on the canvas."""
    svg = ElementTree.fromstring(re.search("<svg viewBox.*?</svg>", still(run), re.S)[0])
    return {line.find("title").text: [float(p.split(",")[1]) for p in line.get("points").split()]
            for line in svg.iter("polyline")}


def test_the_worst_line_is_the_client_that_is_worst_at_the_end(adult):
    each = figures.client_accuracy(adult)
    worst = each.iloc[-1].idxmin()
    lines = drawn(adult)
    assert lines["worst client at the end"] == lines[worst]
    assert lines["worst client at the end"][-1] == max(lines[name][-1] for name in each)   # lowest is largest in y
    assert len(lines[worst]) == 4 and {"test set", "mean client", "guessing"} < lines.keys()
    n = adult.clients.held_out.loc[int(worst.split()[-1])]
    assert f"worst: {worst}, n = {n:,}<" in still(adult)


def test_clients_are_called_as_the_data_call_them(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype("float32")
    task = fl.from_arrays(x, (x[:, 0] > 0).astype(int), client=np.repeat(["North & Co", "South"], 100))
    run = fl.run(fl.Experiment(task=task, partition=fl.Natural(), rounds=2), out=tmp_path / "run", progress=False)
    at = int(figures.client_accuracy(run).iloc[-1].argmin())
    worst = escape(["North & Co", "South"][at])
    assert f"worst: {worst}, n = {run.clients.held_out[at]}<" in still(run)
    assert {"North & Co", "South"} < drawn(run).keys() and "client 0" not in still(run)


def test_many_clients_are_two_edges(many):
    assert {"best client of each round", "worst client of each round"} < drawn(many).keys()
    assert "client 1" not in drawn(many)


def test_the_caption_says_what_was_run(adult, many):
    text = still(adult)
    assert "A picture of the last finished run: first and last" in text
    for piece in ("adult", "by group, clients 4", "4 rounds", "seed 5", "method fedavg", "attack sign flip", "scale 2",
                  str(adult.path), "Male − Female"):
        assert piece in text, piece
    assert re.search(r"[+−]\d+\.\d (percentage )?points", text)
    assert "privacy gaussian, clip 0.5" in still(many) and "Male" not in still(many)


def test_it_stands_alone_with_even_ticks_and_text_of_its_size(adult):
    text = still(adult)
    assert not re.search(r"<script|<img|https?:|url\(", text)
    assert 'width="640"' in text and "overflow-x:auto" in text
    ticks = [float(t) for t in re.findall(r"([\d.]+) %</text>", text) if "guessing" not in t]
    ticks = [t for t in ticks if t in {float(5 * k) for k in range(21)} or t in {float(2 * k) for k in range(51)}]
    assert len(ticks) >= 3


def test_its_colours_are_those_of_the_board():
    css = (STATIC / "board.css").read_text(encoding="utf-8")
    light, dark = re.findall(r"\.flb(?:\[data-theme=\"dark\"\])? \{(.*?)\}", css, re.S)[:2]
    for shades, block in ((stills.LIGHT, light), (stills.DARK, dark)):
        for name in set(shades) - {"card", "soft"}:
            assert f"--flb-{name}: {shades[name]};" in block, name


def test_saving_says_which_figure_is_drawn_and_holds_its_button(adult):
    keep, heard = Keep(), []
    keep.show(adult)
    keep.status.observe(lambda change: heard.append((change["new"], keep.button.disabled)), "value")
    keep.button.click()
    keep.status.thread.join(240)
    said = [(text, held) for text, held in heard if " of " in text]
    assert "Drawing 2 of 7: disparity …" in said[1][0] and all(held for _, held in said)
    assert "Saved in" in heard[-1][0] and not keep.button.disabled
    assert len(list((adult.path / "figures").glob("*.csv"))) == 7


def saved(run, *more) -> list:
    """What the file holds of a cell that shows the panel of a run, after other cells have run as well."""
    cells = (PANEL.format(path=str(run.path)), *more)
    note = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(note, timeout=60, kernel_name="python3").execute()
    return [output.data for output in note.cells[0].outputs]


def test_a_panel_alone_leaves_a_picture(adult):
    panel, picture = saved(adult)
    assert "application/vnd.jupyter.widget-view+json" in panel
    text = picture["text/html"]
    for piece in ("who holds whom: as it was", "Male − Female", "No client trained on these rows",
                  "Nobody's prediction changed", "masked", "client by client"):
        assert piece in text, piece
    assert not re.search(r"<script|<img|https?:", text) and len(text) < 50_000


def test_the_picture_of_a_panel_follows_when_the_slider_rests(adult):
    _, picture = saved(adult, DRAG)
    panel = fl.WhatIf.of(adult)
    panel.choice.value = "by group"
    panel._strengths["by group"].box.value = 0.6
    unique = next(a for a in panel.reading.atoms if a.name == "unique")
    assert "who holds whom: by group, skew = 0.6" in picture["text/html"]
    assert f"unique</tspan> {fairness.bits(unique.bits)} bits" in picture["text/html"]


def test_what_is_said_once_is_said_once(adult):
    assert fl.WhatIf.of(adult).picture().count("No client trained on these rows") == 1
    assert adult.panel("fairness").data.count("No client trained on these rows") == 1
