"""The panel for a file of one's own, without a browser; and how the form opens it."""

import html
import re

import ipywidgets as w
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.tasks.arrays import rows_of
from fedlab_widgets.widgets import data_html, guess
from fedlab_widgets.widgets.controls import NOTHING
from fedlab_widgets.widgets.form import Form
from fedlab_widgets.widgets.starts import STARTS
from fedlab_widgets.widgets.why import Explained
from fedlab_widgets.widgets.your_file import YourFile

# 60 people: ids, ages, two sexes (40 and 20), three hospitals (30, 20 and 10), yes for every other one.
PEOPLE = pd.DataFrame({"patient_id": range(100, 160), "age": [30 + i % 40 for i in range(60)],
                       "sex": ["f"] * 40 + ["m"] * 20, "hospital": ["A"] * 30 + ["B"] * 20 + ["C"] * 10,
                       "note": [f"text {i}" for i in range(60)], "readmitted": ["no", "yes"] * 30})
CSV = PEOPLE.to_csv(index=False, sep=";").encode()


@pytest.fixture
def used():
    return []


@pytest.fixture
def panel(used):
    return YourFile(lambda task, partition: used.append((task, partition)))


def sent(panel, name, content):
    """What the page sends when somebody chooses a file."""
    file = {"name": name, "type": "text/csv", "size": len(content), "content": memoryview(content),
            "last_modified": pd.Timestamp("2024-01-01", tz="UTC").to_pydatetime()}
    panel.chooser.upload.value = (file,)
    panel.chooser.status.thread.join(20)


def text(widget) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", widget.value)))


def test_a_file_is_shown_and_its_columns_are_guessed(panel):
    assert panel.below.layout.display == "none" and panel.layout.display is None
    sent(panel, "people.csv", CSV)
    assert panel.chooser.upload.value == ()   # its rows are not saved with the notebook
    assert "people.csv: 60 rows, 6 columns" in text(panel.chooser.preview) and panel.below.layout.display is None
    assert [c.value for c in (panel.outcome, panel.favourable, panel.sensitive, panel.client)] == [
        "readmitted", "yes", "sex", "hospital"]
    assert {name for name, box in panel.leave_out.items() if box.value} == {"patient_id", "note"}
    assert [b.description for b in panel._boxes.children] == ["patient_id", "age", "note"]   # roles are no features
    assert not panel.button.disabled and not panel.keep.value
    counts = text(panel.counts)
    assert "60 rows were read and 60 are used. Features made of the other columns: 1." in counts
    # A holds 30 women; B holds 10 women and 10 men; C holds 10 men.
    assert "hospital f m all A 30 0 30 B 10 10 20 C 0 10 10 all 40 20 60" in counts
    assert "sex no yes all f 20 20 40 m 10 10 20 all 30 30 60" in counts
    assert "Few rows, fewer than 20: client C (10)." in counts and "Few rows, fewer than 20: group" not in counts


def test_use_gives_a_task_and_natural_clients(panel, used):
    sent(panel, "people.csv", CSV)
    panel.favourable.value = "no"
    panel.button.click()
    panel.status.thread.join(20)
    (task, partition), = used
    assert (task.title, task.labels, task.favourable, task.groups) == ("people.csv", ("no", "yes"), 0, ("f", "m"))
    assert partition == fl.Natural() and task.shape == (60, 1) and task.keep_rows is False
    assert rows_of(task)["client"].tolist() == [0] * 30 + [1] * 20 + [2] * 10
    assert "In use: people.csv. 60 rows were read" in text(panel.status)
    panel.client.value, panel.keep.value = NOTHING, True
    panel.use()
    task, partition = used[1]
    assert partition is None and task.keep_rows is True and "client" not in rows_of(task)
    assert "dealt out by the partition chosen in the form" in text(panel.counts)


def test_choices_that_cannot_be_are_said_in_place(panel, used):
    sent(panel, "people.csv", CSV)
    panel.leave_out["note"].value = False
    assert "column 'note' holds 60 different texts" in text(panel.status) and panel.button.disabled
    assert panel.counts.value == "" and panel.plan is None
    panel.leave_out["note"].value = True
    assert text(panel.status).strip() == "" and not panel.button.disabled
    panel.outcome.value = "note"
    assert panel.button.disabled and "'note' holds 60 different values" in text(panel.status)
    panel.outcome.value = "sex"
    assert panel.favourable.options == (("f", "f"), ("m", "m"))
    assert "sensitive = 'sex' is the outcome" in text(panel.status)
    panel.sensitive.value = NOTHING
    assert "compare no groups" in text(panel.counts) and not panel.button.disabled
    assert used == []


