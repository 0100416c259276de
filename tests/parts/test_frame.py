"""A task from a data frame or a file: features, counts and refusals by hand."""

import datetime

import numpy as np
import pandas as pd
import pytest

import fedlab_widgets as fl
from fedlab_widgets.tasks.arrays import rows_of
from fedlab_widgets.tasks.frame import plan, report_of
from fedlab_widgets.tasks.table import read_table


def people(**columns) -> pd.DataFrame:
    """Twelve rows: outcome alternates, six women and six men, three sites."""
    return pd.DataFrame({"hired": ["no", "yes"] * 6, "sex": ["f"] * 6 + ["m"] * 6, "site": ["a", "b", "c"] * 4,
                         **columns})


def features(frame, **how) -> dict[str, list[float]]:
    """The features of a frame by name."""
    task = fl.from_frame(frame, **{"outcome": "hired", **how})
    return dict(zip(report_of(task).features, rows_of(task)["x"].T.tolist(), strict=True))


def test_numbers_are_standardised_and_gaps_filled_with_the_median():
    # Eleven values: ten zeros and one 11. Median 0, so twelve values with sum 11: mean 11/12, and the mean square is
    # 121/12, so the variance is 121/12 - 121/144 = 121 * 11 / 144 and the deviation 11 sqrt(11) / 12.
    made = features(people(pay=[0] * 10 + [11, None]), sensitive="sex", client="site")
    assert list(made) == ["pay", "pay is missing"]
    assert made["pay"][:10] == pytest.approx([-1 / np.sqrt(11)] * 10)   # (0 - 11/12) / (11 sqrt(11) / 12)
    assert made["pay"][10:] == pytest.approx([np.sqrt(11), -1 / np.sqrt(11)])   # (11 - 11/12) / … = (121/12) / …
    assert made["pay is missing"] == [0.0] * 11 + [1.0]


def test_texts_become_a_column_each_and_of_two_values_one():
    made = features(people(town=["Rome", "Oslo", None] * 4, shift=["day", "night"] * 6, member=[True] * 11 + [False]))
    assert made["town = (missing)"] == [0, 0, 1] * 4
    assert made["town = Oslo"] == [0, 1, 0] * 4 and made["town = Rome"] == [1, 0, 0] * 4
    assert made["shift = night"] == [0, 1] * 6 and "shift = day" not in made
    assert made["member = True"] == [1] * 11 + [0] and "member = False" not in made
    assert made["sex = m"] == [0] * 6 + [1] * 6 and len(made) == 3 + 1 + 1 + 1 + 3   # town, shift, member, sex, site


def test_roles_are_never_features_unless_asked():
    frame = people(age=range(12))
    given = {"sensitive": "sex", "client": "site"}
    assert list(features(frame, **given)) == ["age"]
    assert list(features(frame, **given, withhold=False)) == ["sex = m", "age"]
    assert list(features(frame, client="site", exclude=["sex"])) == ["age"]
    task = fl.from_frame(frame, "hired", **given)
    data = task.load()
    assert (data.labels, data.groups, data.favourable) == (("no", "yes"), ("f", "m"), 1)
    assert set(data.client.tolist()) == {0, 1, 2}
    assert fl.from_frame(frame, "hired", favourable="no").favourable == 0


def test_dates_are_days_and_decimals_numbers():
    from decimal import Decimal

    days = [datetime.date(2024, 1, 1 + i) for i in range(12)]
    made = features(people(day=days, seen=pd.to_datetime(days), cost=[Decimal(i) / 2 for i in range(12)]),
                    exclude=["sex", "site"])
    # Days 0 to 11: mean 5.5, variance (12^2 - 1) / 12 = 143 / 12. Halves of the same numbers: the same z values.
    z = (np.arange(12) - 5.5) / np.sqrt(143 / 12)
    assert list(made) == ["day", "seen", "cost"]
    for name in made:
        assert made[name] == pytest.approx(z.tolist(), rel=1e-6)


def test_rows_without_a_role_are_left_out_and_counted():
    frame = people(age=range(12), pay=[None] + [1.0, 2.0] * 5 + [np.inf])
    frame.loc[0, "hired"] = frame.loc[1, "sex"] = None   # row 0 has no outcome and no pay: it counts as the first
    task = fl.from_frame(frame, "hired", sensitive="sex", client="site")
    report = report_of(task)
    assert (report.rows_read, report.rows_used) == (12, 10)
    assert report.dropped == {"no value in hired (the outcome column)": 1, "no value in sex (the sensitive column)": 1}
    assert report.missing == {"hired": 1, "sex": 1, "pay": 2}   # an infinite value is no value
    assert "1 row is left out: no value in hired" in report.text() and task.shape == (10, 3)
    frame = pd.concat([frame, people(age=range(12), pay=1.0)], ignore_index=True)
    report = report_of(fl.from_frame(frame, "hired", sensitive="sex", client="site", missing="drop"))
    assert report.rows_used == 21   # 24 less the two, less row 11, whose pay is infinite
    assert report.dropped["a value is missing in another column"] == 1 and report.features == ("age", "pay")


