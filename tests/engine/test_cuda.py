"""The same engine on a GPU: same split, cohorts and keys, and in float64 the same models within 1e-12 a round."""

import pytest
import torch
from sklearn.datasets import load_digits

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.events import Evaluated, Failed, RoundEnded, Started, Stopped
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import pick_device, world_of

GPU = torch.cuda.is_available()
pytestmark = [pytest.mark.cuda,
              pytest.mark.skipif(not GPU, reason=f"torch {torch.__version__} sees no CUDA GPU on this machine")]
CUDA = "cuda:0"
X, Y = load_digits(return_X_y=True)
DIGITS = fl.from_arrays(X[:500].reshape(-1, 1, 8, 8) / 8 - 1, Y[:500], name="some digits")
UNIFORM = fl.Mean(weights="uniform")
METHODS = {
    "fedavg": {"local": fl.SGD(batch=16, epochs=2, momentum=0.5, weight_decay=0.01)},
    "fedprox": {"local": fl.SGD(batch=16, clip=0.5, correct=(fl.Proximal(mu=0.3),))},
    "scaffold": {"local": fl.SGD(batch=16, correct=(fl.ControlVariate(),)), "aggregate": UNIFORM},
    "kept-flipped": {"distribute": fl.KeepLayers(layers=("1.*",)), "attack": fl.LabelFlip(liars=0.3)},
    "adam-liars": {"server": fl.Adaptive(), "attack": fl.SignFlip(liars=(0, 3))},
    "private": {"privatise": fl.Gaussian(clip=0.5), "schedule": fl.Lockstep(sampler=fl.Poisson(q=0.5)),
                "aggregate": fl.Mean(weights="uniform", denominator="expected")},
}


def experiment(**fields):
    return fl.Experiment(**{
        "task": DIGITS, "net": fl.MLP(hidden=(24,)), "partition": fl.Dirichlet(clients=7, alpha=0.3), "rounds": 3,
        "schedule": fl.Lockstep(sampler=fl.Fixed(m=5)), "precision": "float64", "seed": 11,
        "evaluate": fl.Evaluation(every=100)} | fields)


def played(e, device, executor=None):
    """Models by round, and the events."""
    with one_thread():
        plan = prepare(e, world_of(e, pick_device(device)))
        assert plan.world.device.type == torch.device(device).type
        steps = list(engine.rounds(plan, begin(plan), (executor or fl.Stacked(3)).settled(plan.world)))
    return {s.round: s.model for _, s in steps if s is not None}, [event for event, _ in steps]


def agree(e, tolerance=1e-12, executor=None):
    there, said = played(e, CUDA, executor)
    here, heard = played(e, "cpu")
    assert all(model.device.type == "cuda" for model in there.values())
    assert said[-1] == heard[-1] == Stopped(e.rounds, "finished") and sorted(there) == sorted(here)
    for r, model in there.items():
        assert float((model.cpu() - here[r]).abs().max()) <= tolerance * r, f"round {r}"
    for kind in (Started, RoundEnded):
        for a, b in zip(*([event for event in events if isinstance(event, kind)] for events in (said, heard)),
                        strict=True):
            for name in ("cohort", "bytes_up", "bytes_down", "trips", "epsilon", "clients", "parameters", "majority"):
                assert getattr(a, name, None) == getattr(b, name, None), name
    return there, said


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_methods_agree_with_the_cpu(method):
    agree(experiment(**method))


@pytest.mark.parametrize("net", [fl.Logistic(), fl.MLP(hidden=(33, 17)), fl.CNN(channels=3, hidden=20)], ids=repr)
@pytest.mark.parametrize("executor", [fl.OneByOne(), fl.Stacked(100)], ids=repr)
def test_nets_agree_with_the_cpu(net, executor):
    agree(experiment(net=net), executor=executor)


def test_full_batches_and_many_clients():
    agree(experiment(partition=fl.IID(clients=33), schedule=fl.Lockstep(), local=fl.SGD(batch=None, epochs=2)))


def test_the_same_run_twice_is_the_same_bits():
    e = experiment(precision="float32", evaluate=fl.Evaluation())
    first, said = played(e, CUDA)
    again, heard = played(e, CUDA)
    assert all(torch.equal(first[r], again[r]) for r in first)
    assert [event.fixed() for event in said] == [event.fixed() for event in heard]


def test_readings_agree_with_the_cpu():
    e = fl.Experiment(rounds=2, precision="float64")     # Adult: groups, so the decomposition as well
    said, heard = ([event for event in fl.stream(e, device=device) if isinstance(event, Evaluated)]
                   for device in (CUDA, "cpu"))
    for a, b in zip(said, heard, strict=True):
        assert a.counts == b.counts
        for name, value in b.metrics.items():
            assert a.metrics[name] == pytest.approx(value, abs=1e-10, nan_ok=True), name


def test_keys_and_integers_are_the_same_numbers():
    keys = seeds.keys(3, "test", 1, torch.arange(50))
    there = keys.to(CUDA)
    assert torch.equal(seeds.permutations(there, 40).cpu(), seeds.permutations(keys, 40))
    assert torch.equal(seeds.uniforms(there, 40, torch.float64).cpu(), seeds.uniforms(keys, 40, torch.float64))
    assert torch.allclose(seeds.normals(there, 40, torch.float64).cpu(), seeds.normals(keys, 40, torch.float64),
                          rtol=0, atol=1e-14)


def test_a_run_on_the_gpu_is_read_on_the_cpu(tmp_path):
    run = fl.run(experiment(evaluate=fl.Evaluation()), out=tmp_path / "run", device=CUDA, progress=False)
    assert run.status == "finished" and run.events[0].settings["device"] == CUDA
    assert all(p.device.type == "cpu" for p in run.model().parameters())
    assert len(run.predict(X[:5].reshape(-1, 1, 8, 8))) == 5


def test_an_exploding_run_fails_there_too():
    e = experiment(net=fl.Logistic(), local=fl.SGD(lr=1.0, weight_decay=10.0, steps=200, batch=4), rounds=5)
    models, events = played(e, CUDA)
    assert isinstance(events[-1], Failed) and "local.lr" in events[-1].text
    assert all(bool(torch.isfinite(model).all()) for model in models.values())


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(fl.BadInput, match="cuda:99"):
        fl.stream(experiment(), device="cuda:99")


def test_auto_picks_the_gpu():
    assert next(fl.stream(experiment())).settings["device"] == CUDA
