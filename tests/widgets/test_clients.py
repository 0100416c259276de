"""The client table without a browser: what it shows, and what ticks ask of the form."""

import json
import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.plan import liars, prepare
from fedlab_widgets.slots import Schedule
from fedlab_widgets.widgets.clients import MOST, NAMED, ClientTable
from fedlab_widgets.widgets.form import Form
from fedlab_widgets.widgets.preview import Preview, apart, heterogeneity
from fedlab_widgets.world import world_of

DIGITS = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=10))


class Wired:
    """A form and a table that follow each other, as in the lab."""

    def __init__(self, e=DIGITS, **how):
        self.form, self.how, self.asked = Form(e), how, []
        self.table = ClientTable(self.change)
        self.form.observe(self.follow, "experiment")
        self.follow()

    def change(self, changes):
        self.asked.append(changes)
        self.form.host.submit_all(changes, "clients")

    def follow(self, _=None):
        self.table.show(self.form.experiment, Preview.of(self.form.experiment), **self.how)

    def send(self, op, client=None, on=None, **more):
        """What the page sends; what it is answered."""
        self.table._handle_custom_msg({"op": op, "client": client, "on": on, "id": "page 1", **more}, [])
        assert self.table.table["answered"] == "page 1"
        return self.table.table["said"]

    def column(self, place):
        return [row[place] for row in self.table.table["rows"]]

    @property
    def e(self):
        return self.form.experiment


PART, LIES = 3, 4   # places in a row of the message


def test_the_rows_are_those_of_the_run():
    e = fl.Experiment(partition=fl.ByGroup(clients=4))
    shards = world_of(e, torch.device("cpu")).shards
    w = Wired(e)
    for i, n, apart_, part, lies, accuracy, labels, groups in w.table.table["rows"]:
        mine = slice(first := int(shards.offsets[i]), first + int(shards.rows[i]))
        assert n == len(shards.y[mine])
        assert labels == torch.bincount(shards.y[mine], minlength=2).tolist()
        assert groups == torch.bincount(shards.group[mine], minlength=2).tolist()
        assert 0 < apart_ < 1 and part and not lies and accuracy is None
    assert [name for name, _ in w.table.table["groups"]] == ["Female", "Male"]
    colours = [colour for _, colour in (*w.table.table["labels"], *w.table.table["groups"])]
    assert len(set(colours)) == 4, "a label and a group in the same colour"
    assert w.table.table["holds"].startswith("4 clients hold 32,561 rows")


def test_clients_that_the_data_name_go_by_number_and_name():
    task = fl.from_arrays(torch.eye(40), [0, 1] * 20, client=["west"] * 10 + ["east"] * 30)   # east is 0, west is 1
    w = Wired(fl.Experiment(task=task, partition=fl.Natural()))
    assert w.table.table["names"] == ["east", "west"]
    w.send("sort", by="rows")
    assert w.table.table["names"] == ["west", "east"] and w.column(0) == [1, 0]   # the fewer rows first
    assert Wired(fl.Experiment(task=task, partition=fl.IID(clients=2))).table.table["names"] == []


def test_how_far_a_client_is_from_the_others_by_hand():
    # A holds (2, 1), B (1, 0): mixes (2/3, 1/3) and (1, 0), middle (5/6, 1/6).
    # KL(A, middle) = 2/3 log2(4/5) + 1/3 log2 2 = 0.118715, KL(B, middle) = log2(6/5) = 0.263034; the mean is 0.190875.
    assert apart(torch.tensor([[2.0, 1], [1, 0]]).double()).tolist() == pytest.approx([0.190875] * 2, abs=1e-6)
    assert apart(torch.tensor([[3.0, 0], [0, 1]]).double()).tolist() == [1, 1]
    assert apart(torch.tensor([[3.0, 6], [1, 2], [1, 2]]).double()).tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    empty = apart(torch.tensor([[0.0, 0], [1, 2], [2, 1]]).double()).tolist()
    assert math.isnan(empty[0]) and empty[1] > 0
    assert math.isnan(float(apart(torch.tensor([[1.0, 2]]).double())))


