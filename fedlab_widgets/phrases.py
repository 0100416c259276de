"""Every part of the house in the words of a methods section; one of the user's own by its name and fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import aggregate, attack, correct, distribute, encode, local, nets, partition, privatise, schedule, server, tasks
from .part import Part

# What stands before the name of a part of the user's own, so that the sentence around it holds.
LEAD = {"partition": "by ", "schedule": "clients took part by ", "sampler": "clients took part by ",
        "distribute": "they started by ", "encode": "rows were sent by ", "aggregate": "the server combined them by ",
        "server": "changed the model by ", "attack": "used ", "privatise": "for privacy the run had "}


def said(part: Part) -> str:
    """A part in words, to stand inside a sentence.

    >>> said(partition.Dirichlet(alpha=0.1))
    'with label shares drawn from a Dirichlet distribution with alpha = 0.1 (Hsu, Qi & Brown 2019)'
    """
    if type(part) in PHRASES:
        return PHRASES[type(part)](part)
    fields = ", ".join(f"{name} = {getattr(part, name)}" for name in type(part).model_fields)
    name = f"our own {part.slot} {type(part).__name__}" + (f" ({fields})" if fields else "")
    return LEAD.get(part.slot, "") + name


def listed(words: Iterable[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _mlp(p):
    layers = "a hidden layer" if len(p.hidden) == 1 else "hidden layers"
    return f"a multi-layer perceptron with {layers} of {listed(map(str, p.hidden))} units and ReLU"


def _reuse(p):
    few = getattr(p.of, "clients", None)   # the data know how many, where they name the clients
    return f"that share {f'{few:,}' if few else 'fewer'} holdings of them, dealt out {said(p.of)}"


def _lockstep(p):
    lost = f"; one that was asked dropped out with probability {p.dropout:g}" if p.dropout else ""
    return said(p.sampler) + lost


def _kept(p):
    if p.layers == ("*",):
        return "clients started from their own last model, which never left them,"
    return (f"clients started from the global model but for the layers {listed(p.layers)}, which stayed with each of "
            "them (after Arivazhagan et al. 2019),")


def _sgd(p):
    long = f"{p.epochs} epoch" if p.epochs else f"{p.steps} step"
    rows = f"batches of {p.batch:,}" if p.batch else "all rows of the client in a batch"
    fall = {"linear": ", falling linearly", "cosine": ", falling along a cosine"}.get(p.schedule, "")
    more = [f"momentum {p.momentum:g}"] if p.momentum else []
    more += [f"weight decay {p.weight_decay:g}"] if p.weight_decay else []
    more += [f"gradients clipped to length {p.clip:g}"] if p.clip else []
    more += map(said, p.correct)
    fall += f" to {p.lr_end:g} of it in the last round" if fall else ""
    return (f"{long}{'s' * ((p.epochs or p.steps) != 1)} of SGD on {rows}, with a step size of {p.lr:g}{fall}"
            + (f", with {listed(more)}" if more else ""))


def _mean(p):
    by = {"samples": "by training rows", "uniform": "equally", "capped": f"by training rows up to {p.cap:,}"}[p.weights]
    over = ", divided by the sum of weights expected of a round" if p.denominator == "expected" else ""
    return f"the server averaged them, weighted {by}{over}"


PHRASES: dict[type[Part], Callable[[Part], str]] = {
    tasks.Adult: lambda p: (
        "the UCI Adult census data (Becker & Kohavi 1996, doi 10.24432/C5XW20) with their official split, to predict "
        f"an income above 50,000 dollars; the sensitive attribute, {p.sensitive}, was "
        f"{'withheld from' if p.withhold else 'given to'} the model"),
    tasks.TwoGaussians: lambda p: (
        f"{p.rows:,} points drawn from two Gaussians, to predict from which one (after the synthetic set of Hamman & "
        f"Dutta, ICLR 2024); the sensitive attribute, equal to the label with chance {p.agree:g}, was withheld from "
        "the model"),
    tasks.Mnist: lambda p: "MNIST (LeCun, Cortes & Burges) with its official split",
    tasks.Digits: lambda p: "the 8 × 8 digits of scikit-learn (Alpaydin & Kaynak 1998)",
    tasks.Arrays: lambda p: f"our own data “{p.title}” ({' × '.join(map(str, p.shape))}, SHA-256 {p.sha256[:12]}…)",
    nets.MLP: _mlp,
    nets.Logistic: lambda p: "multinomial logistic regression",
    nets.CNN: lambda p: (f"a convolutional net (5 × 5 convolutions with {p.channels} and {2 * p.channels} channels, "
                         f"each before a 2 × 2 max-pool, and a hidden layer of {p.hidden} units)"),
    partition.IID: lambda p: "evenly and at random",
    partition.ByGroup: lambda p: (f"by group: a share of {p.skew:g} of each group's rows went to the clients that are "
                                  "its home, the rest to the others (after Hamman & Dutta, ICLR 2024)"),
    partition.Dirichlet: lambda p: (f"with label shares drawn from a Dirichlet distribution with alpha = {p.alpha:g} "
                                    "(Hsu, Qi & Brown 2019)"),
    partition.Masked: lambda p: ("by label and group: half of the clients are home to rows whose label and group "
                                 f"agree, the others to the rest, and a share of {p.lam:g} of the rows was at home "
                                 "(after Hamman & Dutta, ICLR 2024)"),
    partition.Natural: lambda p: "as the data name them",
    partition.Reuse: _reuse,
    schedule.Full: lambda p: "all clients took part",
    schedule.Fixed: lambda p: f"{p.m:,} clients, drawn without replacement, took part",
    schedule.Poisson: lambda p: (f"each client took part with probability {p.q:g}, independently of the others"
                                 + (f", but at most {p.cap:,} of them" if p.cap else "")),
    schedule.Lockstep: _lockstep,
    distribute.Broadcast: lambda p: "clients started from the global model",
    distribute.KeepLayers: _kept,
    local.SGD: _sgd,
    correct.Proximal: lambda p: f"a proximal term, mu = {p.mu:g} (FedProx, Li et al., MLSys 2020)",
    correct.ControlVariate: lambda p: "control variates (SCAFFOLD, Karimireddy et al., ICML 2020, option II)",
    encode.Update: lambda p: "updates were sent uncompressed",
    encode.TopK: lambda p: (f"of each update the largest {100 * p.fraction:g} % of the entries were sent"
                            + (", with error feedback" if p.feedback else "") + " (after Stich et al., NeurIPS 2018)"),
    aggregate.Mean: _mean,
    aggregate.Median: lambda p: "the server took the median of every coordinate (Yin et al., ICML 2018)",
    server.Apply: lambda p: "added the result" + (f", times {p.lr:g}," if p.lr != 1 else "") + " to the model",
    server.Adaptive: lambda p: ("took Adam steps along the result (FedAdam, Reddi et al., ICLR 2021; step size "
                                f"{p.lr:g}, beta1 = {p.beta1:g}, beta2 = {p.beta2:g}, tau = {p.tau:g})"),
    attack.SignFlip: lambda p: ("sent the opposite of the trained update"
                                + (f", {p.scale:g} times as long" if p.scale != 1 else "")),
    attack.LabelFlip: lambda p: "trained on labels turned round (y became K − 1 − y)",
    privatise.Gaussian: lambda p: (
        "for client-level differential privacy (DP-FedAvg, McMahan et al., ICLR 2018) every update was clipped to "
        f"length {p.clip:g}, and Gaussian noise was added to the sum"),
}
