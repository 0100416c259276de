"""Where a run can be: the dropdown of devices and its figures, and the cluster behind an address."""

import asyncio
import shutil
import sys
import tempfile
import threading
import time

import psutil
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import machine, ray_link
from fedlab_widgets.events import Evaluated, RoundEnded, Started
from fedlab_widgets.ray_link import Node
from fedlab_widgets.widgets import cluster_field
from fedlab_widgets.widgets.devices import DevicePicker
from fedlab_widgets.widgets.lab import Lab
from fedlab_widgets.widgets.run_bar import RunBar

MANY = "a Ray cluster"


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
    assert labels(DevicePicker()) == ["auto (CPU: no GPU seen)", "CPU, 2 cores, 17 GB of 34 GB free", MANY]


def test_what_is_free_here_is_more_than_nothing_and_at_most_all():
    cpu = machine.cpu()
    assert 0 < cpu.free <= cpu.total and cpu.total == psutil.virtual_memory().total


def test_every_card_is_an_option(two_cards):
    picker = DevicePicker()
    assert picker.device == "auto" and labels(picker)[0] == "auto (cuda:0)"
    assert labels(picker)[2:] == ["cuda:0, Card A, 30 GB of 40 GB free", "cuda:1, Card B, 2 GB of 40 GB free", MANY]
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
    assert picker.device == "auto" and len(picker.options) == 4


def test_a_device_that_is_not_there_is_refused(two_cards):
    with pytest.raises(fl.BadInput, match="cuda:5"):
        DevicePicker("cuda:5")
    assert DevicePicker("cuda").device == "cuda:0"


def test_what_is_chosen_is_what_a_run_takes(tmp_path):
    picker = DevicePicker("cpu")
    run = fl.run(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1), out=tmp_path / "run",
                 device=picker.device)
    assert run.status == "finished"


# --- a cluster ------------------------------------------------------------------------------------------------------

def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster():
    """A machine with a CPU and a quarter of a gigabyte: its address, and how to end it."""
    ray = pytest.importorskip("ray")
    if sys.platform != "linux":
        pytest.skip("Ray's clusters are tested on Linux")
    from ray.cluster_utils import Cluster

    home = tempfile.mkdtemp(prefix="ray", dir="/tmp")   # short: sockets have names of at most 107 letters
    made = Cluster(initialize_head=True, head_node_args={
        "num_cpus": 1, "memory": 256 * 10**6, "object_store_memory": 80 * 10**6, "include_dashboard": False,
        "include_log_monitor": False, "no_monitor": True, "temp_dir": home})
    yield made
    ray.shutdown()
    made.shutdown()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def bar():
    made = RunBar(lambda name: None)
    yield made
    made.devices.value = "auto"   # nobody watches any more


def test_the_address_is_asked_for_with_the_cluster_only(bar):
    assert bar.executor is None and bar.cluster.layout.display == "none"
    bar.devices.value = "cluster"
    assert bar.cluster.layout.display == "" and bar.device == "auto"
    assert bar.executor == fl.Ray(None)   # empty: this machine
    bar.devices.value = "cpu"
    assert bar.executor is None and bar.cluster.layout.display == "none" and bar.device == "cpu"


def test_what_is_wrong_with_an_address_is_said_beneath_it(bar):
    bar.devices.value = "cluster"
    bar.cluster.address.value = "127.0.0.1:9"   # as the page sends it, on Enter
    wait_for(lambda: "Connecting" not in bar.cluster.said.value)
    assert "no Ray cluster answers there" in bar.cluster.said.value and 'role="alert"' in bar.cluster.said.value
    assert not bar.cluster.machines.value


def test_an_address_typed_while_another_is_tried(bar, monkeypatch):
    """The last one counts."""
    tried, go = [], threading.Event()

    def join(address):
        tried.append(address)
        go.wait(30)
        raise fl.BadInput(f"not at {address}")

    monkeypatch.setattr(ray_link, "join", join)
    bar.cluster.address.value = "one"
    wait_for(lambda: tried)
    bar.cluster.address.value = "two"
    go.set()
    wait_for(lambda: "not at" in bar.cluster.said.value)
    assert tried == ["one", "two"] and "not at two" in bar.cluster.said.value


def test_machines_and_their_load_in_a_table():
    """Two machines, one with a quarter of its four CPUs, half of its two GPUs and 12 of 80 MB of store in use."""
    text = cluster_field.table([Node("a<b", (1.0, 4.0), (1.0, 2.0), 16e9, (12e6, 80e6)),
                                Node("c", (0.0, 2.0), (0.0, 0.0), 8e9, (0.0, 80e6))])
    assert "2 machines in the cluster, 1 of 6 CPUs in use" in text and "a&lt;b" in text
    shares = [part.split("%")[0] for part in text.split("--share:")[1:]]
    assert shares == ["25", "50", "15", "0", "0"] and text.count("<td>none</td>") == 1   # GPUs of c
    assert "1 of 4</td>" in text and "12 MB of 80 MB</td>" in text and "<td>16 GB</td>" in text
    assert "GPUs" not in cluster_field.table([Node("c", (0.0, 2.0), (0.0, 0.0), 8e9, (0.0, 80e6))])
    assert cluster_field.table([]) == ""


def test_a_lab_runs_on_a_cluster_and_shows_what_it_does(cluster, tmp_path):
    import ray

    quick = fl.Experiment(name="quick", task=fl.Digits(), partition=fl.IID(clients=4), net=fl.MLP(hidden=(8,)),
                          rounds=3)
    lab = Lab(quick, out=tmp_path, name="on a cluster")
    lab.bar.speed.value, lab.bar.devices.value = 0.0, "cluster"
    lab.bar.cluster.address.value = cluster.address
    wait_for(lambda: "0 of 1" in lab.bar.cluster.machines.value)
    assert "<td>256 MB</td>" in lab.bar.cluster.machines.value and not lab.bar.cluster.said.value
    busy = ray.remote(lambda: time.sleep(5)).remote()
    wait_for(lambda: "1 of 1" in lab.bar.cluster.machines.value)
    ray.get(busy)
    lab.start()
    wait_for(lambda: lab.bar.cluster.address.disabled)
    run = asyncio.run(lab.wait(120))
    settings = next(e.settings for e in run.events if isinstance(e, Started))
    assert settings["executor"] == "ray" and settings["address"] == cluster.address
    alone = fl.run(quick, out=tmp_path / "alone", progress=False)
    facts = lambda r: [e.fixed() for e in r.events if isinstance(e, (Evaluated, RoundEnded))]  # noqa: E731
    assert facts(run) == facts(alone)
    wait_for(lambda: not lab.bar.cluster.address.disabled)
    lab.retire()


def test_a_cluster_that_goes_away_is_said(cluster, bar, monkeypatch):
    """The last of this file: it ends the cluster."""
    monkeypatch.setattr(ray_link, "PATIENCE", 1.0)
    bar.devices.value = "cluster"
    bar.cluster.address.value = cluster.address
    wait_for(lambda: "of 1" in bar.cluster.machines.value)
    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    wait_for(lambda: "The cluster has gone" in bar.cluster.said.value)
    assert not bar.cluster.machines.value
