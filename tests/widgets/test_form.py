"""The form without a browser: driven as the page drives it, by the values of controls and by clicks."""

import re
import threading

import ipywidgets as w
import pytest
from pydantic import Field as SpecField
from pydantic import model_validator

import fedlab_widgets as fl
from fedlab_widgets.part import _CATALOGUE, WATCHERS, Part, catalogue
from fedlab_widgets.recipes import BOOK
from fedlab_widgets.spec import Evaluation
from fedlab_widgets.widgets import words
from fedlab_widgets.widgets.fields import Field, PartList
from fedlab_widgets.widgets.form import Form
from fedlab_widgets.widgets.host import differences, value_at


@pytest.fixture
def form():
    return Form()


@pytest.fixture(autouse=True)
def _gone():
    """Forms hear of every new part as long as they live, and ipywidgets keeps hundreds of them alive here."""
    yield
    WATCHERS.clear()


def typed(form, path, value):
    """What the page sends when somebody edits a control."""
    control = form.field(path).control
    if isinstance(control, (w.Dropdown, w.RadioButtons)):
        options = dict(control.options) if isinstance(control.options[0], tuple) else {o: o for o in control.options}
        control.set_state({"index": list(options.values()).index(value)})
    else:
        control.set_state({"value": value})


def added(form, path, name):
    """Choose a part in a list's dropdown and press Add."""
    typed(form, path, name)
    form.field(path).add.click()


def changes(before, after):
    """The paths at which two experiments differ."""
    return {path.lstrip(".") for path, _ in differences(before, after, "")}


def paths_of(spec, prefix=""):
    """Every path that a spec has, parts within parts included."""
    for name in type(spec).model_fields:
        value, path = getattr(spec, name), prefix + name
        if not isinstance(value, Evaluation):
            yield path
        if isinstance(value, (Part, Evaluation)):
            yield from paths_of(value, path + ".")


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def every_part():
    return [(cls.slot, name) for shelf in catalogue().values() for name, cls in shelf.items()
            if (cls.slot, name) not in words.NOT_BY_HAND]


# Where each slot stands in an experiment, and what else makes its parts fit.
PLACES = {"sampler": "schedule.sampler", "correct": "local.correct", "evaluate": "evaluate.readings",
          "topology": "aggregate.topology", "oracle": "local.oracle"}
FITS = {("correct", "control_variate"): fl.recipe("scaffold"), ("correct", "dynamic_regulariser"): fl.recipe("feddyn"),
        ("privatise", "gaussian"): fl.recipe("dp-fedavg"), ("privatise", "adaptive_clip"): fl.recipe("dp-fedavg")}


def test_every_field_of_an_experiment_has_a_control(form):
    there = {leaf.path for leaf in form.fields()}
    assert set(paths_of(form.experiment)) <= there


def test_on_opening_only_the_first_questions_are_in_the_page(form):
    shown = [c for c in walk(form) if isinstance(c, (w.Text, w.FloatText, w.Dropdown, w.Checkbox, w.RadioButtons))]
    assert [c.description for c in shown] == ["data set", "partition", "clients", "skew", "method", "rounds"]
    assert isinstance(form.actions, w.HBox) and form.actions in form.children


@pytest.mark.parametrize(("slot", "name"), every_part())
def test_every_part_can_be_chosen_and_shows_its_fields(slot, name):
    nested = {"topology": "gossip", "oracle": "heavy-hitters"}
    fits = fl.recipe(nested[slot]) if slot in nested else FITS.get((slot, name))
    form, path = Form(fits), PLACES.get(slot, slot)
    many = isinstance(form.field(path), PartList)
    if many:
        form.experiment = form.experiment.changed(**{path: ()})
        added(form, path, name)
    else:
        typed(form, path, name)
    for at in tuple(form.host.waiting):   # a part that was made to work with others: a button sets them all
        form.host.cure(at).click()
    assert form.problem == ""
    cls, there = catalogue(slot)[name], {leaf.path for leaf in form.fields()}
    assert {f"{path}.0.{n}" if many else f"{path}.{n}" for n in cls.model_fields} <= there
    if not many:
        assert form.field(path).says.value


