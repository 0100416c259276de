"""Figures of a run: the numbers in them, the words, what is refused, and the files they are saved as."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets import events

plotly = pytest.importorskip("plotly")


def _chrome():
    from choreographer.browsers.chromium import Chromium

    return Chromium.find_browser(skip_local=False)


needs_chrome = pytest.mark.skipif(not _chrome(), reason="no Chrome or Chromium on this machine draws pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two groups, four clients, three rounds on rows drawn by hand."""
    draw = np.random.default_rng(1)
    group, y = draw.integers(0, 2, 600), draw.integers(0, 2, 600)
    task = fl.from_arrays(draw.normal(size=(600, 5)) + y[:, None] + group[:, None], y, group=group, name="drawn")
    e = fl.Experiment(task=task, partition=fl.ByGroup(clients=4), net=fl.Logistic(), rounds=3)
    return fl.run(e, out=tmp_path_factory.mktemp("figures") / "run", progress=False)


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    e = fl.recipe("dp-fedavg").changed(task=fl.Digits(), partition=fl.IID(clients=50), net=fl.Logistic(), rounds=3)
    return fl.run(e, out=tmp_path_factory.mktemp("private") / "run", progress=False)


def traces(figure):
    return {t.name: t for t in figure.figure.data if t.name}


# --- numbers --------------------------------------------------------------------------------------------------------

def test_what_is_drawn_is_the_data(run):
    """Every line's y is a column of the table, whatever its label."""
    for name in ("convergence", "disparity", "communication", "accuracy_per_mb"):
        figure = run.figure(name)
        columns = [figure.data[c].tolist() for c in figure.data]
        for trace in figure.figure.data:
            if trace.mode and "lines" in trace.mode and trace.y[0] is not None:
                assert list(trace.y) in columns, (name, trace.name)
                assert list(trace.x) in columns


def test_convergence_holds_the_record(run):
    """Client accuracies from the counts, by hand: those right over all, of each client."""
    data, history = run.figure("convergence").data, run.history
    assert data["test set"].tolist() == history.accuracy.tolist()
    assert data["mean client"].tolist() == history.mean_client.tolist()
    last = [e for e in run.events if isinstance(e, events.Evaluated) and e.counts][-1]
    for i, table in zip(last.clients, np.array(last.counts).reshape(last.shape), strict=True):
        assert data[f"client {i}"].iloc[-1] == (table[:, 0, 0].sum() + table[:, 1, 1].sum()) / table.sum()
    assert data[[f"client {i}" for i in range(4)]].iloc[-1].min() == history.worst_client.iloc[-1]


def test_the_worst_client_is_named_with_its_rows(run):
    worst = run.clients.accuracy.idxmin()
    names = traces(run.figure("convergence"))
    line = names[f"worst: client {worst}, n = {run.clients.held_out[worst]}"]
    assert line.line.color == "#d55e00" and line.y[-1] == run.clients.accuracy.min()
    assert f"always guessing: {100 * run.majority:.1f} %" in names


def test_many_clients_are_a_band(private):
    figure = private.figure("convergence")
    assert "client 0" not in figure.data
    assert figure.data["worst client"].tolist() == private.history.worst_client.tolist()
    assert figure.data["best client"].tolist() == private.history.best_client.tolist()
    assert any(t.fill == "tonexty" for t in figure.figure.data)
    assert "worst to best client" in traces(figure)


def test_megabytes_by_hand(run):
    """Logistic regression of 5 columns to 2 labels has 12 weights: 48 bytes to and from each of 4 clients a round."""
    data = run.figure("communication").data
    assert data["up, from the clients"].tolist() == pytest.approx([192e-6, 384e-6, 576e-6], rel=1e-12)
    assert data["down, to the clients"].tolist() == pytest.approx([192e-6, 384e-6, 576e-6], rel=1e-12)
    for figure in (run.figure("convergence", x="MB"), run.figure("accuracy_per_mb")):
        assert figure.data["MB"].tolist() == pytest.approx([384e-6, 768e-6, 1152e-6], rel=1e-12)
    assert run.figure("disparity", x="seconds").data["seconds"].iloc[-1] == pytest.approx(run.history.seconds.sum())


def test_the_stack_is_the_history(run):
    """Redundant below, unique in the middle, masked on top; the brackets reach from and to what they name."""
    figure, last = run.figure("disparity"), run.history.iloc[-1]
    stack = [t for t in figure.figure.data if t.stackgroup]
    assert [t.name for t in stack] == ["redundant", "unique", "masked"]
    for trace in stack:
        assert list(trace.y) == run.history[trace.name].tolist()
    spans = [[float(v) for v in re.findall(r",(-?[\d.e-]+)", s.path)] for s in figure.figure.layout.shapes]
    low, mid = last["redundant"], last["redundant"] + last["unique"]
    assert spans == [[mid, mid, 0, 0], [mid + last["masked"], mid + last["masked"], low, low]]
    said = [a.text for a in figure.figure.layout.annotations]
    assert said == [f"global {last.global_disparity:.4f}", f"local {last.local_disparity:.4f}"]