def test_how_different_all_are_by_hand():
    # Shares 3/4 and 1/4, kinds 3/4 and 1/4, joint (2/4, 1/4; 1/4, 0): the information is 1/2 log2(8/9) + 1/4 log2(4/3)
    # + 1/4 log2(4/3) = 0.122556, the entropy of the shares 0.811278; the quotient is 0.151065.
    assert heterogeneity(torch.tensor([[2.0, 1], [1, 0]]).double()) == pytest.approx(0.151065, abs=1e-6)
    assert heterogeneity(torch.tensor([[1.0, 2]]).double()) == 0


def test_who_takes_part():
    w = Wired()
    assert w.column(PART) == [True] * 10 and w.table.table["chosen"] == "All take part; nobody lies."
    w.send("part", 3, False)
    w.send("part", 9, False)
    assert w.e.schedule.clients == (0, 1, 2, 4, 5, 6, 7, 8)
    assert w.table.table["chosen"] == "8 of 10 take part; nobody lies." and not w.table.table["everyone"]
    w.send("part", 3, True)
    w.send("part", 9, True)
    assert w.e.schedule.clients is None and w.asked[-1] == {"schedule.clients": None}
    w.send("part", 0, False)
    w.send("everyone")
    assert w.e.schedule.clients is None and w.column(PART) == [True] * 10


def test_the_last_one_stays_in():
    w = Wired(DIGITS.changed(**{"schedule.clients": (4,)}))
    assert "At least one client must take part" in w.send("part", 4, False)
    assert w.e.schedule.clients == (4,) and not w.asked and w.column(PART)[4]


def test_the_first_liar_brings_an_attack_and_the_last_takes_it_away():
    w = Wired()
    assert w.send("liar", 3, True).startswith("Client 3 lies now. The attack is sign flip;")
    assert w.e.attack == fl.SignFlip(liars=(3,)) and w.asked == [{"attack": fl.SignFlip(liars=(3,))}]
    w.send("liar", 1, True)
    assert w.asked[-1] == {"attack.liars": (1, 3)} and w.table.table["chosen"] == "All take part; 2 lie (sign flip)."
    w.send("liar", 1, False)
    w.send("liar", 3, False)
    assert w.e.attack is None and w.column(LIES) == [False] * 10


def test_an_attack_is_remembered():
    w = Wired(DIGITS.changed(attack=fl.SignFlip(liars=(2, 5), scale=7.0)))
    w.send("nobody")
    assert w.e.attack is None and w.table.table["nobody"]
    w.send("liar", 5, True)
    assert w.e.attack == fl.SignFlip(liars=(5,), scale=7.0)


@pytest.mark.parametrize("seed", range(4))
def test_liars_by_share_are_those_of_the_run(seed):
    e = DIGITS.changed(attack=fl.LabelFlip(liars=0.3), seed=seed)
    plan = prepare(e, world_of(e, torch.device("cpu")))
    w = Wired(e)
    assert [i for i, lies in enumerate(w.column(LIES)) if lies] == plan.liars.tolist() and len(plan.liars) == 3
    assert torch.equal(liars(e.attack, 10, seed), plan.liars)
    first, *others = plan.liars.tolist()
    said = w.send("liar", first, False)
    assert w.e.attack == fl.LabelFlip(liars=tuple(others)) and "share (0.3)" in said


def test_fewer_clients_drop_those_that_are_gone():
    w = Wired(DIGITS.changed(**{"schedule.clients": (1, 3, 8, 9), "attack": fl.SignFlip(liars=(2, 9))}))
    w.form.field("partition.clients").control.set_state({"value": 5})
    assert w.e.schedule.clients == (1, 3) and w.e.attack.liars == (2,)
    assert w.table.table["said"] == "Clients 8 and 9 are gone: there are 5 clients now."
    w.form.field("partition.clients").control.set_state({"value": 1})
    assert w.e.schedule.clients is None and w.e.attack is None and w.e.partition.clients == 1
    assert w.table.table["said"] == ("Clients 1, 2 and 3 are gone: there is 1 client now. All take part now. "
                                     "Nobody lies now.")
    assert not w.form.problem