def test_columns_that_say_nothing_are_named():
    report = report_of(fl.from_frame(people(a=1, b=None, c="x", d=range(12)), "hired", exclude=("sex", "site")))
    same = "the same value in every row"
    assert report.unused == {"a": same, "b": "no values", "c": same} and report.features == ("d",)


def test_whole_numbers_keep_their_names_beside_gaps():
    """A column of 0 and 1 with a gap is one of floats: its labels are 0 and 1 all the same. Clients sort as numbers."""
    frame = people(age=range(12), paid=[None, *[0, 1] * 5, 1], ward=[1, 2, 10] * 4)
    task = fl.from_frame(frame, "paid", favourable=1, client="ward", exclude=("hired", "site"))
    assert task.labels == ("0", "1") and task.favourable == 1
    rows = rows_of(task)   # rows 1 to 11 hold the wards 2, 10, 1, 2, …, and 10 comes after 2
    assert rows["client"].tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert report_of(task).text().endswith("Clients go by number: 0 1, 1 2, 2 10.")


@pytest.mark.parametrize("how, said", [
    ({"outcome": "job"}, "outcome = 'job' is no column of the frame; its columns are 'hired', 'sex', 'site'"),
    ({"sensitive": "race"}, "sensitive = 'race' is no column"), ({"exclude": "race"}, "exclude = 'race' is no column"),
    ({"outcome": ["hired"]}, r"outcome = \['hired'\] is no column"),
    ({"sensitive": "hired"}, "sensitive = 'hired' is the outcome as well"),
    ({"favourable": "maybe"}, "favourable = 'maybe' is no value of 'hired'; it holds no, yes"),
    ({"missing": "mean"}, "missing = 'mean' is not allowed; give \"category\" or \"drop\""),
    ({"sensitive": "number"}, "sensitive = 'number' holds 12 different values, and from 2 to 10"),
    ({"sensitive": "one"}, "sensitive = 'one' holds the one value 1, .* nothing to compare"),
    ({"outcome": "one"}, "outcome = 'one' holds the one value 1, .*nothing to predict"),
    ({}, "column 'code' holds 12 different texts .'p0', ….* exclude it if it is an ID"),
    ({"exclude": ("code", "sex", "site", "number", "one", "lasts")}, "no column is left to learn from"),
    ({"exclude": ["code"]}, "column 'lasts' holds values of the kind timedelta64"),
])
def test_what_cannot_be_is_refused_by_name(how, said):
    frame = people(number=range(12), one=1, code=[f"p{i}" for i in range(12)], lasts=pd.to_timedelta(range(12), "h"))
    with pytest.raises(fl.BadInput, match=said):
        fl.from_frame(frame, **{"outcome": "hired", **how})


def test_too_few_rows_and_too_many_texts():
    with pytest.raises(fl.BadInput, match="9 of 12 rows can be used, .*; 3 rows: no value in sex"):
        fl.from_frame(people(age=range(12), sex=[None] * 3 + ["f"] * 9), "hired", sensitive="sex")
    many = pd.DataFrame({"y": [0, 1] * 101, "town": [f"t{i // 2}" for i in range(202)]})
    with pytest.raises(fl.BadInput, match="'town' holds 101 different texts .* at most 100"):
        fl.from_frame(many, "y")
    assert fl.from_frame(many[:200], "y").shape == (200, 100)
    with pytest.raises(fl.BadInput, match="from 2 to 50 can be learned; cut numbers"):
        fl.from_frame(many, "town")
    with pytest.raises(fl.BadInput, match="no pandas DataFrame"):
        fl.from_frame([[1]], "y")


# --- files ----------------------------------------------------------------------------------------------------------

ROWS = [("näme", "höhe", "ok"), *((f"Zoë {i % 3}", i + 0.5, "ja" if i % 2 else "nein") for i in range(12))]


def written(path, delimiter, encoding, decimal="."):
    lines = (delimiter.join(str(v).replace(".", decimal) for v in row) for row in ROWS)
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("delimiter, encoding, decimal", [
    (",", "utf-8", "."), (";", "latin-1", ","), (";", "utf-8-sig", "."), ("\t", "latin-1", ",")])
def test_csv_as_people_have_it(tmp_path, delimiter, encoding, decimal):
    path = written(tmp_path / "Größen.csv", delimiter, encoding, decimal)
    frame = read_table(path)
    assert list(frame.columns) == ["näme", "höhe", "ok"] and frame["höhe"].tolist() == [i + 0.5 for i in range(12)]
    pd.testing.assert_frame_equal(frame, read_table(path.read_bytes(), path.name))   # as a page sends it
    task = fl.from_file(path, "ok", exclude="näme")
    assert task.title == "Größen.csv" and task.labels == ("ja", "nein") and task.shape == (12, 1)
    assert task.made_by == "fl.from_file('Größen.csv', outcome='ok', exclude='näme', name='Größen.csv')"


