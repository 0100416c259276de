"""Chunks of clients on a real Ray cluster of two machines (two nodes on this one): the bits of this process, whatever
dies. The last two tests take the cluster apart."""

import http.server
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import cluster as cluster_module
from fedlab_widgets import engine, parcel, ray_link, session
from fedlab_widgets.events import Started, Warned
from fedlab_widgets.executors import PlaceLost, as_described
from fedlab_widgets.plan import begin
from fedlab_widgets.types import Interrupted

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Ray's clusters of several nodes are tested on Linux")
STORE = 80 * 2**20   # the least that Ray takes


class Watched(fl.SGD):
    """SGD that writes down where it works, and waits in round `hold` until there is a file "go" in `folder`."""

    name = "watched_of_this_test"
    folder: str
    hold: int = 0

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        where, go = Path(self.folder), Path(self.folder) / "go"
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
        line = f"{cohort.round} {int(cohort.ids[0])} {node} {os.getpid()}\n"
        with (where / "begun").open("a") as file:
            file.write(line)
        while cohort.round == self.hold and not go.exists():
            time.sleep(0.02)
            if stop():
                raise Interrupted
        done = super().train(world, start, cohort, mine, keys, tamper, stop)
        with (where / "ended").open("a") as file:
            file.write(line)
        return done


class Greedy(fl.SGD):
    """SGD that has memory for two clients."""

    name = "greedy_of_this_test"

    def train(self, world, start, cohort, *more):
        if len(cohort) > 2:
            raise MemoryError("cannot allocate memory for three")
        return super().train(world, start, cohort, *more)


class Deadly(fl.SGD):
    name = "deadly_of_this_test"

    def train(self, *_):
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(fl.Net):
    """A net that cannot be run where the weights have changed: on the second round, on a worker."""

    name = "broken_of_this_test"

    def build(self, inputs, outputs):
        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(inputs.numel(), outputs)

            def forward(self, x):
                if "RAY_RAYLET_PID" in os.environ:
                    raise KeyError("this layer is broken")
                return self.layer(x.flatten(1))

        return Module()


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a CPU each; the first promises half a dozen GPUs that nobody has."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    home = tempfile.mkdtemp(prefix="ray", dir="/tmp")   # short: sockets have names of at most 107 letters
    lean = {"num_cpus": 1, "object_store_memory": STORE, "include_log_monitor": False, "include_dashboard": False}
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 6}
    made = Cluster(initialize_head=True, head_node_args=lean | {
        "num_gpus": 6, "no_monitor": True, "temp_dir": home, "_system_config": quick})
    made.second = made.add_node(**lean)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])   # as a cell's parts are
    yield made
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    ray.shutdown()
    made.shutdown()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def there(cluster):
    """there(…) -> fl.Ray on the cluster."""
    return lambda *args, **more: fl.Ray(cluster.address, *args, **more)


@pytest.fixture
def outcome(played):
    """outcome(experiment, executor) -> the flat state at the end, and what must be the same of every event."""
    from fedlab_widgets.store import flatten

    def play(e, executor):
        _, steps = played(e, executor)
        return ({k: t.clone() for k, t in flatten(steps[-1][1]).items()},
                [event.fixed() for event, _ in steps if not isinstance(event, Started)])

    return play