@pytest.mark.parametrize("name", BOOK)
def test_every_control_has_a_question_mark_that_opens_an_explanation(name):
    for leaf in Form(fl.recipe(name)).fields():
        assert leaf.control.description and leaf.why in leaf.row.children
        assert leaf.why.tooltip == f"what is {leaf.control.description}?"
        assert all(len(text) > 5 for text in leaf.word), leaf.path
        leaf.why.click()
        assert "Example:" in leaf.help.value and leaf.help in leaf.row.children
        leaf.why.click()
        assert leaf.help is None and len(leaf.row.children) == 2 + (leaf.slider is not None)


def test_every_control_in_the_page_belongs_to_a_field(form):
    for section in form.sections.values():
        section.button.click()
    owned = {leaf.control.model_id for leaf in form.fields()}
    controls = [c for c in walk(form) if hasattr(c, "value") and not isinstance(c, w.HTML)]
    assert controls and {c.model_id for c in controls} <= owned


TEXTS = {"hidden": "32, 16", "layers": "3.*", "batch": "16", "clip": "2.5",
         "only clients": "0, 1, 2", "name of the run": "mine", "delta": "0.001", "cap": "5", "liars": "1, 4",
         "epsilon": "1.5", "groups": "2"}


def another(leaf):
    """A value that the control does not hold, and that its field allows."""
    control = leaf.control
    if isinstance(control, w.Dropdown):
        return next(v for _, v in control.options if v != control.value)
    if isinstance(control, w.FloatText):
        return control.value + 1 if isinstance(leaf.kind.read(2.0), int) else control.value * 0.5 + 0.2
    return not control.value if isinstance(control, w.Checkbox) else TEXTS[control.description]


def plain(form, experiment):
    """The paths of the fields that hold a value rather than a part, as far as they are given."""
    for leaf in form.fields():
        empty = isinstance(leaf.control, w.FloatText) and value_at(experiment, leaf.path) is None
        if type(leaf) is Field and not empty:
            yield leaf.path


@pytest.mark.parametrize("experiment", [
    fl.Experiment(), fl.Experiment(attack="sign_flip", encode="top_k"), fl.recipe("dp-fedavg"),
    fl.Experiment(server="adaptive", partition="masked", distribute="keep_layers", net="cnn")])
def test_changing_a_control_changes_exactly_its_path(experiment):
    form, tried = Form(experiment), 0
    for path in [*plain(form, experiment)]:
        typed(form, path, another(form.field(path)))
        if form.problem:   # neighbours: what privacy needs of the mean
            assert "privatise = gaussian cannot" in form.problem and path.startswith("aggregate."), form.problem
            assert form.experiment == experiment
        else:
            assert changes(experiment, form.experiment) == {re.sub(r"\.\d+\..*", "", path)}   # a list as a whole
        tried += 1
        form.show(experiment)
    assert tried > 18


def test_a_bad_value_stays_typed_is_said_and_leaves_the_experiment(form):
    typed(form, "partition.skew", 2.0)
    leaf = form.field("partition.skew")
    assert form.experiment == fl.Experiment() and leaf.control.value == 2.0
    assert form.problem.startswith("partition.skew = 2.0 is not allowed: give a number at least 0 and at most 1")
    assert "at most 1" in leaf.wrong.value and leaf.wrong in leaf.row.children
    typed(form, "rounds", 5)
    assert form.experiment.rounds == 5 and leaf.control.value == 2.0 and form.problem
    typed(form, "partition.skew", 0.5)
    assert form.problem == "" and leaf.wrong is None and form.experiment.partition.skew == 0.5


@pytest.mark.parametrize(("path", "text", "says"), [
    ("net.hidden", "64, many", "whole number"), ("net.hidden", "", "not an empty one"),
    ("local.batch", "few", "whole number"), ("rounds", 1.5, "whole number"), ("name", "a/b", "must begin"),
    ("schedule.clients", "0.5, x", "whole number")])
def test_what_cannot_be_read_is_refused_in_words(form, path, text, says):
    typed(form, path, text)
    assert says in form.problem and form.field(path).control.value == text and form.experiment == fl.Experiment()


def test_the_radio_clears_the_other_alternative_and_remembers(form):
    typed(form, "local.epochs", 3)
    typed(form, "local.epochs|steps", "steps")
    assert (form.experiment.local.epochs, form.experiment.local.steps) == (None, words.STARTS["local.steps"])
    assert form.field("local.steps").box in form.field("local.epochs|steps").box.children
    typed(form, "local.steps", 7)
    typed(form, "local.epochs|steps", "epochs")
    assert (form.experiment.local.epochs, form.experiment.local.steps) == (3, None)


