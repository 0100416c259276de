"""The chunk is tried out on the first round that has enough clients; what comes out does not depend on it."""

import torch

import fedlab_widgets as fl
from fedlab_widgets import engine, executors
from fedlab_widgets.plan import begin
from fedlab_widgets.session import one_thread, ready
from fedlab_widgets.trial import Trial
from fedlab_widgets.types import never


def sizes(count):
    return [piece.stop - piece.start for piece in Trial(4).pieces(count)]


def test_a_round_is_cut_into_whole_and_half_chunks_and_nobody_is_left_alone():
    assert sizes(16) == [4, 2, 2, 4, 2, 2] and sizes(18) == [4, 2, 2, 4, 2, 2, 2]
    assert sizes(9) == [4, 2, 3] and sizes(15) == [4, 2, 2, 4, 3]
    assert all(sum(sizes(n)) == n for n in range(1, 40))


def test_the_cheaper_size_is_kept():
    for fast in (2, 4):
        trial = Trial(4)
        assert trial.size(15) == 4 and trial.size(16) is None    # four whole chunks are enough to compare, fewer not
        work = trial.timed(lambda piece, fast=fast: sum(range(10_000 if len(piece) == fast else 4_000_000)))
        for piece in ([0] * 4, [0] * 2, [0] * 3):
            work(piece)
        assert trial.size(15) == trial.size(16) == fast


def test_bits_do_not_depend_on_the_trial(monkeypatch):
    e = fl.Experiment(task=fl.Digits(), net=fl.MLP(hidden=(16,)), partition=fl.IID(clients=20), rounds=2)
    plan, whole = ready(e, fl.Stacked(20), None)
    monkeypatch.setattr(executors, "CACHE", 4 * 4 * plan.world.layout.total)
    _, tried = ready(e, None, None)
    assert (tried.chunk, tried.trial.size(20)) == (4, None)
    with one_thread():
        for executor in (whole, tried):
            state = begin(plan)
            for _ in range(2):
                state, _ = engine.advance(plan, state, executor, never)
            if executor is whole:
                model = state.model
    assert torch.equal(model, state.model) and tried.trial.size(20) in (2, 4)
    assert fl.Stacked(4).settled(plan.world).trial is None     # who names a chunk gets it
