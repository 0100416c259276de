"""The state machine of a run in a thread: what may be pressed, and what pressing does."""

import time

import pytest

import fedlab_widgets as fl
from fedlab_widgets.events import RoundEnded
from fedlab_widgets.widgets.runner import AT_WORK, MAY, Phase, Runner

QUICK = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), rounds=12)


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.stop()
    runner.join(20)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def rounds(runner):
    return sum(isinstance(e, RoundEnded) for e in runner.events)


def test_a_run_ends_done_with_its_record(runner, tmp_path):
    assert runner.phase is Phase.IDLE and runner.may("start") and not runner.may("stop")
    assert runner.start(QUICK, tmp_path / "a")
    assert not runner.start(QUICK, tmp_path / "b"), "one at a time"
    runner.join(30)
    assert runner.phase is Phase.DONE and runner.run.status == "finished" and len(runner.run.history) == 12
    said = [e.to_json() for e in runner.events]
    assert said == [e.to_json() for e in runner.run.events if type(e).__name__ != "Checkpointed"]


def test_pause_holds_step_gives_one_round_and_go_on_finishes(runner, tmp_path):
    runner.step(QUICK, out=tmp_path / "a")
    until(lambda: runner.phase is Phase.PAUSED)
    assert rounds(runner) == 1
    runner.step(QUICK)
    until(lambda: rounds(runner) == 2 and runner.phase is Phase.PAUSED)
    time.sleep(0.2)
    assert rounds(runner) == 2
    runner.pause()
    runner.join(30)
    assert runner.phase is Phase.DONE and rounds(runner) == 12


def test_a_paused_run_has_the_bits_of_an_undisturbed_one(runner, tmp_path):
    runner.step(QUICK, out=tmp_path / "a")
    until(lambda: runner.phase is Phase.PAUSED)
    runner.pause()
    runner.join(30)
    alone = fl.run(QUICK, tmp_path / "b", progress=False)
    assert [e.fixed() for e in runner.run.events if isinstance(e, RoundEnded)] == [
        e.fixed() for e in alone.events if isinstance(e, RoundEnded)]


def test_stop_ends_soon_and_keeps_what_was_recorded(runner, tmp_path):
    runner.seconds_a_round = 0.2
    runner.start(QUICK, tmp_path / "a")
    until(lambda: rounds(runner) >= 2)
    began = time.monotonic()
    runner.stop()
    runner.join(10)
    assert time.monotonic() - began < 2 and runner.phase is Phase.STOPPED
    assert runner.run.status == "stopped" and 2 <= len(runner.run.history) < 12


def test_stop_while_paused(runner, tmp_path):
    runner.step(QUICK, out=tmp_path / "a")
    until(lambda: runner.phase is Phase.PAUSED)
    runner.stop()
    runner.join(10)
    assert runner.phase is Phase.STOPPED


def test_what_goes_wrong_is_said_in_words(runner, tmp_path):
    (tmp_path / "taken").mkdir()
    runner.start(QUICK, tmp_path / "taken")
    runner.join(20)
    assert runner.phase is Phase.FAILED and "is there already" in runner.problem and "Traceback" not in runner.problem
    runner.start(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=3,
                               local=fl.SGD(lr=1, weight_decay=10, steps=200)), tmp_path / "explodes")
    runner.join(30)
    assert runner.phase is Phase.FAILED and "local.lr" in runner.problem and runner.run.status == "failed"
    runner.reset()
    assert runner.phase is Phase.IDLE and not runner.events


def test_every_button_has_a_say_in_every_phase():
    assert all(MAY[b] <= frozenset(Phase) for b in MAY)
    assert not MAY["start"] & AT_WORK
    assert MAY["stop"] <= AT_WORK