@pytest.fixture
def underway(tmp_path, some, own_catalogue):
    """underway(executor, hold=2) -> a run of eight clients in four chunks, in a thread, held in a round. `begun(n)`
    waits for n tasks of that round and gives their lines; `go()` lets them on; `end()` gives the run."""

    class Underway:
        def __init__(self, executor, hold=2):
            self.folder, self.out, self.hold = tmp_path, tmp_path / "run", hold
            self.stop, self.came = threading.Event(), None
            self.e = some(local=Watched(folder=str(tmp_path), hold=hold, batch=16, lr=0.05), rounds=3)
            self.thread = threading.Thread(target=self.work, args=(executor,))
            self.thread.start()

        def work(self, executor):
            try:
                self.came = fl.run(self.e, out=self.out, executor=executor, progress=False, stop=self.stop.is_set)
            except BaseException as error:   # noqa: BLE001
                self.came = error

        def lines(self, name="begun"):
            path = self.folder / name
            lines = path.read_text().splitlines() if path.exists() else []
            return [line.split() for line in lines if line.startswith(f"{self.hold} ")]

        def begun(self, count):
            wait_for(lambda: len(self.lines()) >= count or not self.thread.is_alive())
            assert len(self.lines()) >= count, self.came
            assert not self.lines("ended")   # so they are all in the middle
            return self.lines()

        def go(self):
            (self.folder / "go").touch()

        def end(self):
            self.thread.join(120)
            assert not self.thread.is_alive()
            return self.came

        def same_bits_as_here(self, same_bits):
            """The whole run again in this process."""
            self.go()
            other = tmp_path / "here"
            fl.run(self.e, out=other, executor=fl.Stacked(2, "fused"), progress=False)
            return same_bits(self.out, other)

    made = []
    fl.part(Watched)   # so that a resume finds it

    def start(*args, **more):
        made.append(Underway(*args, **more))
        return made[-1]

    yield start
    for one in made:
        one.stop.set()
        one.go()
        one.thread.join(60)


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


# --- the same bits --------------------------------------------------------------------------------------------------