def test_another_file_begins_anew(panel):
    sent(panel, "people.csv", CSV)
    sent(panel, "people.csv", CSV)   # the same again: its boxes are new ones, and not those that were closed
    assert panel._boxes.children == tuple(panel.leave_out[c] for c in ("patient_id", "age", "note"))
    assert all(box.comm is not None for box in panel._boxes.children)
    sent(panel, "more.csv", b"colour,ok\n" + b"red,0\nblue,1\n" * 10)
    assert panel.outcome.value == "ok" and panel.favourable.value == 1 and panel.client.label == "none"
    assert [*panel.leave_out] == ["colour", "ok"] and "Features made of the other columns: 1" in text(panel.counts)


def test_a_path_is_read_and_a_wrong_one_said(panel, tmp_path):
    (tmp_path / "people.csv").write_bytes(CSV)
    there, missing = tmp_path / "people.csv", tmp_path / "no.csv"
    for path, said in ((there, None), (missing, "cannot be opened"), ("", "Type the path")):
        panel.chooser.path.value = f' "{path}" ' if path else ""   # as file managers copy it
        panel.chooser.go.click()
        panel.chooser.status.thread.join(20)
        assert said is None and panel.chooser.name == "people.csv" or said in text(panel.chooser.status)
    assert len(panel.chooser.frame) == 60   # what was read stays


def test_markup_in_somebodys_data_stays_text(panel):
    evil = "<img src=x onerror=alert(1)>"
    sent(panel, evil, f"{evil},ok,site\n".encode() + f"{evil},0,{evil}\nb,1,c\n".encode() * 10)
    panel.sensitive.value = evil
    assert evil not in panel.chooser.preview.value + panel.counts.value + panel.status.value
    panel.outcome.value = "site"
    panel.client.value = evil
    assert evil not in panel.counts.value + panel.status.value and evil in html.unescape(panel.counts.value)


def test_every_control_has_a_why(panel):
    sent(panel, "people.csv", CSV)

    def controls(widget, explained=False):
        explained = explained or isinstance(widget, Explained)
        if isinstance(widget, (w.Dropdown, w.Checkbox, w.Text, w.FileUpload)) or (
                isinstance(widget, w.Button) and widget.description != "?"):
            yield widget.description, explained
        for child in getattr(widget, "children", ()):
            yield from controls(child, explained)

    found = dict(controls(panel))
    assert len(found) == 3 + 6 + 3 + 1 and all(found.values()), found


def test_small_counts_are_marked_and_few_listed():
    shown = data_html.counts(PEOPLE["hospital"].to_numpy(), PEOPLE["sex"].to_numpy(), "hospital", "sex")
    assert shown.count("class=few") == 5   # all but the 30 of the six cells
    said = data_html.few(pd.Series([f"c{i}" for i in range(8)] + ["big"] * 20).to_numpy(), "client")
    assert said.startswith("Few rows, fewer than 20: client c0 (1), c1 (1), c2 (1), c3 (1), c4 (1) and 3 more.")


@pytest.mark.parametrize("columns, role, found", [
    (["age", "predictedIncome", "income"], "prediction", "predictedIncome"),
    (["age", "predicted income", "income"], "outcome", "income"), (["bank_branch", "x"], "client", "bank_branch"),
    (["Gender", "x"], "group", "Gender"), (["x", "z"], "group", None), (["sexton", "x"], "group", None)])
def test_guesses_read_whole_words(columns, role, found):
    frame = pd.DataFrame({name: ["a", "b"] * 20 for name in columns})
    assert guess.guess(frame, role) == found


def test_what_looks_like_an_id():
    frame = pd.DataFrame({"row": range(1, 31), "phone_number": range(700, 1000, 10), "pay": range(0, 3000, 100),
                          "age": [20, 30] * 15, "born": pd.date_range("1990-01-01", periods=30)})
    assert guess.to_leave_out(frame) == ["row", "phone_number"]


# --- in the form ----------------------------------------------------------------------------------------------------

@pytest.fixture
def form():
    return Form(fl.Experiment(task=fl.Digits(), partition=fl.Dirichlet(clients=4)))


def choose(form, label):
    control = form.field("task").control
    control.set_state({"index": [name for name, _ in control.options].index(label)})


