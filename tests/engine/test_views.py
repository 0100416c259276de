"""Live readings of a recorded run: what `shows` gave is what `views` and the figures hold, also after a resume."""

import math

import pytest

import fedlab_widgets as fl
from fedlab_widgets.part import _CATALOGUE
from fedlab_widgets.types import View

pytest.importorskip("plotly")
NAMES = ("client 0", "client 1", "client 2")


@pytest.fixture(scope="module")
def telling():
    before = dict(_CATALOGUE["aggregate"])

    @fl.part
    class TellsViews(fl.Mean):
        """Take the mean, and show four views of it. Source: this test."""

        def shows(self, plan, state, cohort):
            t = cohort.round
            return {"trust": View("lines", "Trust", "How much.", NAMES, (float(t), 2.0 * t, math.nan)),
                    "overlap": View("matrix", "Overlap", "", NAMES, ((9, 1, 2), (1, 9, 3), (2, 3, 9))),
                    "topology": View("graph", "Topology", "", NAMES, (0.0, 1.0, 2.0), ((0, t % 3), (1, 2))),
                    "tree": View("tree", "Tree", "", values=((0, 1, 1, 0), (0, 2, 2, int(t == 2)), (1, 1, 2, 1)))}

    yield TellsViews
    _CATALOGUE["aggregate"].clear()
    _CATALOGUE["aggregate"].update(before)


@pytest.fixture(scope="module")
def run(telling, tmp_path_factory):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), rounds=4, aggregate=telling(),
                      evaluate=fl.Evaluation(every=2))
    return fl.run(e, out=tmp_path_factory.mktemp("views") / "run", progress=False)


def test_views_are_recorded_in_the_rounds_that_are_read(run):
    assert {name: [t for t, _ in read] for name, read in run.views.items()} == dict.fromkeys(
        ("trust", "overlap", "topology", "tree"), [2, 4])
    round, view = run.views["trust"][-1]
    assert list(view.values) == [4.0, 8.0, None] and list(view.labels) == list(NAMES) and view.title == "Trust"


def test_a_run_without_them_has_none(tmp_path):
    plain = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), rounds=1), out=tmp_path / "run",
                   progress=False)
    assert plain.views == {}
    with pytest.raises(fl.BadInput, match="nothing to show"):
        plain.panel("inside")


def test_the_figure_of_lines_is_its_table(run):
    figure = run.figure("trust")
    assert figure.data["round"].tolist() == [2, 4] and figure.data["client 1"].tolist() == [4.0, 8.0]
    assert figure.data["client 2"].isna().all()
    drawn = {t.name: list(t.y) for t in figure.figure.data}
    assert drawn["client 0"] == [2.0, 4.0] and drawn["client 1"] == [4.0, 8.0]


def test_the_figure_of_a_matrix_leaves_the_diagonal_out_and_its_table_does_not(run):
    figure = run.figure("overlap")
    assert figure.data["client 1"].tolist() == [1, 9, 3] and figure.data["label"].tolist() == list(NAMES)
    assert [list(row) for row in figure.figure.data[0].z] == [[None, 1, 2], [1, None, 3], [2, 3, None]]


def test_the_figure_of_a_graph_names_who_is_linked(run):
    """After round 4 the links are (0, 4 mod 3) = (0, 1) and (1, 2)."""
    assert run.figure("topology").data["linked"].tolist() == ["client 1", "client 0, client 2", "client 1"]


def test_the_figure_of_a_tree_fills_what_counts(run):
    figure = run.figure("tree")
    assert figure.data["counts"].tolist() == [0, 0, 1]
    now = next(t for t in figure.figure.data if t.name == "counts now")
    assert list(now.y) == [1] and now.x[0] == pytest.approx(1.9) and now.base[0] == pytest.approx(0.55)


def test_names_and_axes_that_are_none_are_refused(run):
    with pytest.raises(fl.BadInput, match="none of .*gains, trust, overlap"):
        run.figure("reputation")
    with pytest.raises(fl.BadInput, match="leave x away"):
        run.figure("trust", x="MB")


def test_views_survive_a_stop_and_a_resume(run, telling, tmp_path):
    e = run.experiment
    stopped = fl.run(e, out=tmp_path / "run", progress=False, stop=lambda: len(_rounds(tmp_path / "run")) >= 2)
    assert stopped.status != "finished"
    assert stopped.resume(progress=False).views == run.views


def _rounds(path):
    log = path / "events.jsonl"
    return [line for line in log.read_text().splitlines() if '"RoundEnded"' in line] if log.exists() else []


def test_the_panel_of_a_run_shows_its_end(run):
    pytest.importorskip("anywidget")
    panel = run.panel("inside")
    assert panel.layout.display is None and "After round 4: client 0: 4, client 1: 8." in panel.pictures.value
