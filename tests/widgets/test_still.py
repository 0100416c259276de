"""The picture that a finished run leaves in the notebook, and the figures taken home."""

import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("anywidget", reason="the lab's widgets are not installed")
import fedlab_widgets as fl  # noqa: E402
from fedlab_widgets import figures  # noqa: E402
from fedlab_widgets.widgets import still as stills  # noqa: E402
from fedlab_widgets.widgets.board import STATIC  # noqa: E402
from fedlab_widgets.widgets.keep import Keep  # noqa: E402
from fedlab_widgets.widgets.still import still  # noqa: E402


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
    assert "Drawing 2 of 6: disparity …" in said[1][0] and all(held for _, held in said)
    assert "Saved in" in heard[-1][0] and not keep.button.disabled
    assert len(list((adult.path / "figures").glob("*.csv"))) == 6