def test_chance_is_marked_from_the_floor_of_its_part(run):
    figure, last = run.figure("disparity"), run.history.iloc[-1]
    marks = [t.y[-1] for t in figure.figure.data if t.mode == "markers" and t.y[0] is not None and not t.name]
    assert marks[1::2] == pytest.approx([last.redundant_hi, last["redundant"] + last.unique_hi,
                                         last["redundant"] + last["unique"] + last.masked_hi])
    assert "total" not in str(figure.figure).lower()


def test_epsilon_is_what_was_spent(private):
    figure = private.figure("epsilon")
    assert figure.data["epsilon so far"].tolist() == private.history.epsilon.tolist()
    assert f"delta = {50**-1.1:.2g}" in figure.figure.layout.yaxis.title.text


def test_partition_holds_every_row(run):
    data = run.figure("partition").data
    assert data[["label 0", "label 1"]].sum().sum() == data[["group 0", "group 1"]].sum().sum() == 480
    assert data["label 0"].tolist() == run.clients["label 0"].tolist()


def test_gaps_of_clients_by_hand(run):
    data, counts = run.figure("clients").data, run.counts()
    first, second = re.match(r"(\w) − (\w)", run.figure("clients").figure.layout.xaxis.title.text).groups()
    table = counts[2]      # client 2: favourable is the later label
    rates = table[:, :, 1].sum(1) / table.sum((1, 2))
    row = data.set_index("client").loc["2"]
    assert row.points == pytest.approx(100 * (rates[int(first)] - rates[int(second)]))
    assert row.low < row.points < row.high and row[f"n, {first}"] == table[int(first)].sum()
    assert data.client.tolist() == ["all", "0", "1", "2", "3"]


# --- what is refused ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ask, words", [
    (lambda r: r.figure("convergense"), ["'convergense'", "convergence", "partition"]),
    (lambda r: r.figure("convergence", x="hours"), ["'hours'", "MB"]),
    (lambda r: r.figure("communication", x="MB"), ["communication", "rounds or seconds"]),
    (lambda r: r.figure("clients", x="MB"), ["clients", "leave x away"]),
    (lambda r: r.figure("epsilon"), ["no privacy mechanism", "dp-fedavg"]),
    (lambda r: r.figure("disparity").save("picture"), ["'picture'", ".pdf", ".svg", ".png", ".html"]),
    (lambda r: r.figure("disparity").save("picture.bmp"), ["picture.bmp", ".html"]),
    (lambda r: r.figure("disparity").save("no/such/folder/x.html"), ["no/such/folder", "make it first"]),
    (lambda r: r.figure("disparity").save("x.html", width="wide"), ["'wide'", "column", "3.35"]),
    (lambda r: r.figure("disparity").save("x.html", width=0.5), ["0.5", "1 to 40"]),
    (lambda r: r.figure("disparity").save("x.html", width=True), ["True"]),
    (lambda r: r.panel("everything"), ["'everything'", "what_if", "clients"]),
])
def test_wrong_names_are_refused_in_words(run, refused, ask, words):
    refused(lambda: ask(run), *words)


def test_a_run_without_what_is_shown(private, tmp_path, refused):
    refused(lambda: private.figure("disparity"), "no groups", "adult")
    refused(lambda: private.figure("clients"), "no groups")
    alone = fl.recipe("local-only").changed(task=fl.Digits(), net=fl.Logistic(), rounds=1)
    run = fl.run(alone, out=tmp_path / "alone", progress=False)
    refused(lambda: run.figure("accuracy_per_mb"), "sent nothing", "convergence")


def test_one_round_is_drawn_as_dots(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), net=fl.Logistic(), rounds=1)
    figure = fl.run(e, out=tmp_path / "one", progress=False).figure("convergence")
    assert traces(figure)["test set"].mode == "lines+markers" and traces(figure)["test set"].marker.size == (7.0,)


# --- panels ---------------------------------------------------------------------------------------------------------

def test_panels(run):
    assert [run.panel(n).name for n in ("convergence", "disparity", "communication")] == [
        "convergence", "disparity", "communication"]
    assert "fl-fair" in run.panel("fairness").data
    assert run.panel("what_if").reading.n == run.counts().sum()
    assert run.panel("clients").equals(run.clients)


