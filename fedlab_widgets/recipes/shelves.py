"""The book's shelves: which recipes stand together in a menu."""

SHELVES = {
    "basics": ("fedavg", "fedsgd", "local-only", "centralised"),
    "clients that differ": ("fedprox", "scaffold", "feddyn", "fednova", "moon"),
    "server optimisers": ("fedavgm", "fedadam", "fedyogi", "fedadagrad"),
    "models of their own": ("fedper", "fedrep", "fedbn", "ditto", "apfl", "fine-tuning", "ifca",
                             "fedcac"),
    "fewer bytes": ("fedpaq", "qsgd", "signsgd-ef", "powersgd", "random-mask", "drive"),
    "seeds instead of weights": ("fedkseed", "fedkseed-pro", "fedkseed-austen", "ferret", "one-byte"),
    "workers that seldom meet": ("data-parallel", "diloco", "streaming-diloco"),
    "private": ("dp-fedavg", "dp-fedavg-adaptive", "dp-ftrl", "dp-sgd-local", "local-dp"),
    "counting and choosing in private": ("heavy-hitters", "fedpem", "private-bandits"),
    "where disparity comes from": ("pid-iid", "pid-sex-skew", "pid-masked", "pid-synthetic", "pid-synthetic-skew",
                                   "pid-synthetic-masked"),
    "remedies against disparity": ("parity-penalty", "reweighing", "fairfed", "pid-steered"),
    "robust to liars": ("krum", "multi-krum", "trimmed-mean", "geometric-median", "bulyan", "centred-clipping",
                        "norm-clipping", "foolsgold", "fltrust", "signsgd-majority", "frl", "rffl"),
    "clients out of step": ("fedfix", "fedbuff", "fedasync"),
    "without a server": ("gossip", "gossip-common-start", "gossip-variance-corrected", "gossip-quantised"),
    "attacks": ("alie", "inner-product", "min-max", "min-sum", "mimic", "boosting", "free-rider", "backdoor"),
    "two ideas at a time": ("fedfix-scaffold", "fedbuff-trimmed-mean", "frl-reputation", "fedcac-top-k",
                             "fedkseed-trimmed-mean", "streaming-diloco-private", "heavy-hitters-dropped"),
    "text": ("austen",),
}

TAGS = {name: shelf for shelf, names in SHELVES.items() for name in names}