def test_the_form_offers_your_file_and_opens_the_panel(form):
    field = form.field("task")
    assert [name for name, _ in field.control.options] == ["adult", "austen", "digits", "items", "linear bandit",
                                                               "mnist", "two gaussians", "Your file…"]
    choose(form, "Your file…")
    assert field.panel in field.box.children and form.experiment.task == fl.Digits() and form.problem == ""
    form.field("rounds").control.value = 7   # the panel stays open while other things change
    assert field.control.label == "Your file…" and field.panel in field.box.children
    sent(field.panel, "people.csv", CSV)
    field.panel.button.click()
    field.panel.status.thread.join(20)
    assert form.experiment.task.title == "people.csv" and form.experiment.partition == fl.Natural()
    assert [name for name, _ in field.control.options] == [
        "adult", "people.csv", "austen", "digits", "items", "linear bandit", "mnist", "two gaussians", "Your file…"]
    assert field.control.label == "people.csv" and field.panel not in field.box.children
    assert "Your own rows. 60 rows were read and 60 are used." in field.says.value
    assert "Clients go by number: 0 A, 1 B, 2 C." in field.says.value
    assert form.sections["Fairness"].button.description == "Fairness: accuracy, gaps, decomposition"
    choose(form, "Your file…")
    choose(form, "people.csv")   # back, with nothing changed
    assert form.experiment.task.title == "people.csv" and field.panel not in field.box.children
    choose(form, "digits")
    assert form.experiment.task == fl.Digits() and "people.csv" not in dict(field.control.options)


def test_a_partition_that_the_rows_cannot_have_becomes_one_that_they_can(form):
    field = form.field("task")
    choose(form, "Your file…")
    sent(field.panel, "people.csv", CSV)
    field.panel.client.value = NOTHING
    field.panel.use()
    assert form.experiment.partition == fl.Dirichlet(clients=4)   # it can be dealt out so, and stays
    field.panel.client.value = "hospital"
    field.panel.use()
    assert form.experiment.partition == fl.Natural()
    field.panel.client.value = NOTHING
    field.panel.use()
    assert form.experiment.partition == fl.ByGroup()   # sex is compared
    assert "The split was by client; these data name none, so it is by group now." in text(field.says)


@pytest.mark.parametrize("name, partition", [("adult", fl.ByGroup()), ("digits", fl.IID())])   # two groups, and one
def test_another_data_set_takes_a_partition_that_it_can_have(form, name, partition):
    field, said = form.field("task"), f"these data name none, so it is {partition.name.replace('_', ' ')} now."
    choose(form, "Your file…")
    sent(field.panel, "people.csv", CSV)
    field.panel.use()
    seen = []
    form.observe(lambda change: seen.append(change.new), "experiment")
    choose(form, name)
    assert [(e.task.name, e.partition) for e in seen] == [(name, partition)] and form.problem == ""   # in one change
    form.field("rounds").control.value = 7
    assert said in text(field.says)
    form.show(form.experiment.changed(partition="dirichlet"))
    assert said not in text(field.says)


def test_a_partition_that_fits_stays_with_another_data_set(form):
    choose(form, "adult")
    assert form.experiment.partition == fl.Dirichlet(clients=4) and "split" not in text(form.field("task").says)
    form.show(form.experiment.changed(partition=fl.Masked()))
    choose(form, "digits")
    assert form.experiment.partition == fl.IID()
    assert "cannot be split by masked, so the split is iid now" in text(form.field("task").says)


def test_a_quick_start_does_not_give_its_name_to_other_data(form):
    quick = {q.experiment.name: q.experiment for q in STARTS}
    for name, then in (("who-is-treated-differently", "fedavg"), ("a-liar-among-us", "my experiment")):
        form.show(quick[name])
        choose(form, "Your file…")
        sent(form.field("task").panel, "people.csv", CSV)
        assert form.experiment.name == name   # until the file is used
        form.field("task").panel.use()
        assert form.experiment.task.title == "people.csv" and form.experiment.name == then
    form.show(quick["who-is-treated-differently"])
    choose(form, "Your file…")
    choose(form, "adult")   # back to the same data
    assert form.experiment.name == "who-is-treated-differently"
    choose(form, "digits")
    assert form.experiment.name == "fedavg"
    form.show(quick["a-liar-among-us"].changed(name="mine"))
    choose(form, "adult")
    assert form.experiment.name == "mine"


def test_more_clients_than_rows_are_left_to_the_picture(form):
    form.show(fl.Experiment(partition=fl.IID(clients=5000)))
    choose(form, "adult")
    choose(form, "digits")   # 1,437 training rows
    assert form.experiment.partition == fl.IID(clients=5000) and form.experiment.task == fl.Digits()


def test_while_a_run_goes_the_data_stay(form, tmp_path):
    field = form.field("task")
    choose(form, "Your file…")
    sent(field.panel, "people.csv", CSV)
    form.lock(True)
    assert field.panel.button.disabled
    with pytest.raises(fl.BadInput, match="a run is at work"):
        field.panel.use()
    form.lock(False)
    assert not field.panel.button.disabled
    field.panel.use()
    assert form.experiment.task.title == "people.csv"
    run = fl.run(form.experiment.changed(rounds=1), tmp_path / "run", progress=False)
    assert run.status == "finished" and [c["name"] for c in run.events[0].clients] == ["A", "B", "C"]