class Whoever(Schedule):
    """A schedule that lets nobody choose."""

    name = "whoever"

    def next(self, world, state):
        raise NotImplementedError

    def eligible(self, clients):
        return range(clients)

    def rate(self, clients):
        return 1.0

    def asked(self, clients):
        return clients

    @property
    def certain(self):
        return True

    def sampling(self, clients):
        return None


def test_a_schedule_that_chooses_itself():
    e = DIGITS.changed(schedule=Whoever())
    asked = []
    table = ClientTable(asked.append)
    table.show(e, Preview.of(e))
    assert table.table["closed"] == "The schedule whoever decides itself who takes part."
    assert not table.table["partOpen"] and table.table["lieOpen"]
    table._handle_custom_msg({"op": "part", "client": 3, "on": False, "id": "1"}, [])
    table._handle_custom_msg({"op": "everyone", "id": "2"}, [])
    assert not asked and "decides itself" in table.table["closed"]


def test_a_locked_table_takes_nothing():
    w = Wired(locked=True)
    for op in ("part", "liar", "everyone", "nobody"):
        w.send(op, 3, True)
    assert not w.asked and not w.table.table["partOpen"] and not w.table.table["lieOpen"]
    assert w.table.table["closed"].startswith("A run goes")


def test_nonsense_from_a_page_is_passed_over():
    w = Wired()
    for client in (10, -1, True, "3", None):
        w.send("part", client, False)
    w.send("nonsense", 3, True)
    w.send("sort", by="nonsense")
    w.table._handle_custom_msg("nonsense", [])
    assert not w.asked and w.column(0) == list(range(10))
    ClientTable(print)._handle_custom_msg({"op": "part", "client": 0, "on": False}, [])   # before anything is shown


def test_what_the_form_refuses_is_said():
    def refuse(changes):
        raise fl.BadInput("not today")

    table = ClientTable(refuse)
    table.show(DIGITS, Preview.of(DIGITS))
    table._handle_custom_msg({"op": "part", "client": 3, "on": False, "id": "1"}, [])
    assert table.table["said"] == "not today" and table.table["rows"][3][PART]


def test_sorting_and_the_rows_beyond():
    e = DIGITS.changed(partition=fl.Dirichlet(clients=300, alpha=0.1))
    w = Wired(e, accuracy=[math.nan] + [i / 300 for i in range(1, 300)])
    sizes = Preview.of(e).sizes
    assert len(w.table.table["rows"]) == MOST and w.column(0) == list(range(MOST))
    assert w.table.table["more"] == "200 of 300 clients are shown, the first in this order."
    w.send("sort", by="rows", down=True)
    assert w.column(1) == sizes.sort(descending=True).values[:MOST].tolist()
    w.send("sort", by="accuracy", down=False)
    assert w.column(0) == list(range(1, MOST + 1)), "the client without a figure comes last"
    w.send("part", 299, False)   # not shown, and there all the same
    assert w.e.schedule.clients == tuple(range(299)) and w.column(0)[0] == 1


def test_accuracy_of_another_partition_is_not_shown():
    w = Wired(accuracy=[0.5, 0.25])
    assert not w.table.table["read"]
    w = Wired(accuracy=[0.5] * 9 + [math.nan])
    assert w.table.table["read"] and w.column(5) == [0.5] * 9 + [None]


def test_a_change_is_one_small_message_and_no_change_is_none():
    w = Wired(fl.Experiment(partition=fl.ByGroup(clients=1000)))
    sent = []
    w.table.observe(lambda change: sent.append(len(json.dumps(change["new"]))), "table")
    w.form.field("partition.skew").control.set_state({"value": 0.4})
    assert len(sent) == 1 and sent[0] < 16_000, sent
    w.form.field("rounds").control.set_state({"value": 7})
    assert len(sent) == 1, "nothing to show had changed"