def test_target_epsilon(form):
    form.experiment = fl.recipe("dp-fedavg")
    typed(form, "privatise.noise_multiplier|epsilon", "epsilon")
    assert form.experiment.privatise.epsilon == 3.0 and form.experiment.privatise.noise_multiplier is None
    assert form.sections["Privacy"].button.description == "Privacy: gaussian, clip 0.5, target epsilon 3"


def test_a_choice_that_waits_is_taken_when_its_neighbours_fit(form):
    typed(form, "privatise", "gaussian")
    assert form.experiment.privatise is None and "cannot calibrate" in form.problem
    typed(form, "aggregate.weights", "uniform")
    assert form.experiment.aggregate.weights == "uniform" and form.experiment.privatise is None
    typed(form, "aggregate.denominator", "expected")
    assert form.experiment.privatise == fl.Gaussian() and form.problem == ""
    assert form.field("privatise.clip").control.value == 1.0


def test_one_click_sets_what_a_choice_needs(form):
    typed(form, "privatise", "gaussian")
    form.field("privatise").cure.click()
    assert form.experiment.privatise == fl.Gaussian() and form.experiment.aggregate.denominator == "expected"
    other = Form()
    added(other, "local.correct", "control_variate")
    assert "all clients count the same" in other.problem
    other.field("local.correct").cure.click()
    assert other.experiment.local.correct == (fl.ControlVariate(),) and other.problem == ""


def test_lists_of_parts_grow_and_shrink(form):
    added(form, "local.correct", "proximal")
    typed(form, "local.correct.0.mu", 0.5)
    assert form.experiment.local.correct == (fl.Proximal(mu=0.5),)
    form.field("evaluate.readings").rows[1][2].click()
    assert [r.name for r in form.experiment.evaluate.readings] == ["accuracy", "decomposition"]
    form.field("local.correct").rows[0][2].click()
    assert form.experiment.local.correct == ()


@pytest.fixture
def own():
    @fl.part
    class LateShare(fl.Partition):
        """Deal by a rule of my own."""

        share: float = SpecField(ge=0, le=1, description="share of rows for the first client")

        def count(self, data):
            return 2

        def assign(self, data, key):
            raise NotImplementedError

    yield LateShare
    del _CATALOGUE["partition"]["late_share"]


def test_a_new_part_appears_after_refresh_even_with_a_field_without_a_default(form, own):
    form.refresh()
    typed(form, "partition", "late_share")
    assert form.experiment.partition == own(share=1.0) and form.problem == ""
    assert "share of rows" in form.field("partition.share").word.sentence
    typed(form, "partition.share", 0.25)
    assert form.experiment.partition.share == 0.25


@pytest.mark.parametrize("path", ["partition", "aggregate"])   # open from the start, and in a section opened before
def test_a_new_part_is_in_the_menus_of_an_open_form_at_once(form, path):
    control, base = form.field(path).control, {"partition": fl.Partition, "aggregate": fl.Aggregate}[path]
    try:
        fl.part(type("Sudden", (base,), {"__doc__": "A part from a cell."}))
        assert "sudden" in dict(control.options).values()
        assert control.value == getattr(form.experiment, path).name and form.experiment == fl.Experiment()
    finally:
        _CATALOGUE[path].pop("sudden", None)


def test_a_part_that_is_defined_again_shows_its_new_fields(form, own):
    form.refresh()
    typed(form, "partition", "late_share")

    class LateShare(own):
        """Deal by another rule."""

        rest: bool = False

    fl.part(LateShare)
    form.refresh()
    assert form.experiment.partition.rest is False and type(form.experiment.partition) is LateShare
    typed(form, "partition.rest", True)
    assert form.experiment.partition.rest is True


def test_a_change_on_another_thread_waits_while_the_form_sets_its_controls(form):
    control = form.field("rounds").control
    with form.host.silence():
        worker = threading.Thread(target=control.set_state, args=({"value": 7},))
        worker.start()
        worker.join(0.2)
        assert form.experiment.rounds == 30
    worker.join(5)
    assert form.experiment.rounds == 7 and not worker.is_alive()


def test_a_broken_validator_is_said_and_raises_nothing(form):
    @fl.part
    class Brittle(fl.Partition):
        """Falls over when it is made."""

        clients: int = 3

        @model_validator(mode="after")
        def _fall(self):
            raise TypeError("no luck")

        def count(self, data):
            return 3

        def assign(self, data, key):
            raise NotImplementedError

    try:
        form.refresh()
        typed(form, "partition", "brittle")
        assert "no luck" in form.problem and form.experiment == fl.Experiment()
    finally:
        del _CATALOGUE["partition"]["brittle"]