def test_commas_in_quotes_do_not_count(tmp_path):
    text = '"age, in years";"sex";"ok"\n' + "".join(f"{i};f;{i % 2}\n" for i in range(12))
    assert list(read_table(text.encode()).columns) == ["age, in years", "sex", "ok"]


def test_question_marks_are_gaps():
    frame = read_table(("age, town, ok\n" + "1, ?, 0\n?, Rome, 1\n" * 6).encode())
    assert frame.isna().sum().tolist() == [6, 6, 0] and frame["age"].dtype == float and frame["town"][1] == "Rome"


def test_parquet_gives_the_same_task(tmp_path):
    frame = people(age=range(12), day=[datetime.date(2024, 1, 1 + i) for i in range(12)])
    frame.to_parquet(tmp_path / "people.parquet")
    how = {"outcome": "hired", "sensitive": "sex", "client": "site", "name": "people"}
    assert fl.from_file(tmp_path / "people.parquet", **how).sha256 == fl.from_frame(frame, **how).sha256


@pytest.mark.parametrize("content, said", [
    (b"", "is empty"), (b"  \n", "is empty"), (b"a,b\n", "holds 0 rows and 2 columns"),
    (b"PK\x03\x04xl", "Excel .* save the sheet as CSV"), (b"\x1f\x8b\x08", "compressed"), (b"a\0b", "not a text file"),
    (b"a,b\n1,2\n1,2,3\n", "cannot be read as a table: .*line 3"), (b"PAR1 no", "cannot be read as a table"),
    (b"a,b\n1,2,\n1,2,\n", "more cells in a row than names")])
def test_files_that_are_no_tables_are_refused_in_words(tmp_path, content, said):
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(fl.BadInput, match=f"^people.csv .*{said}"):
            read_table(source, "people.csv")


def test_a_path_that_is_not_there(tmp_path):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(fl.BadInput, match="cannot be opened .*on the machine where this kernel runs"):
            fl.from_file(path, "y")


# --- run folders ----------------------------------------------------------------------------------------------------

def quick(task) -> fl.Experiment:
    return fl.Experiment(task=task, partition=fl.Natural(), net=fl.Logistic(), rounds=2, local=fl.SGD(epochs=1))


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, 200)
    return pd.DataFrame({"age": age, "sex": rng.choice(["f", "m"], 200), "site": rng.choice(["a", "b"], 200),
                         "hired": np.where(age > 40, "yes", "no")})


def test_a_run_folder_holds_rows_only_when_asked(tmp_path, frame):
    how = {"outcome": "hired", "sensitive": "sex", "client": "site"}
    without, kept = fl.from_frame(frame, **how), fl.from_frame(frame, **how, keep_rows=True)
    assert without.sha256 == kept.sha256   # where the rows lie is no property of the rows
    for task, there in ((without, False), (kept, True)):
        run = fl.run(quick(task), out=tmp_path / str(there), progress=False)
        assert (run.path / "data.safetensors").exists() is there
    assert not list((tmp_path / "False").glob("*.safetensors.part"))


def test_a_run_without_its_rows_still_shows_and_says_how_to_go_on(tmp_path, frame, monkeypatch):
    from fedlab_widgets.tasks import arrays
    from fedlab_widgets.widgets.what_if import WhatIf
    from fedlab_widgets.world import _world
    from fedlab_widgets.world import rows_of as loaded

    how = {"outcome": "hired", "sensitive": "sex", "client": "site"}
    stops = iter([False] * 1 + [True] * 10**6)
    whole = fl.run(quick(fl.from_frame(frame, **how)), out=tmp_path / "whole", progress=False)
    part = fl.run(quick(fl.from_frame(frame, **how)), out=tmp_path / "part", progress=False, stop=lambda: next(stops))
    assert part.status == "stopped" and len(part.history) < 2
    for cache in (_world, loaded):
        cache.cache_clear()
    monkeypatch.setattr(arrays, "_ROWS", {})   # as in another process
    run = fl.open_run(whole.path)
    assert len(run.history) == 2 and run.counts().shape == (2, 2, 2, 2) and len(run.clients) == 2
    assert run.experiment.task.groups == ("f", "m") and WhatIf.of(run).frozen.favourable == 1
    with pytest.raises(fl.BadInput, match=r"are not here; call fl.from_frame\(frame, outcome='hired', sensitive='sex', "
                       r"client='site', name='my data'\) first"):
        fl.open_run(part.path).resume(progress=False)
    fl.from_frame(frame, **how)
    assert fl.open_run(part.path).resume(progress=False).status == "finished"


def test_the_plan_is_what_is_made(frame):
    planned = plan(frame, "hired", sensitive="sex", client="site")
    assert planned.features().shape == (200, 1) and planned.client.tolist() == frame["site"].tolist()