def test_what_is_said_on_a_question_mark():
    for sentence, example, lesson in ClientTable(print).help.values():
        assert sentence and example and lesson


def test_clients_that_share_rows_are_shown_with_the_rows_they_share():
    # 32,561 rows dealt to 4 holdings: 8,141 and three times 8,140; client i of 20 has that of i mod 4.
    preview = Preview.of(fl.Experiment(partition=fl.Reuse(clients=20, of=fl.IID(clients=4))))
    assert preview.sizes.tolist() == [8141, 8140, 8140, 8140] * 5
    assert torch.equal(preview.labels[:4], preview.labels[16:]) and preview.apart.shape == (20,)
    assert preview.words().startswith("20 clients share 32,561 rows, 8,140 to 8,141 each. Heterogeneity 0.00")
    # As many clients with a row as there are copies of it: the figures of the 20 rows, one by one.
    joint = torch.randint(0, 50, (4, 6), generator=torch.Generator().manual_seed(0)).double()
    copies, rows = torch.full((4, 1), 5), joint.repeat(5, 1)
    assert torch.allclose(apart(joint, copies).repeat(5), apart(rows), atol=1e-12)
    assert heterogeneity(joint, copies) == pytest.approx(heterogeneity(rows), abs=1e-12)


def test_what_cannot_be_dealt_out_is_said_in_place_of_the_picture():
    # Adult has 32,561 training rows; `natural` asks for a client column, which it has not.
    for partition, why in ((fl.ByGroup(clients=50_000), "50000 is more than the 32561 training rows"),
                           (fl.Reuse(clients=60_000, of=fl.IID(clients=50_000)), "partition.of.clients = 50000"),
                           (fl.Natural(), "these data name none")):
        with pytest.raises(fl.BadInput, match=why):
            Preview.of(fl.Experiment(partition=partition))
    w = Wired()
    w.table.refuse("This cannot be dealt out.")
    assert w.table.table["said"] == "This cannot be dealt out." and w.table.table["rows"] == []
    assert w.table.table.keys() == Wired().table.table.keys()   # the page finds all that it reads
    w.table._handle_custom_msg({"op": "part", "client": 3, "on": False, "id": "1"}, [])
    assert not w.asked and w.table.table["said"] == "This cannot be dealt out."
    w.follow()
    assert len(w.table.table["rows"]) == 10 and w.table.table["said"] == ""


@pytest.mark.parametrize("partition", [fl.ByGroup(clients=5), fl.Reuse(clients=20, of=fl.ByGroup(clients=5))])
def test_by_group_without_groups_says_that_its_skew_does_nothing(partition):
    e = fl.Experiment(task=fl.Digits(), partition=partition)
    assert "name no groups, so “by group” deals the rows out evenly" in Wired(e).table.table["holds"]
    assert "name no groups" not in Preview.of(fl.Experiment(partition=partition)).words()   # Adult names two
    assert "name no groups" not in Preview.of(DIGITS).words()


def test_a_tick_that_would_name_a_crowd_is_refused_with_the_way_out():
    w = Wired(fl.Experiment(partition=fl.IID(clients=NAMED + 2)))
    said = w.send("part", 3, False)
    assert "the numbers of 10,001 clients" in said and "sampler" in said and "Python" in said
    assert not w.asked and w.e.schedule.clients is None and w.table.table["rows"][3][PART]
    w.form.host.submit("attack", {"part": "sign_flip", "liars": 1.0})
    assert "the numbers of 10,001 liars" in w.send("liar", 3, False) and w.e.attack.liars == 1.0
    w.form.host.submit("schedule.clients", (1, 2))   # few are named: ticks go on
    assert w.send("part", 3, True) == "" and w.e.schedule.clients == (1, 2, 3)
    w = Wired(fl.Experiment(partition=fl.IID(clients=NAMED + 1)))
    assert w.send("part", 3, False) == "" and len(w.e.schedule.clients) == NAMED
