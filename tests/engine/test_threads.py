"""Several threads of one process may use the same world: the lab's forecast runs while a run may begin."""

import threading

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import engine, session
from fedlab_widgets.plan import begin


@pytest.mark.parametrize("net", [fl.MLP(), fl.CNN()], ids=["mlp", "cnn"])
def test_runs_side_by_side_in_threads_come_out_as_alone(net):
    e = fl.Experiment(task=fl.Digits(), net=net, partition=fl.IID(clients=4), rounds=2)
    plan, executor = session.ready(e, None, "cpu")

    def ended():
        state = begin(plan)
        with session.one_thread():
            for _, now in engine.rounds(plan, state, executor):
                state = now or state
        return state.model

    alone, came = ended(), []
    threads = [threading.Thread(target=lambda: came.append(ended())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == 4 and all(model.equal(alone) for model in came)


def test_one_thread_stays_until_the_last_user_has_ended():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = session.one_thread(), session.one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
