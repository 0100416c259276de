"""The benchmark: the same work on both sides, and figures that add up. Nothing here holds a time."""

import json
import subprocess
import sys

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.bench import WORKS, compare, work
from fedlab_widgets.world import pick_device, rows_of, world_of


@pytest.mark.parametrize(("name", "weights", "inputs"), [
    # 784 x 200 + 200 + 200 x 200 + 200 + 200 x 10 + 10; 104 x 64 + 64 + 64 x 2 + 2; the CNN as in McMahan et al. 2017.
    ("W1", 199_210, (1, 28, 28)), ("W2", 1_663_370, (1, 28, 28)), ("W3", 6_850, (104,)), ("W4", 6_850, (104,))])
def test_nets_have_the_weights_that_are_said(name, weights, inputs):
    e = work(name)
    net = e.net.build(torch.Size(inputs), 10 if len(inputs) == 3 else 2)
    assert sum(p.numel() for p in net.parameters()) == weights


def test_every_client_trains_on_as_many_rows_and_steps_as_said():
    e = work("W3")
    world = world_of(e, pick_device("cpu"))
    assert world.clients == 1000 and set(world.shards.train.tolist()) == {45}
    assert e.local.steps_of(world.shards.train[:1], 45).tolist() == [3]      # 45 rows in batches of 16
    assert len(rows_of(e.task).y) == 56_000                                  # 56 - 11 held out = 45


def test_both_sides_take_the_same_steps_and_shares_add_up():
    found = compare("W3", repeats=1)
    assert found["steps"] == 300 and found["steps_agree"] and found["path"]["path"] == "fused"
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-12)
    assert all(0 <= share < 1 for share in found["shares"].values())
    assert found["ratio_raw"] == pytest.approx(found["ms_raw"] / found["ms_round"])


@pytest.mark.parametrize(("words", "status"), [("W3 --repeats 1 --no-raw --json", 0), ("W5", 2)])
def test_the_command_prints_one_object(words, status):
    command = [sys.executable, "-m", "fedlab_widgets", "bench", *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status
    if status:
        assert "choose W1, W2, W3, W4" in done.stderr and "Traceback" not in done.stderr
    else:
        found = json.loads(done.stdout)
        assert found["work"] == "W3" and "ratio_raw" not in found


def test_made_rows_are_in_no_menu():
    assert "made" not in fl.catalogue()["task"] and len(WORKS) == 4


def test_the_decomposition_is_timed_too():
    from fedlab_widgets.bench.pid import closed_form

    told = closed_form(1)
    assert len(told) >= 3 and all(ms > 0 for ms in told.values())