@pytest.mark.parametrize("name", BOOK)
def test_show_sets_every_control_and_changes_nothing(name):
    form, seen = Form(), []
    form.fields()
    form.observe(lambda change: seen.append(change["new"]), "experiment")
    experiment = fl.recipe(name)
    form.show(experiment)
    assert form.experiment is experiment and seen in ([], [experiment])
    assert form.field("rounds").control.value == experiment.rounds
    assert form.field("method").control.value == name
    for path in plain(form, experiment):
        leaf = form.field(path)
        value = leaf.kind.read(leaf.control.value)
        assert (tuple(value) if isinstance(value, list) else value) == value_at(experiment, path), path


@pytest.mark.parametrize("name", BOOK)
def test_a_method_brings_its_slots_and_takes_them_back(name):
    mine = fl.Experiment(task="digits", partition=fl.Dirichlet(clients=7, alpha=0.3)).changed(**{"local.lr": 0.02})
    form = Form(mine)
    typed(form, "method", name)
    e, book = form.experiment, fl.recipe(name)
    assert form.problem == "" and e.task == (mine.task if isinstance(book.task, fl.Adult) else book.task)
    for slot in ("encode", "privatise", "aggregate", "server", "distribute", "schedule"):
        assert getattr(e, slot) == getattr(book, slot)
    assert getattr(e.local, "correct", None) == getattr(book.local, "correct", None)
    typed(form, "method", "fedavg")
    assert form.experiment == mine


def test_the_method_says_what_was_changed_since(form):
    typed(form, "method", "fedprox")
    assert form.experiment.local.correct == (fl.Proximal(mu=0.01),)
    typed(form, "aggregate", "median")
    assert "Changed since: aggregator." in form.nodes[2].says.value
    form.show(form.experiment.changed(name="my own"))
    assert form.field("method").control.value == "my own"


def test_summaries_follow(form):
    said = {title: section.button.description for title, section in form.sections.items()}
    assert said["Privacy"] == "Privacy: none" and said["Attacks"] == "Attacks: none"
    form.show(fl.recipe("dp-fedavg"))
    assert form.sections["Privacy"].button.description == "Privacy: gaussian, clip 0.5, noise 1"
    typed(form, "attack", "sign_flip")
    assert form.sections["Attacks"].button.description == "Attacks: sign flip, 20 % of the clients lie, scale 1"
    for ids, who in (((9,), "client 9 lies"), ((1, 4), "clients 1 and 4 lie"), ((1, 2, 4), "clients 1, 2 and 4 lie")):
        form.show(form.experiment.changed(**{"attack.liars": ids}))
        assert f"sign flip, {who}" in form.sections["Attacks"].button.description
    typed(form, "privatise.clip", -1.0)
    assert "needs another value" in form.sections["Privacy"].button.description


def test_the_slider_and_the_number_follow_each_other(form):
    leaf = form.field("partition.skew")
    leaf.slider.set_state({"position": 0.25})
    assert form.experiment.partition.skew == 0.25 and leaf.control.value == 0.25
    typed(form, "partition.skew", 0.5)
    assert leaf.slider.position == 0.5 and leaf.slider.said == "0.5"
    typed(form, "partition", "dirichlet")
    alpha = form.field("partition.alpha")
    typed(form, "partition.alpha", 0.001)
    assert form.experiment.partition.alpha == 0.001 and alpha.slider.position == 0
    for number in (0.01, 0.1, 3.0, 1000.0):
        assert alpha.scale.number(alpha.scale.position(number)) == number


def test_lock_disables_every_control_and_unlock_frees_it(form):
    form.fields()
    form.lock(True)
    form.show(fl.recipe("scaffold").changed(partition="dirichlet", attack="sign_flip"))
    assert all(leaf.control.disabled for leaf in form.fields())
    assert all(b.disabled for leaf in form.fields() if isinstance(leaf, PartList) for *_, b in leaf.rows)
    form.lock(False)
    assert not any(leaf.control.disabled for leaf in form.fields())


def test_closed_sections_cost_nothing_and_old_fields_are_closed(form):
    assert not any(section.nodes for section in form.sections.values())
    old = form.field("partition.skew").control
    typed(form, "partition", "iid")
    assert old.comm is None
