"""Every part of the house in the words of a methods section; one of the user's own by its name and fields."""

from __future__ import annotations

from . import (
    aggregate,
    attack,
    correct,
    distribute,
    encode,
    fairness,
    local,
    oracle,
    personalise,
    privatise,
    schedule,
    server,
    topology,
)
from . import phrases_once as phrases_once  # its phrases are entered by that
from .saying import PHRASES, listed, said

__all__ = ["PHRASES", "listed", "said"]


def _lockstep(p):
    lost = f"; one that was asked dropped out with probability {p.dropout:g}" if p.dropout else ""
    return said(p.sampler) + lost


def _late(p):
    tail = f", but for a share of {p.slow:g} that took {p.slow_factor:g} times as long" if p.slow else ""
    more = ", weighted by how seldom each came" if p.weights == "unbiased" else ""
    more += f", counted (1 + s)^-{p.staleness:g} when s rounds old" if p.staleness else ""
    return f"{more}; all clients were always at work, the fastest {100 * p.spread:g} % faster than the slowest{tail}"


def _kept(p):
    if p.layers == ("*",):
        return "clients started from their own last model, which never left them,"
    layers = f"layer{'s' * (len(p.layers) > 1)} {listed(p.layers)}"
    return (f"clients started from the global model but for the {layers}, which stayed with each of them (after "
            "Arivazhagan et al. 2019),")


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


def _adamw(p):
    rows = f"batches of {p.batch:,}" if p.batch else "all rows of the client in a batch"
    fall = {"linear": ", falling linearly", "cosine": ", falling along a cosine"}.get(p.schedule, "")
    fall += f" to {p.lr_end:g} of it in the last round" if fall else ""
    more = [f"weight decay {p.weight_decay:g}"] if p.weight_decay else []
    more += [f"gradients clipped to length {p.clip:g}"] if p.clip else []
    return (f"{p.steps} step{'s' * (p.steps != 1)} of AdamW on {rows}, with a step size of {p.lr:g}{fall}"
            + (f" and {listed(more)}" if more else ""))


def _mean(p):
    by = {"samples": "by training rows", "uniform": "equally", "capped": f"by training rows up to {p.cap:,}"}[p.weights]
    over = ", divided by the sum of weights expected of a round" if p.denominator == "expected" else ""
    return f"the server averaged them, weighted {by}{over}"


def _furthest(p, bound, name):
    along = {"unit vector": "minus the mean", "sign": "minus the signs of the mean",
             "std": "minus the standard deviations"}[p.direction]
    return (f"sent the mean of the honest updates, moved along {along} as far as its {bound} ({name}, Shejwalkar & "
            "Houmansadr, NDSS 2021)")


def _steer(p):
    knobs = [f"{knob:g} times the {name} disparity" for name, knob in
             (("unique", p.unique), ("redundant", p.redundant), ("masked", p.masked)) if knob]
    if not knobs:
        return "clients asked before each round where their answers should go, and did not heed it"
    return (f"clients pulled the mean answers to their groups, with weight {p.hold:g}, to where the slopes of "
            f"{listed(knobs)} led; these were asked of the server before each round")


