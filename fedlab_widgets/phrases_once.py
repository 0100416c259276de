"""What is decided once, in the words of a methods section: data, nets, and who holds which rows."""

from __future__ import annotations

from . import nets, partition, tasks
from .saying import PHRASES, listed, said


def _mlp(p):
    layers = "a hidden layer" if len(p.hidden) == 1 else "hidden layers"
    return f"a multi-layer perceptron with {layers} of {listed(map(str, p.hidden))} units and ReLU"


def _reuse(p):
    few = getattr(p.of, "clients", None)   # the data know how many, where they name the clients
    return f"that share {f'{few:,}' if few else 'fewer'} holdings of them, dealt out {said(p.of)}"


PHRASES |= {
    tasks.Adult: lambda p: (
        "the UCI Adult census data (Becker & Kohavi 1996, doi 10.24432/C5XW20) with their official split, to predict "
        f"an income above 50,000 dollars; the sensitive attribute, {p.sensitive}, was "
        f"{'withheld from' if p.withhold else 'given to'} the model"),
    tasks.TwoGaussians: lambda p: (
        f"{p.rows:,} points drawn from two Gaussians, to predict from which one (after the synthetic set of Hamman & "
        f"Dutta, ICLR 2024); the sensitive attribute, equal to the label with chance {p.agree:g}, was withheld from "
        "the model"),
    tasks.LinearBandit: lambda p: (
        f"a linear bandit: {p.silos:,} silos of {p.users:,} users, each with {p.arms:,} arms of {p.dimension} "
        f"features, and rewards with noise of deviation {p.noise:g}"),
    tasks.Items: lambda p: (
        f"drawn items of {p.bits} bits, held by {sum(p.users):,} users of {len(p.users)} parties: {p.common:,} common "
        f"to all ({100 * p.common_share:g} % of users), {p.local:,} of each party's own ({100 * p.local_share:g} %) "
        f"and {p.rare:,} rare ones"),
    tasks.Mnist: lambda p: "MNIST (LeCun, Cortes & Burges) with its official split",
    tasks.Digits: lambda p: "the 8 × 8 digits of scikit-learn (Alpaydin & Kaynak 1998)",
    tasks.Austen: lambda p: (
        f"six novels of Jane Austen, to predict the next of 67 characters from the {p.context} before it; the last "
        "tenth of every chapter was the test set"),
    tasks.Arrays: lambda p: f"our own data “{p.title}” ({' × '.join(map(str, p.shape))}, SHA-256 {p.sha256[:12]}…)",
    nets.MLP: _mlp,
    nets.LinearStatistics: lambda p: "the sums of least squares, read as the mean reward of each arm",
    nets.WarmStart: lambda p: (f"{said(p.of)}, trained beforehand by {p.steps:,} steps of SGD (step size {p.lr:g}, "
                               f"batches of {p.batch:,}) on {p.rows:,} pooled rows taken for public"),
    nets.Xavier: lambda p: f"{said(p.of)}, with first weights as in Glorot & Bengio (AISTATS 2010)",
    nets.Logistic: lambda p: "multinomial logistic regression",
    nets.CNN: lambda p: (f"a convolutional net (5 × 5 convolutions with {p.channels} and {2 * p.channels} channels, "
                         + (f"each with GroupNorm of {p.groups} groups and " if p.groups else "each ")
                         + f"before a 2 × 2 max-pool, and a hidden layer of {p.hidden} units)"),
    nets.CharTransformer: lambda p: (
        f"a transformer decoder of {p.layers} block{'s' * (p.layers != 1)} with {p.heads} "
        f"head{'s' * (p.heads != 1)}, width {p.width}, LayerNorm before each step and learned places"),
    nets.PrefixTree: lambda p: f"a list of at most {p.width:,} prefixes",
    nets.SuperMask: lambda p: (f"{said(p.of)}, without biases, with fixed random weights of which the {100 * p.keep:g} "
                               "% with the highest scores in each layer were used (edge-popup, Ramanujan et al., CVPR "
                               "2020)"),
    nets.Branches: lambda p: f"{p.k} branches, each {said(p.of)}, of which a client uses one",
    partition.IID: lambda p: "evenly and at random",
    partition.ByGroup: lambda p: (f"by group: a share of {p.skew:g} of each group's rows went to the clients that are "
                                  "its home, the rest to the others (after Hamman & Dutta, ICLR 2024)"),
    partition.Dirichlet: lambda p: (f"with label shares drawn from a Dirichlet distribution with alpha = {p.alpha:g} "
                                    "(Hsu, Qi & Brown 2019)"
                                    + (f", the same for each {p.alike:,} clients" if p.alike > 1 else "")),
    partition.Masked: lambda p: ("by label and group: half of the clients are home to rows whose label and group "
                                 f"agree, the others to the rest, and a share of {p.lam:g} of the rows was at home "
                                 "(after Hamman & Dutta, ICLR 2024)"),
    partition.Natural: lambda p: f"by {p.column}" if p.column else "as the data name them",
    partition.Quantity: lambda p: ("at random, with sizes "
                                   + (f"that fall as k to the power of −{p.power:g}" if p.beta is None else
                                      f"drawn from a Dirichlet distribution with beta = {p.beta:g} (after Li et al., "
                                      "ICDE 2022)")),
    partition.Shards: lambda p: (f"by label: sorted rows were cut into {p.clients * p.shards:,} pieces, of which each "
                                 f"client was dealt {p.shards} (McMahan et al., AISTATS 2017)"),
    partition.Noisy: lambda p: (f"{said(p.of)}, and their features were blurred by Gaussian noise that grew from "
                                f"client to client, to a standard deviation of {p.sigma:g} (after Li et al., ICDE "
                                "2022)"),
    partition.Reuse: _reuse,
    partition.Rotated: lambda p: (f"{said(p.of)}, and images of client i were turned by i mod {p.turns} quarter turns "
                                  "(after Ghosh et al., NeurIPS 2020)"),
}
