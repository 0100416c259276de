"""Clients that are never in step: the clock, who comes when, what each counts, and a few rounds on paper."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.schedule import Buffer, FixedTick
from fedlab_widgets.schedule.clock import arrivals, durations, first, longest, ranked, ticks
from fedlab_widgets.types import never

TEN = tuple((1.0, i % 3, i) for i in range(10))   # ten clients with one row each
FAST_IS_1 = 1                                     # a seed that makes client 1 of two the fast one


def apart(line, rows=None, **fields):
    """The plan of clients that work on the model they were last sent."""
    given = {} if rows is None else {"rows": rows}
    return line(**given, **{"distribute": fl.LastSent(), "seed": FAST_IS_1, **fields})


def told(plan, rounds):
    """(state, [(cohort, model after it)]) of some rounds."""
    state, said = begin(plan), []
    for _ in range(rounds):
        cohort, _ = plan.experiment.schedule.next(plan.world, state)
        state, _ = advance(plan, state, Stacked(10), never)
        said.append((cohort, float(state.model[0])))
    return state, said


def test_durations_by_rank():
    # F-80 of five clients: 1 - 0.8 i / 4 = 1, 0.8, 0.6, 0.4, 0.2; two of them slow, at (0.5, 1.5) 5 / 2 = 1.25, 3.75.
    assert ranked(5, 0.8, 0.0, 5.0).tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    assert ranked(5, 0.8, 0.4, 5.0).tolist() == pytest.approx([1, 4, 0.6, 2, 0.2])
    assert ranked(1, 0.8, 1.0, 3.0).tolist() == [3] and ranked(3, 0.0, 0.0, 9.0).tolist() == [1, 1, 1]


def test_clients_are_dealt_their_speeds_by_seed(line):
    order = [durations(line(TEN, seed=s).world, FixedTick()) for s in (1, 2, 1)]
    assert torch.equal(order[0], order[2]) and not torch.equal(order[0], order[1])
    assert all(sorted(o.tolist(), reverse=True) == ranked(10, 0.8, 0, 5).tolist() for o in order)


def test_whole_quotients_stay_whole():
    # 0.6 / 0.2 is 2.9999999999999996 and 0.3 / 0.1 the same; (1 - 0.8 * 0.75) / 0.2 is 1.9999999999999996.
    tau = torch.tensor([0.6, 0.60001, 0.2, 0.01, 1.0, 1 - 0.8 * 0.75], dtype=torch.float64)
    assert ticks(tau, 0.2).tolist() == [3, 4, 1, 1, 5, 2]
    assert ticks(torch.tensor([1.0, 1 / 3], dtype=torch.float64), 1 / 3).tolist() == [3, 1]


def test_the_first_to_finish_and_ties_by_id():
    finish = torch.tensor([5, 3, 5, 1, 5, 3])
    assert [first(finish, n).tolist() for n in (1, 2, 3, 4, 5, 6)] == [
        [3], [1, 3], [1, 3, 5], [0, 1, 3, 5], [0, 1, 2, 3, 5], [0, 1, 2, 3, 4, 5]]


def test_ticks_on_paper(line):
    """Three clients that take 1, 0.6 and 0.2, a tick every 0.5: they come every 2, 2 and 1 rounds."""
    plan = apart(line, TEN[:3], schedule=FixedTick(every=0.5), rounds=5)
    fast = int(durations(plan.world, plan.experiment.schedule).argmin())
    said = [c for c, _ in told(plan, 4)[1]]
    assert [c.ids.tolist() for c in said] == [[fast], [0, 1, 2], [fast], [0, 1, 2]]
    assert [c.time for c in said] == [0.5, 1.0, 1.5, 2.0]
    # What the others bring in round 2 was begun on the first model, what the fast one brings on that of round 1.
    assert [c.versions.tolist() for c in said[:3]] == [[0], [1 if i == fast else 0 for i in range(3)], [2]]
    assert said[1].weights.tolist() == [1 if i == fast else 2 for i in range(3)]
    assert plan.experiment.schedule.rate(3) * 3 == pytest.approx(1 / 2 + 1 / 2 + 1)
    assert plan.expected == 3


def test_a_round_a_report_on_paper(line):
    """Two clients that take 1 and 0.4, one step each, w0 = 0. Steps from w: client 0 by 0.05 - 0.25 w, client 1 by
    0.2 - 0.1 w. Client 1 comes at 0.4 and 0.8, client 0 at 1.0 (from w0), client 1 at 1.2 (from w2):
    w1 = 0.2, w2 = 0.2 + 0.18 = 0.38, w3 = 0.38 + 0.05 = 0.43, w4 = 0.43 + 0.2 - 0.038 = 0.592."""
    plan = apart(line, schedule=Buffer(size=1, spread=0.6, weights="identical"), rounds=4)
    assert durations(plan.world, plan.experiment.schedule).tolist() == [1, 0.4]
    state, said = told(plan, 4)
    assert [(c.ids.tolist(), c.time) for c, _ in said] == [([1], 0.4), ([1], 0.8), ([0], 1.0), ([1], 1.2)]
    assert [c.versions.tolist() for c, _ in said] == [[0], [1], [0], [2]]
    assert [w for _, w in said] == pytest.approx([0.2, 0.38, 0.43, 0.592], abs=1e-12)
    assert state.trips == 4


def test_unbiased_steps_on_paper(line):
    """The same two at ticks of 0.5 come every 2 and 1 rounds, and hold 2/3 and 1/3 of the rows:
    w1 = 1/3 0.2 = 1/15, w2 = w1 + 2 2/3 0.05 + 1/3 (0.2 - 0.1 w1) = 1/15 + 1/15 + 1/15 - 1/450 = 89/450."""
    mean = fl.Mean(weights="samples", denominator="expected")
    plan = apart(line, schedule=FixedTick(every=0.5, spread=0.6), aggregate=mean, rounds=2)
    assert plan.expected == 3   # all rows: half as often, and twice as much
    assert [w for _, w in told(plan, 2)[1]] == pytest.approx([1 / 15, 89 / 450], abs=1e-12)


@pytest.mark.parametrize("schedule, rounds", [
    (FixedTick(every=0.5), 40), (FixedTick(every=0.2, slow=0.2), 1000), (Buffer(size=1), 300), (Buffer(size=3), 100),
    (Buffer(size=5, slow=0.1), 60)])
def test_unbiased_weights_are_unbiased(line, schedule, rounds):
    """Sum over rounds of what client i counts, over all, is its share 1/10; identical weights favour the fast."""
    def share(schedule):
        plan, omega = apart(line, TEN, schedule=schedule, rounds=rounds), torch.zeros(10, dtype=torch.float64)
        state = begin(plan)
        for n in range(1, rounds + 1):
            cohort, memory = schedule.next(plan.world, state)
            omega[cohort.ids] += cohort.weights
            state = type(state)(state.model, state.own, state.memory | {"schedule": memory}, n, cohort.time)
        return plan, omega / omega.sum()

    plan, found = share(schedule)
    assert float((10 * found - 1).abs().max()) < 0.03
    _, biased = share(schedule.model_copy(update={"weights": "identical"}))
    units = durations(plan.world, schedule)
    assert float(biased[units.argmin()] / biased[units.argmax()]) >= 2


def test_frequencies_of_single_reports_are_the_closed_form(line):
    """Asynchronous FedAvg: client i makes (1 / tau_i) / sum_j (1 / tau_j) of all reports, in the long run."""
    plan = apart(line, TEN, schedule=Buffer(size=1), rounds=4000)
    units = durations(plan.world, plan.experiment.schedule)
    often, _ = arrivals(plan.world, plan.experiment.schedule, 1, 0.0)
    assert torch.allclose(often, 1 / units / (1 / units).sum(), atol=11 / 4000)   # each is at most one report behind


def test_what_is_played_through_is_what_comes(line):
    schedule = Buffer(size=3, slow=0.2, staleness=0.5)
    plan = apart(line, TEN, schedule=schedule, rounds=25)
    said = [c for c, _ in told(plan, 25)[1]]
    count, weight = torch.zeros(2, 10, dtype=torch.float64)
    for c in said:
        count[c.ids] += 1
        weight[c.ids] += c.weights
    often, discounted = schedule.frequency(plan.world)
    assert torch.equal(count, (25 * often).round()) and torch.allclose(weight * often, 25 * discounted / 1, atol=1e-9)
    assert plan.expected == pytest.approx(float(weight.sum()) / 25)   # uniform mean: what a round really brings
    assert all(len(c) == 3 for c in said)


def test_the_discount_on_stale_work(line):
    """Ticks of 0.5: client 0 is a round late and counts (1 + 1)^-a, client 1 is not late. With a = 1: 2 / 2 and 1."""
    plan = apart(line, schedule=FixedTick(every=0.5, spread=0.6, staleness=1.0), rounds=4)
    assert [c.weights.tolist() for c, _ in told(plan, 2)[1]] == [[1], [1, 1]]
    assert plan.expected == 1.5   # 1 every second round, and 1
    plan = apart(line, schedule=FixedTick(every=0.5, spread=0.6, staleness=0.5, weights="identical"), rounds=4)
    assert told(plan, 2)[1][1][0].weights.tolist() == pytest.approx([2**-0.5, 1])
    assert plan.expected == pytest.approx(2**-0.5 / 2 + 1)


@pytest.mark.parametrize("schedule", [FixedTick(every=1.0, spread=0.0), FixedTick(every=1.0), Buffer(size=10)])
def test_waiting_for_all_is_being_in_step(line, schedule):
    """A tick as long as the slowest takes, or a buffer of all: the rounds of Lockstep, bit for bit."""
    one = told(apart(line, TEN, schedule=schedule, rounds=3), 3)[0]
    two = told(line(TEN, seed=FAST_IS_1, rounds=3), 3)[0]
    assert torch.equal(one.model, two.model) and one.time == two.time == 3


def test_rounds_to_which_nobody_comes(line):
    plan = apart(line, schedule=FixedTick(every=0.1, spread=0.6), rounds=5)
    state, events = begin(plan), []
    for n in range(1, 5):
        before = state.model
        state, said = advance(plan, state, Stacked(10), never)
        events += said
        assert torch.equal(before, state.model) == (n < 4) and state.time == pytest.approx(n / 10)
    assert [type(e).__name__ for e in events].count("Warned") == 0   # it is a matter of course


def test_how_long_a_round_in_step_lasts(line):
    world, tail = line(TEN).world, FixedTick(spread=0.0, slow=0.1, slow_factor=5.0)
    units = durations(world, tail)
    slow = int(units.argmax())
    assert longest(world, tail, torch.arange(10)) == 5 and longest(world, tail, torch.tensor([slow])) == 5
    assert longest(world, tail, torch.tensor([(slow + 1) % 10])) == 1 and longest(world, tail, torch.arange(0)) == 1


def test_what_is_refused(line):
    with pytest.raises(fl.BadInput, match="distribute = broadcast does not keep them; set distribute to 'last_sent'"):
        line(schedule=FixedTick())
    with pytest.raises(fl.BadInput, match="schedule.size = 5 is more than the 2 clients"):
        apart(line, schedule=Buffer(size=5))
    with pytest.raises(fl.BadInput, match="schedule = buffer"):
        apart(line, schedule=Buffer(size=2), privatise=fl.Gaussian(),
              aggregate=fl.Mean(weights="uniform", denominator="expected"))


def test_what_is_shown_and_what_it_costs(line):
    plan = apart(line, schedule=Buffer(size=1, spread=0.6), rounds=4)
    state, seen, down, up = begin(plan), [], 0, 0
    for _ in range(4):
        state, events = advance(plan, state, Stacked(10), never)
        seen += [e.views["staleness"]["values"] for e in events if type(e).__name__ == "Shown"]
        down, up = down + events[-1].bytes_down, up + events[-1].bytes_up
    # Begun in rounds 0, 1, 0 and 2, brought in rounds 1, 2, 3 and 4: 0, 0, 2 and 1 rounds late.
    assert [tuple(v) for v in seen] == [(0, 0, 0), (0, 0, 0), (2, 2, 2), (1, 1, 1)]
    assert (down, up) == (32, 32)   # a weight of 8 bytes each way, four reports
    cost = plan.experiment.forecast()
    assert cost.exact and (cost.bytes_down, cost.bytes_up) == (32, 32)