PHRASES |= {
    schedule.Full: lambda p: "all clients took part",
    schedule.Fixed: lambda p: f"{p.m:,} clients, drawn without replacement, took part",
    schedule.Poisson: lambda p: (f"each client took part with probability {p.q:g}, independently of the others"
                                 + (f", but at most {p.cap:,} of them" if p.cap else "")),
    schedule.InTurn: lambda p: (f"at most {p.size:,} clients took part, in a fixed order, so that nobody came again "
                                "before all others had"),
    schedule.ComeAndGo: lambda p: (f"all clients that were there took part; of every {p.period:,} rounds a share of "
                                   f"{p.late:g} of them joined in round {p.join:,}, and a share of {p.early:g} left "
                                   f"after round {p.leave:,}"),
    schedule.Lockstep: _lockstep,
    schedule.FixedTick: lambda p: (
        f"the server took in, every {p.every:g} of the time that the slowest ordinary client takes, whatever work had "
        f"come in{_late(p)}"),
    schedule.Buffer: lambda p: (
        f"the server took in {'each report as it came' if p.size == 1 else f'the next {p.size:,} reports'}{_late(p)}"),
    distribute.Broadcast: lambda p: "clients started from the global model",
    distribute.Changes: lambda p: "clients were sent what had changed of the global model",
    distribute.KeepLayers: _kept,
    distribute.OwnModels: lambda p: ("clients started from models of their own"
                                     + (", each drawn anew" if p.begin == "independent" else "")),
    distribute.LastSent: lambda p: "clients started from the model that they were last sent",
    distribute.Rebuilt: lambda p: ("clients rebuilt the global model from the first one"
                                   + ("" if p.known else ", which they were sent once,") + " and the numbers of shared "
                                   "directions that they were sent"),
    distribute.Order: lambda p: "clients started from the global scores, of which they were sent the order alone",
    distribute.Relayed: lambda p: ("clients rebuilt the global model from the messages of the others that they had not "
                                   "heard, or were sent the model where that was shorter,"),
    fairness.ParityPenalty: lambda p: (f"clients added {p.weight:g} times the squared gap between the mean answers of "
                                       "their groups to the loss of each batch"),
    fairness.Reweigh: lambda p: ("rows counted P(group) P(label) / P(group, label), by the shares of "
                                 + ("all clients together" if p.scope == "global" else "each client")
                                 + " (Kamiran & Calders 2012)"),
    fairness.FairWeights: lambda p: (f"clients whose gap in {p.gap} was closer to that of everybody counted more, with "
                                     f"beta = {p.beta:g} (after FairFed, Ezzeldin et al., AAAI 2023)"),
    fairness.Steer: _steer,
    local.SGD: _sgd,
    local.AdamW: lambda p: (
        f"{_adamw(p)}, with moments that " + ("every client kept from round to round" if p.keep else
                                              "began anew in every round")
        + " (DiLoCo, Douillard et al., arXiv 2311.08105)"),
    local.Streaming: lambda p: (
        f"{_adamw(p)}, on weights of their own; of these one of {p.fragments} fragment{'s' * (p.fragments > 1)} was "
        f"sent in each round in turn, and came back {p.overlap} step{'s' * (p.overlap != 1)} into the next round, to "
        f"be mixed with {p.mix:g} of the client's copy (Streaming DiLoCo, Douillard et al., arXiv 2501.18512)"),
    local.PrivateSGD: lambda p: (
        (f"{p.epochs} epoch" if p.epochs else f"{p.steps} step") + "s" * ((p.epochs or p.steps) != 1)
        + f" of DP-SGD (Abadi et al., CCS 2016) on Poisson lots of {p.batch:,} expected, with a step size of {p.lr:g}, "
        f"each row's gradient clipped to length {p.clip:g}, and a noise multiplier of {p.noise_multiplier:g}"),
    local.HeadThenBody: lambda p: (
        f"{p.head_epochs} epoch{'s' * (p.head_epochs != 1)} of SGD that moved the layers at home alone, then "
        f"{p.epochs} that moved the others alone (after FedRep, Collins et al., ICML 2021), on "
        + (f"batches of {p.batch:,}" if p.batch else "all rows of the client in a batch")
        + f", with a step size of {p.lr:g}" + (f" and momentum {p.momentum:g}" if p.momentum else "")),
    local.LinUCB: lambda p: (
        f"LinUCB on batches of {p.batch:,} users, whose sums were synchronised by a distributed binary tree (Zhou & "
        "Chowdhury, ICLR 2024)" + ({"silo": ", with silo-level local noise", "shuffle": ", with noise amplified by "
        "shuffling", "vector sum": ", by vector sums behind a shuffler"}[p.privacy] + f" for epsilon = {p.epsilon:g} "
        f"and delta = {p.delta:g} by the published formula" if p.privacy != "none" else "")),
    local.RankSGD: lambda p: (f"{_sgd(p._sgd)}, that moved scores of weights; clients sent the order of these in each "
                              "layer (FRL, Mozaffari et al., USENIX Security 2023)"),
    local.ForwardGradients: lambda p: (
        f"{p.count} slopes of the loss a client, each along a random direction and on {p.batch:,} rows, measured "
        f"{p.epsilon:g} to either side, with a step size of {p.lr:g} (after Zelikman et al. 2023, arXiv 2306.10015)"),
    local.SeededSteps: lambda p: (
        f"{p.steps:,} steps without gradients on "
        + (f"batches of {p.batch:,}" if p.batch else "all rows of the client in a batch")
        + f", each along one of {p.directions:,} random directions that all share, by the slope between two losses "
        f"{p.epsilon:g} to either side times {p.lr:g}; sums of slopes by direction were sent (FedKSeed"
        + ("-Pro, directions drawn by their past slopes" if p.adaptive else "") + ", Qin et al., ICML 2024)"
        + (f"; steps whose losses differed by more than {p.skip:g} were skipped" if p.skip else "")),
    local.LeastLoss: lambda p: (
        f"{p.epochs} epoch{'s' * (p.epochs != 1)} of SGD on the branch with the least loss on the client's rows (IFCA, "
        "Ghosh et al., NeurIPS 2020), on "
        + (f"batches of {p.batch:,}" if p.batch else "all rows of the client in a batch")
        + f", with a step size of {p.lr:g}" + (f" and momentum {p.momentum:g}" if p.momentum else "")),
    personalise.OwnModel: lambda p: (f"every client also trained a model of its own, pulled towards the model of all "
                                     f"with mu = {p.mu:g} (Ditto, Li et al., ICML 2021), and was read with it"),
    personalise.Mixture: lambda p: (f"every client used a mixture of {p.alpha:g} of a model of its own and the rest of "
                                    "the model of all (after APFL, Deng et al. 2020), and was read with it"),
    personalise.FineTune: lambda p: (f"every client was read with the model of all after {p.epochs:,} more "
                                     f"epoch{'s' * (p.epochs != 1)} on its own rows"),
    correct.Proximal: lambda p: f"a proximal term, mu = {p.mu:g} (FedProx, Li et al., MLSys 2020)",
    correct.Contrastive: lambda p: ("a contrast of representations with those of the client's last model, mu = "
                                    f"{p.mu:g} and temperature {p.temperature:g} (MOON, Li et al., CVPR 2021)"),
    correct.DynamicRegulariser: lambda p: (f"a dynamic regulariser, alpha = {p.alpha:g} (FedDyn, Acar et al., ICLR "
                                           "2021)"),
    correct.NormaliseSteps: lambda p: "updates divided by the steps taken (FedNova, Wang et al., NeurIPS 2020)",
    correct.ControlVariate: lambda p: "control variates (SCAFFOLD, Karimireddy et al., ICML 2020, option II)",
    correct.Critical: lambda p: (f"a mask sent beside, of the {100 * p.tau:g} % of each tensor's weights that mattered "
                                 "most (FedCAC, Wu et al., ICCV 2023)"),
    encode.Update: lambda p: "updates were sent uncompressed",
    encode.TopK: lambda p: (f"of each update the largest {100 * p.fraction:g} % of the entries were sent"
                            + (", with error feedback" if p.feedback else "") + " (after Stich et al., NeurIPS 2018)"),
    encode.Float4: lambda p: (f"updates were sent as floats of four bits ({p.format.upper()}), with a scale for every "
                              f"{p.block:,} entries, rounded "
                              + ("at random" if p.rounding == "random" else "to the nearest")),
    encode.Float16: lambda p: f"updates were sent in {p.format}",
    encode.Quantise: lambda p: (f"updates were rounded at random to {2 * p.levels + 1:,} levels of the length of each "
                                f"{p.bucket:,} entries (QSGD, Alistarh et al., NeurIPS 2017)"),
    encode.Sign: lambda p: ("of each update the signs and the mean size were sent"
                            + (", with error feedback" if p.feedback else "")
                            + " (after Karimireddy et al., ICML 2019)"),
    encode.RandomMask: lambda p: (f"of each update a random {100 * p.fraction:g} % of the entries were sent"
                                  + (", with error feedback" if p.feedback else ", scaled up to be right on average")
                                  + " (after Konečný et al. 2016)"),
    encode.Drive: lambda p: ("updates were turned by random Hadamard rotations of at most "
                             f"{1 << p.log2_piece:,} entries and sent as one bit a coordinate and a scale (after "
                             "DRIVE, Vargaftik et al., NeurIPS 2021)"),
    encode.SeededProjection: lambda p: (f"updates were sent as {p.count:,} coefficients of random directions that "
                                        "follow from a seed (Ferret, Shu et al., ICML 2025)"),
    encode.LogByte: lambda p: "numbers were sent as one byte each, a sign and seven bits of the logarithm of the size",
    encode.LowRank: lambda p: (f"the updates of weight matrices were sent as products of rank {p.rank}"
                               + (", with error feedback" if p.feedback else "")
                               + ", each client's for itself (after PowerSGD, Vogels et al., NeurIPS 2019)"),
    encode.Nonzero: lambda p: "of each update the entries other than 0 were sent, or all where that was shorter",
    encode.OneBranch: lambda p: "of each update the branch that was trained and its number were sent",
    aggregate.Mean: _mean,
    aggregate.Median: lambda p: "the server took the median of every coordinate (Yin et al., ICML 2018)",
    aggregate.TrimmedMean: lambda p: (f"the server averaged every coordinate without its {p.f:,} largest and {p.f:,} "
                                      "smallest values (trimmed mean, Yin et al., ICML 2018)"),
    aggregate.Krum: lambda p: (
        f"the server averaged the {p.select:,} of them of lowest score (Multi-Krum, Blanchard et al., NeurIPS 2017; "
        f"f = {p.f:,})" if p.select > 1 else
        f"the server kept the one of lowest score (Krum, Blanchard et al., NeurIPS 2017; f = {p.f:,})"),
    aggregate.GeometricMedian: lambda p: (
        f"the server took their geometric median (RFA, Pillutla et al. 2022; at most {p.steps:,} Weiszfeld steps, nu = "
        f"{p.nu:g})"),
    aggregate.Bulyan: lambda p: f"the server combined them by Bulyan (El Mhamdi et al., ICML 2018; f = {p.f:,})",
    aggregate.CentredClipping: lambda p: (
        "the server clipped each around the last result "
        + ("at the median distance from it" if p.tau is None else f"at distance {p.tau:g}")
        + f" and averaged them (centred clipping, Karimireddy et al., ICML 2021; {p.steps:,} "
        + f"step{'s' * (p.steps > 1)})"),
    aggregate.NormClipping: lambda p: (
        "the server clipped them to " + ("their median length" if p.bound is None else f"length {p.bound:g}")
        + f" (Sun et al. 2019), and {said(p.then)}"),
    aggregate.FoolsGold: lambda p: (
        "the server weighted them by how little their clients had been alike (FoolsGold, Fung et al., RAID 2020; kappa "
        f"= {p.kappa:g})"),
    aggregate.FLTrust: lambda p: (
        "the server weighted them by their agreement with a trusted client's and brought them to its length (after "
        "FLTrust, Cao et al., NDSS 2021)"),
    aggregate.MajoritySign: lambda p: (
        "the server took the majority of the signs of every coordinate (signSGD with majority vote, Bernstein et al., "
        f"ICLR 2019), times {p.step:g},"),
    aggregate.Reputation: lambda p: (
        f"{said(p.then)} in the first round, and with their clients' reputations for weights in later ones (after "
        f"RFFL, Xu & Lyu 2021; alpha = {p.alpha:g}, " + ("no clipping" if p.clip is None else f"clipped to {p.clip:g}")
        + f"), shutting out whose reputation fell below {p.beta:.3g} of the mean after round {p.patience:,}"
        + (" and giving each of the others as large a share of the result as its reputation" if p.reward else "")),
    aggregate.Gossip: lambda p: (
        f"there was no server: {said(p.topology)}, and every client mixed its model with those of its neighbours"
        + ("" if p.keep is None else f", keeping {p.keep:g} of its own")
        + ("" if p.variance == "as mixed" else
           ", with the weights of every layer brought back to the variance of " + {
               "all": "what was mixed", "others": "its neighbours'", "self": "its own"}[p.variance]
           + " (after Tian et al., 2024, arXiv 2404.04616)")),
    aggregate.SumByItem: lambda p: "the server added the estimates of parties item by item",
    distribute.Survivors: lambda p: "parties were sent the prefixes that had been kept",
    local.PrefixExtension: lambda p: (
        f"a search for frequent items, in which every user reported once how its item begins ({said(p.oracle)}, local "
        f"epsilon = {p.epsilon:g}); prefixes grew by {p.step} bits a round, in the first {p.shared} rounds on one "
        f"list for all parties, and those were kept whose estimate exceeded {p.tau:g} standard deviations, at least "
        f"{p.k} (after Zhang, Ye & Hu, SIGMOD 2025)"),
    oracle.GRR: lambda p: "generalised randomised response",
    oracle.OUE: lambda p: "optimised unary encoding (Wang et al., USENIX Security 2017)",
    oracle.OLH: lambda p: "optimised local hashing (Wang et al., USENIX Security 2017)",
    oracle.LeastVariance: lambda p: f"randomised response among few candidates, else {said(p.wide)}",
    topology.Ring: lambda p: f"clients stood in a ring, linked to {p.reach:,} on each side",
    topology.Regular: lambda p: f"clients were linked at random, each to {p.degree:,} others, the same in all rounds",
    topology.Complete: lambda p: "every client was linked to every other",
    topology.OnePeer: lambda p: ("each client sent to one other a round, in turn 1, 2, 4, … places on (after Assran et "
                                 "al., ICML 2019)"),
    aggregate.Collaborators: lambda p: (
        "the server averaged the weights that were critical to a client over clients to whom much the same were, over "
        f"fewer and fewer until round {p.beta:,}, and all others over everybody (FedCAC, Wu et al., ICCV 2023)"),
    aggregate.ByBranch: lambda p: f"for each branch, of the clients that trained it, {said(p.then)}",
    aggregate.Bucketing: lambda p: (
        f"the server averaged them in random buckets of {p.size:,} (Karimireddy et al., ICLR 2022), and "
        f"{said(p.then)}"),
    aggregate.NearestNeighbourMixing: lambda p: (
        f"the server replaced each by the mean of all but the {p.f:,} furthest from it (nearest-neighbour mixing, "
        f"Allouah et al., AISTATS 2023), and {said(p.then)}"),
    server.Apply: lambda p: "added the result" + (f", times {p.lr:g}," if p.lr != 1 else "") + " to the model",
    server.Adaptive: lambda p: (f"took {p.rule.title()} steps along the result (Fed{p.rule.title()}, Reddi et al., "
                                f"ICLR 2021; step size {p.lr:g}, beta1 = {p.beta1:g}, "
                                + (f"beta2 = {p.beta2:g}, " if p.rule != "adagrad" else "") + f"tau = {p.tau:g})"),
    server.ScoresByRank: lambda p: ("sorted the weights of each layer by the result, and gave each the initial score "
                                    "of its place"),
    server.Momentum: lambda p: (f"changed the model by the result with {'Nesterov ' * p.nesterov}momentum {p.beta:g} "
                                f"(FedAvgM, Hsu, Qi & Brown 2019; step size {p.lr:g})"),
    attack.SignFlip: lambda p: ("sent the opposite of the trained update"
                                + (f", {p.scale:g} times as long" if p.scale != 1 else "")),
    attack.LabelFlip: lambda p: "trained on labels turned round (y became K − 1 − y)",
    attack.GaussianNoise: lambda p: ("sent " + ("the trained update with " if p.how == "add" else "")
                                     + f"Gaussian noise of standard deviation {p.std:g} in every entry"
                                     + (" on it" if p.how == "add" else "")
                                     + " (after Blanchard et al., NeurIPS 2017)"),
    attack.Scaled: lambda p: f"sent the trained update, {p.factor:g} times as long (Bhagoji et al., ICML 2019)",
    attack.ALIE: lambda p: ("sent the mean of the honest updates less "
                            + ("as many standard deviations as their number allowed" if p.z is None else
                               f"{p.z:g} standard deviations") + " (ALIE, Baruch et al., NeurIPS 2019)"),
    attack.InnerProduct: lambda p: (f"sent the mean of the honest updates times −{p.epsilon:g} (inner-product "
                                    "manipulation, Xie et al., UAI 2019)"),
    attack.MinMax: lambda p: _furthest(p, "distance to an honest update stayed within the largest between two of them",
                                       "Min-Max"),
    attack.MinSum: lambda p: _furthest(p, "sum of squared distances to the honest updates stayed within the largest of "
                                       "theirs", "Min-Sum"),
    attack.Mimic: lambda p: ("copied the honest update that was furthest along the direction in which these differed "
                             "most, chosen anew in each round (after Karimireddy et al., ICLR 2022)"),
    attack.ReverseRanks: lambda p: ("agreed on an order of each layer's weights and all sent it turned round "
                                    "(Mozaffari et al., USENIX Security 2023)"),
    attack.FreeRider: lambda p: ("did no work and sent " + (f"a random row of length {p.size:g}" if p.size else
                                 "no change") + " (free riders, Lin et al., arXiv 1911.12560)"),
    attack.Backdoor: lambda p: (f"trained with a trigger ({p.size:g} columns, or pixels a side, set to {p.value:g}) "
                                f"and label number {p.target} on {100 * p.share:g} % of the rows, and sent the update, "
                                f"{p.factor:g} times as long (model replacement, Bagdasaryan et al., AISTATS 2020)"),
    privatise.Gaussian: lambda p: (
        "for client-level differential privacy (DP-FedAvg, McMahan et al., ICLR 2018) every update was clipped to "
        f"length {p.clip:g}, and Gaussian noise was added to the sum"),
    privatise.AdaptiveClip: lambda p: (
        "for client-level differential privacy every update was clipped to a length that began at "
        f"{p.start:g} and followed the {p.quantile:g} quantile of their lengths (adaptive clipping, Andrew et al., "
        "NeurIPS 2021), and Gaussian noise was added to the sum and to the count behind the quantile"),
    privatise.CorrelatedNoise: lambda p: (
        "for client-level differential privacy without sampling (DP-FTRL, Kairouz et al., ICML 2021) every update was "
        f"clipped to length {p.clip:g}, and Gaussian noise that is correlated over the rounds ("
        + {"tree": "a binary tree", "honaker": "a binary tree with Honaker's estimates",
           "sqrt": "the square root of the prefix sum"}[p.mechanism] + ") was added to the sum"),
    privatise.LocalNoise: lambda p: (
        f"for local differential privacy every client clipped its update to length {p.clip:g}"
        f"{' in L1' if p.mechanism == 'laplace' else ''} and added {p.mechanism.capitalize()} noise before sending"),
}