def test_a_cell_shows_it_small_and_with_its_table(run):
    shown = run.figure("convergence")._repr_mimebundle_()
    assert shown["application/vnd.plotly.v1+json"]["layout"]["xaxis"]["title"]["text"] == "round"
    assert "<table" in shown["text/html"] and "mean client" in shown["text/html"] and "<script" not in str(shown)
    assert len(str(shown)) < 100_000


def test_nothing_heavy_comes_with_the_package(python):
    code = "import sys, fedlab_widgets; print([m for m in ('plotly', 'kaleido', 'ipywidgets') if m in sys.modules])"
    assert python(code) == "[]\n"


# --- files ----------------------------------------------------------------------------------------------------------

def test_html_needs_nothing_else(run, tmp_path):
    path = run.figure("convergence").save(tmp_path / "x.html", width="page")
    page = path.read_text("utf-8")
    assert "Plotly.newPlot" in page and "font/woff2;base64," in page
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)\s*=\s*["\'](?!data:)', page)
    assert {p.name for p in tmp_path.iterdir()} == {"x.html", "x.csv"}
    kept = pd.read_csv(tmp_path / "x.csv")
    pd.testing.assert_frame_equal(kept, run.figure("convergence").data)


def test_whole_or_not_at_all(run, tmp_path, refused):
    """The table or the picture cannot be written: then neither is, and what was there stays."""
    for blocked in ("x.csv", "x.html"):
        (tmp_path / blocked).mkdir()
        refused(lambda: run.figure("convergence").save(tmp_path / "x.html"), "cannot be written", "x.html", "folder")
        assert {p.name for p in tmp_path.iterdir()} == {blocked}
        (tmp_path / blocked).rmdir()


def test_without_chrome_the_way_out_is_named(run, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("choreographer.browsers.chromium.Chromium.find_browser", lambda **_: None)
    refused(lambda: run.figure("convergence").save(tmp_path / "x.pdf"), "Chrome", "plotly_get_chrome", ".html")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("true"), reason="no program here that ends at once")
def test_a_browser_that_does_not_start_is_said(run, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("choreographer.browsers.chromium.Chromium.find_browser", lambda **_: shutil.which("true"))
    refused(lambda: run.figure("convergence").save(tmp_path / "x.png"), "did not draw the .png", ".html")
    assert not list(tmp_path.iterdir())


@needs_chrome
def test_pictures_have_their_size_and_font(run, tmp_path):
    figure = run.figure("disparity")
    pdf = figure.save(tmp_path / "x.pdf", width="column").read_bytes()
    assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    assert b"/FontFile2" in pdf and set(re.findall(rb"/BaseFont /\w+\+([\w-]+)", pdf)) == {b"OpenSans-Regular"}
    assert float(re.search(rb"/MediaBox \[0 0 ([\d.]+)", pdf)[1]) == pytest.approx(3.35 * 72, abs=1)
    svg = figure.save(tmp_path / "x.svg", width="page").read_text("utf-8")
    assert svg.startswith("<svg") and 'width="672"' in svg and "font/woff2;base64," in svg
    assert not re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?https?:", svg)
    png = figure.save(tmp_path / "x.png", width=2).read_bytes()
    assert png.startswith(b"\x89PNG") and int.from_bytes(png[16:20], "big") == 600      # 2 inches at 300 dots
    assert {p.name for p in tmp_path.iterdir()} == {"x.pdf", "x.svg", "x.png", "x.csv"}


@needs_chrome
@pytest.mark.skipif(not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True)
                    .returncode != 0, reason="this machine cannot cut a process off the network")
def test_pictures_are_drawn_with_the_network_cut(run, tmp_path):
    code = "import sys, fedlab_widgets as fl; fl.open_run(sys.argv[1]).figure('convergence').save(sys.argv[2])"
    done = subprocess.run(["unshare", "-rn", sys.executable, "-W", "ignore", "-c", code, str(run.path),
                           str(tmp_path / "x.svg")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "font/woff2;base64," in (tmp_path / "x.svg").read_text("utf-8")


def test_clients_are_called_what_the_file_calls_them(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(size=120), "hired": rng.integers(0, 2, 120), "sex": ["f", "m"] * 60,
                          "town": ["Bonn", "Kiel", "Ulm"] * 40})
    task = fl.from_frame(frame, outcome="hired", sensitive="sex", client="town", name="towns")
    run = fl.run(fl.Experiment(task=task, partition=fl.Natural(), rounds=2), out=tmp_path / "run", progress=False)
    drawn = run.figure("convergence")
    assert {"Bonn", "Kiel", "Ulm"} <= set(drawn.data)
    worst = [t.name for t in drawn.figure.data if (t.name or "").startswith("worst: ")]
    assert len(worst) == 1 and worst[0].split(": ")[1].split(",")[0] in ("Bonn", "Kiel", "Ulm")
