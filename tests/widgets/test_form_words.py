"""What is typed is read as meant, and every term and field has its words."""

import pytest

import fedlab_widgets as fl
from fedlab_widgets.part import catalogue
from fedlab_widgets.widgets import words
from fedlab_widgets.widgets.controls import Scale, kind_of, parsed


@pytest.mark.parametrize(("annotation", "text", "value"), [
    (float | tuple[int, ...], "0.2", 0.2), (float | tuple[int, ...], "1, 4", [1, 4]),
    (float | tuple[int, ...], "3,", [3]), (tuple[str, ...], "3.*, 4.*", ["3.*", "4.*"]), (int | None, "", None),
    (int | None, "None", None), (str, " x ", "x"), (tuple[int, ...], "8", [8])])
def test_texts_are_read_as_meant_and_written_back(annotation, text, value):
    kind = kind_of(annotation)
    assert kind.read(text) == value
    assert kind.read(kind.write(value)) == value


def test_scales_and_unreadable_texts():
    assert Scale(0, 1, False).number(0.333333) == 0.333 and Scale(0.01, 1000, True).number(1.0) == 1000
    assert parsed("many", [int], False) == "many"


def test_rows_of_ones_own_are_called_by_their_name():
    task = fl.from_arrays([[0.0], [1.0]] * 20, [0, 1] * 20, name="pupils.csv")
    assert words.brief(task, everything=True) == "pupils.csv"


TERMS = ("client, round, local epoch, non-IID, Dirichlet alpha, skew, global disparity, local disparity, unique, "
         "redundant, masked, bits, band, withheld, parity, opportunity, odds, epsilon, delta, clipping, aggregator, "
         "codec, worst client, up and down, liar").split(", ")


@pytest.mark.parametrize("term", [*TERMS, "local.lr", "privatise.gaussian.clip", "rounds", "evaluate.every",
                                  "local.correct.0.mu", "schedule.sampler.q", "task.adult.withhold", "alpha"])
def test_every_term_and_field_is_explained(term):
    word = words.explain(term)
    assert all(text.endswith((".", "?")) for text in word) and len(word) == 3


def test_every_field_of_every_part_is_explained_and_other_words_are_refused():
    for shelf in catalogue().values():
        for cls in shelf.values():
            for name in cls.model_fields:
                assert all(words.of_field(cls, name)), (cls, name)
    with pytest.raises(fl.BadInput, match="did you mean 'epsilon'"):
        words.explain("epsilom")