METHODS = {
    "fedavg": {},
    "scaffold": {"local": fl.SGD(batch=16, correct=(fl.ControlVariate(),)), "aggregate": fl.Mean(weights="uniform")},
    "top-k-median": {"encode": fl.TopK(fraction=0.2), "aggregate": fl.Median()},
    "liars-adam": {"attack": fl.LabelFlip(liars=(1, 4)), "server": fl.Adaptive(), "distribute":
                   fl.KeepLayers(layers=("3.*",))},
    "private": {"privatise": fl.Gaussian(clip=0.5), "attack": fl.SignFlip(liars=0.3), "precision": "float64",
                "aggregate": fl.Mean(weights="uniform", denominator="expected")},
    "two phases, own models": {"fairness": (fl.Reweigh(),), "personalise": fl.OwnModel(),
                               "aggregate": fl.CentredClipping()},
    "cnn": {"net": fl.CNN(channels=4, hidden=16)},
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_bits_are_those_of_this_process(some, there, outcome, method):
    """With clients' own rows too: the state holds every row ever written."""
    e = some(**method, rounds=3)
    chunk, way = (1, "one by one") if "net" in method else (3, "fused")
    state, events = outcome(e, there(chunk, way))
    here, said = outcome(e, fl.OneByOne() if "net" in method else fl.Stacked(3))
    assert events == said
    assert state.keys() == here.keys() and all(state[name].equal(here[name]) for name in here)


def test_what_is_chosen_suits_the_net_and_is_recorded(some, there, outcome):
    """Ten clients and two CPUs: chunks of five; a hundred: of 32; a convolution goes one by one."""
    first = next(fl.stream(some(), executor=there()))
    found = {k: first.settings[k] for k in ("executor", "path", "chunk", "num_cpus", "num_gpus")}
    assert found == {"executor": "ray", "path": "fused", "chunk": 5, "num_cpus": 1, "num_gpus": 0}
    assert as_described(first.settings) == fl.Ray(there().address, 5, "fused")
    assert next(fl.stream(some(partition=fl.IID(clients=100)), executor=there())).settings["chunk"] == 32
    first = next(fl.stream(some(net=fl.CNN(channels=4, hidden=16)), executor=there()))
    assert (first.settings["path"], first.settings["chunk"]) == ("one by one", 1)


def test_nobody_in_the_round(some, there, outcome):
    e = some(schedule=fl.Lockstep(sampler=fl.Poisson(q=0.01)), rounds=3, seed=2)
    assert outcome(e, there(3))[1] == outcome(e, fl.Stacked(3))[1]


CELL = """
import sys
from pydantic import Field
import torch
import fedlab_widgets as fl

@fl.part
class Half(fl.Local):
    '''Half a step towards nothing.'''
    share: float = Field(0.5, gt=0, description="how much")
    def gives(self, world): return fl.SGD().gives(world)
    def steps_of(self, sizes, largest): return torch.ones_like(sizes)
    def train(self, world, start, cohort, mine, keys, tamper, stop):
        from fedlab_widgets.types import Trained
        return Trained(start * self.share, start.norm(dim=1))

e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=4), net=fl.MLP(hidden=(8,)), rounds=2, local=Half())
facts = lambda executor: [x.fixed() for x in fl.stream(e, executor=executor)][1:]
print(facts(fl.Ray(sys.argv[1], chunk=2)) == facts(fl.Stacked(2)))
"""


def test_parts_of_a_cell_travel(cluster, python):
    """In a process of its own, whose __main__ is the cell. The workers have never heard of the part."""
    assert python(CELL, cluster.address).strip() == "True"


def test_at_most_so_many_tasks_ahead(some, there, tmp_path):
    """Two CPUs: eight chunks beside the one that is looked at, of the twenty there are."""
    e = some(local=Watched(folder=str(tmp_path), batch=16), partition=fl.IID(clients=40), schedule=fl.Lockstep())
    plan, executor = session.ready(e, there(2), "cpu")
    state, cohort = begin(plan), None
    cohort = e.schedule.next(plan.world, state)[0]
    work = engine.partial(engine.client_half, executor.path(plan), state, lambda: False)
    with session.one_thread():
        came = executor.map(work, cohort)
        first = next(came)
        time.sleep(1)
        assert len((tmp_path / "begun").read_text().splitlines()) <= 9
        rest = list(came)
    assert len(rest) == 19 and first.loss.shape == (2,)


def test_only_the_rows_of_the_chunk_travel(some):
    """SCAFFOLD with 1000 clients of whom all but three have rows: what is sent is theirs, 3 x 1250 x 4 bytes."""
    e = some(partition=fl.IID(clients=400), **METHODS["scaffold"])
    plan, _ = session.ready(e, fl.Stacked(3), "cpu")
    state, width = begin(plan), plan.world.sent.width
    table = state.memory["local"].own["0.c"]
    table.scatter(torch.arange(400), torch.ones(400, width))
    cohort = e.schedule.next(plan.world, state)[0][slice(0, 3)]
    sizes = lambda value: sum(a.nbytes for a in parcel.pack(value)[1:])  # noqa: E731
    assert sizes(cluster_module._own(state, cohort)) == 3 * width * 4
    assert sizes(cluster_module._shared(state)) == state.model.nbytes + width * 4   # the model and the shared c


# --- stop, resume ---------------------------------------------------------------------------------------------------

def test_resume_picks_the_cluster_again(there, tmp_path, six_rounds, whole, facts, same_bits):
    folder = tmp_path / "run"
    run = fl.run(six_rounds, out=folder, executor=there(2, "fused"), progress=False,
                 stop=lambda: (folder / "events.jsonl").read_text("utf-8").count("RoundEnded") >= 3)
    assert run.status == "stopped" and len(run.history) == 3
    run = run.resume(progress=False)
    started = [e.settings["executor"] for e in run.events if isinstance(e, Started)]
    assert run.status == "finished" and started == ["ray", "ray"]
    assert facts(folder) == facts(whole.path) and same_bits(folder, whole.path)


def test_stop_in_the_middle_of_a_round(there, underway, same_bits):
    """Tasks that would wait for ever are called off, and their CPUs are free again."""
    going = underway(there(2))
    going.begun(2)
    going.stop.set()
    run = going.end()
    assert run.status == "stopped" and len(run.history) == 1
    wait_for(lambda: sum(n.cpus[0] for n in ray_link.nodes()) == 0)
    assert not going.lines("ended")
    going.go()
    assert going.came.resume(progress=False).status == "finished"
    assert going.same_bits_as_here(same_bits)


# --- what cannot be -------------------------------------------------------------------------------------------------

def test_no_cluster_there(some, refused):
    """Said at once: Ray itself would try for minutes and then end the process."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    start = time.monotonic()
    for address in ("127.0.0.1:9", f"127.0.0.1:{server.server_port}", "nonsense", "no.such.host.invalid:6379"):
        refused(lambda a=address: fl.run(some(), executor=fl.Ray(a)), address, "ray start --head")
    assert time.monotonic() - start < 60
    refused(lambda: fl.run(some(), executor=fl.Ray("ray://10.0.0.1:10001")), "Ray Client", "--num-cpus=0")
    thread.join()
    server.server_close()


def test_a_wrong_address_leaves_the_connection_alone(some, there, refused):
    next(fl.stream(some(), executor=there()))
    refused(lambda: fl.run(some(), executor=fl.Ray("127.0.0.1:9")), "no Ray cluster answers")
    assert ray.is_initialized() and len(ray_link.nodes()) == 2


def test_another_cluster_than_the_users_own(some, refused, cluster):
    """Who has called ray.init is not taken elsewhere; without an address that connection is used."""
    ray_link.leave(ray)
    ray_link._OURS.clear()   # as in a process that was not here before
    ray.init(cluster.address, log_to_driver=False)
    refused(lambda: fl.run(some(), executor=fl.Ray("127.0.0.1:9")), "already", "ray.shutdown()")
    assert next(fl.stream(some(), executor=fl.Ray())).settings["executor"] == "ray"


def test_ray_address_of_the_environment(some, refused, monkeypatch):
    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    refused(lambda: fl.run(some(), executor=fl.Ray()), "RAY_ADDRESS", "127.0.0.1:9")


def test_another_version_of_ray_there(some, there, refused, monkeypatch):
    ray.shutdown()
    monkeypatch.setattr(ray, "__version__", "1.0")
    refused(lambda: fl.run(some(), executor=there()), "cannot be joined", "same versions of Ray")


def test_ray_is_not_installed(some, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(lambda: fl.run(some(), executor=fl.Ray()), "pip install 'fedlab-widgets[ray]'")


@pytest.mark.parametrize(("fields", "word"), [
    ({"address": 6379}, "HOST:PORT"), ({"chunk": 0}, "chunk"), ({"way": "fast"}, "one by one"),
    ({"num_cpus": 0}, "0.001"), ({"num_cpus": True}, "num_cpus"), ({"num_gpus": -1}, "num_gpus"),
    ({"num_gpus": 1.5}, "share")])
def test_fields_out_of_range(refused, fields, word):
    refused(lambda: fl.Ray(**fields), word, "is not allowed")


def test_claims_that_no_machine_meets(some, there, refused):
    refused(lambda: fl.run(some(), executor=there(num_cpus=3)), "num_cpus = 3", "1 CPUs and 6 GPUs")
    refused(lambda: fl.run(some(), executor=there(num_gpus=7)), "num_gpus = 7")


def test_a_gpu_that_torch_does_not_see(some, there, tmp_path):
    """The node promises six GPUs: a quarter of one is given, and the task finds none."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(fl.BadInput, match="torch .* sees none there; install a CUDA build"):
        fl.run(some(), out=tmp_path / "run", executor=there(num_gpus=0.25), progress=False)
    assert fl.open_run(tmp_path / "run").status == "failed"


def test_another_version_there(some, there, tmp_path, monkeypatch):
    monkeypatch.setattr(fl, "__version__", "9.9")
    with pytest.raises(fl.BadInput, match="fedlab-widgets 9.9 steers this run, and .* has 0"):
        fl.run(some(), out=tmp_path / "run", executor=there(), progress=False)


def test_what_a_part_raises_there_is_raised_here(some, there, tmp_path):
    with pytest.raises(KeyError, match="this layer is broken") as caught:
        fl.run(some(net=Broken()), out=tmp_path / "run", executor=there(), progress=False)
    assert "On a machine of the Ray cluster" in caught.value.__notes__[0]


def test_the_way_must_fit_the_net(some, there, refused):
    refused(lambda: fl.run(some(net=fl.CNN()), executor=there(way="fused")), "way = 'fused'")


def test_memory_that_is_short_on_a_worker(some, there, played):
    """Eight clients in chunks of 8 do not fit, nor of 4; of 2 they do, and the bits are the same."""
    e = some(local=Greedy(batch=16), rounds=2)
    _, steps = played(e, there(8))
    said = [event.text for event, _ in steps if isinstance(event, Warned)]
    assert [text.split(":")[0][-27:] for text in said] == ["with 8 clients side by side", "with 4 clients side by side"]
    assert steps[-1][1].model.equal(played(e, fl.Stacked(2))[1][-1][1].model)


def test_a_part_that_cannot_travel(some, there, tmp_path):
    """A class made in a function keeps what the function holds, here a lock."""
    mine = threading.Lock()

    class Inner(fl.SGD):
        name = "inner_of_this_test"

        def gives(self, world):
            return mine and super().gives(world)

    with pytest.raises(fl.BadInput, match="cannot be sent to the workers .*top level"):
        fl.run(some(local=Inner()), out=tmp_path / "run", executor=there(), progress=False)


# --- what dies ------------------------------------------------------------------------------------------------------

def test_a_worker_killed_in_the_middle_of_a_round(there, underway, same_bits):
    going = underway(there(2))
    _, chunk, _, pid = going.begun(2)[0]
    os.kill(int(pid), signal.SIGKILL)
    going.begun(3)   # another worker has taken its place, and the next chunk first
    going.go()
    assert going.end().status == "finished"
    ran = [line[3] for line in going.lines() if line[1] == chunk]
    assert len(ran) == 2 and ran[0] == pid != ran[1]
    assert going.same_bits_as_here(same_bits)


def test_workers_that_die_every_time(some, there, tmp_path, monkeypatch):
    """A chunk that kills whoever takes it is given up, in words; so is a run on it."""
    monkeypatch.setattr(cluster_module, "RETRIES", 0)
    cluster_module._task.cache_clear()
    try:
        with pytest.warns(UserWarning, match="gave up on clients"):
            run = fl.run(some(local=Deadly()), out=tmp_path / "run", executor=there(16, "fused"),
                         progress=False)
    finally:
        cluster_module._task.cache_clear()
    assert run.status == "failed" and "take a smaller chunk than 16" in run.reason and "round 1" in run.reason


def test_a_machine_killed_in_the_middle_of_a_round(cluster, there, underway, same_bits):
    going = underway(there(2))
    begun, second = going.begun(2), cluster.second.node_id
    (_, chunk, _, pid), = [line for line in begun if line[2] == second]
    assert len({line[2] for line in begun}) == 2   # each machine has one in the middle
    cluster.remove_node(cluster.second, allow_graceful=False)
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGKILL)   # all that ran on it goes with a machine
    going.go()
    assert going.end().status == "finished"
    ran = [line[2] for line in going.lines() if line[1] == chunk]
    assert len(ran) == 2 and ran[0] == second != ran[1]   # twice: there, and on the one that is left
    wait_for(lambda: [n.cpus[1] for n in ray_link.nodes()] == [1.0])
    assert going.same_bits_as_here(same_bits)


def test_the_cluster_goes_away(cluster, there, underway, same_bits, refused, monkeypatch):
    """The run keeps what it had, this process lives, and the run can be ended here with the same bits."""
    monkeypatch.setattr(ray_link, "PATIENCE", 3.0)
    going = underway(there(2))
    going.begun(1)
    with pytest.warns(UserWarning, match="went away in round 2"):
        cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        run = going.end()
        assert run.status == "failed" and len(run.history) == 1
    assert "resume(here=True)" in run.reason and not ray.is_initialized()
    refused(lambda: run.resume(progress=False), "no Ray cluster answers", "fedlab resume FOLDER --here")
    going.go()
    done = run.resume(here=True, progress=False)
    assert done.events[-1].reason == "finished"
    took = [e.settings for e in done.events if isinstance(e, Started)][-1]
    assert (took["executor"], took["path"], took["chunk"]) == ("stacked", "fused", 2)
    assert done.status == "finished" and len(done.history) == 3
    assert going.same_bits_as_here(same_bits)
    assert issubclass(PlaceLost, RuntimeError)
