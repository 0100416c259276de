"""Where a run can be: the dropdown of devices and its figures."""

import psutil
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import machine
from fedlab_widgets.widgets.devices import DevicePicker


@pytest.fixture
def two_cards(monkeypatch):
    """A machine with two graphics cards, the second nearly full."""
    free = {0: 30 * 10**9, 1: 2 * 10**9}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: f"Card {'AB'[i]}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: (free[i], 40 * 10**9))
    return free


def labels(picker):
    return [text for text, _ in picker.options]


def test_the_processor_says_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=17 * 10**9, total=34 * 10**9))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert labels(DevicePicker()) == ["auto (CPU: torch sees no CUDA GPU)", "CPU, 2 cores, 17 GB of 34 GB free"]


def test_what_is_free_here_is_more_than_nothing_and_at_most_all():
    cpu = machine.cpu()
    assert 0 < cpu.free <= cpu.total and cpu.total == psutil.virtual_memory().total


def test_every_card_is_an_option(two_cards):
    picker = DevicePicker()
    assert picker.device == "auto" and labels(picker)[0] == "auto (cuda:0)"
    assert labels(picker)[2:] == ["cuda:0, Card A, 30 GB of 40 GB free", "cuda:1, Card B, 2 GB of 40 GB free"]
    picker.set_state({"index": 3})   # what the page sends
    assert picker.device == "cuda:1"


def test_refresh_keeps_the_choice(two_cards):
    picker = DevicePicker("cuda:1")
    two_cards[1] = 39 * 10**9
    picker.refresh()
    assert picker.device == "cuda:1" and picker.label == "cuda:1, Card B, 39 GB of 40 GB free"


def test_a_device_that_has_gone_gives_way_to_auto(two_cards, monkeypatch):
    picker = DevicePicker("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    picker.refresh()
    assert picker.device == "auto" and len(picker.options) == 3


def test_a_device_that_is_not_there_is_refused(two_cards):
    with pytest.raises(fl.BadInput, match="cuda:5"):
        DevicePicker("cuda:5")
    assert DevicePicker("cuda").device == "cuda:0"


def test_what_is_chosen_is_what_a_run_takes(tmp_path):
    picker = DevicePicker("cpu")
    run = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1), out=tmp_path / "run",
                 device=picker.device)
    assert run.status == "finished"
