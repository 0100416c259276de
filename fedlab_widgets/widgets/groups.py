"""How long menus are grouped, and when to use what: one line a group, or a part where its slot has few."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..part import Part

# What liars must know is their group.
ACCESS = {"own data": "wrong data", "own row": "wrong updates", "all honest rows": "seeing all honest updates",
          "the aggregate": "seeing the result"}

# slot -> tag (or name of a part) -> what follows "Use it". Tags stand in the menu in this order, others after them.
WHEN = {
    "aggregate": {
        "averages": "where clients are honest, and wherever privacy must know how much one client counts",
        "robust to liars": "where some clients may lie; it costs accuracy where none does and clients differ much",
        "by trust": "where liars may be many: one client is known to be honest, liars resemble each other, or clients "
                    "have a past to be judged by",
        "by vote": "where clients can send little more than a bit a weight, or sizes cannot be believed",
        "before another rule": "with another rule after it, whose work it makes easier where clients differ much",
        "models of their own": "where groups of clients are alike, and nobody knows who is of which",
        "of lists": "with the local training prefix_extension, whose parties send lists of items",
        "without a server": "to do without a server: clients send to each other, and each has a model of its own"},
    "attack": {
        "wrong data": "as the likeliest liar: a client whose labels are wrong, by intent or by accident",
        "wrong updates": "as a liar of real systems, who changes its own program and sees nobody else's rows",
        "seeing all honest updates": "as the worst case, against which a defence should be tested"},
    "encode": {
        "everything": "to have something to compare with: nothing is lost",
        "fewer bits": "as the first thing to try: every weight arrives, less exactly",
        "fewer entries": "where even one bit a weight is too much: most weights are not sent in a round",
        "low rank": "for nets with large matrices"},
    "partition": {
        "alike": "to have something to compare with: here federation is easiest",
        "other labels": "to see what clients that know different labels do to a method: the usual test of it",
        "other groups": "to study fairness: who holds whose rows decides where a disparity shows",
        "other features": "where clients measure the same things with different instruments",
        "other sizes": "where few clients hold most rows, and how much each counts matters",
        "as the data name them": "where the data say whose rows they are: nothing is made up",
        "very many": "to try a run with thousands of clients"},
    "correct": {
        "nothing remembered": "where clients come seldom, or once: they keep nothing between rounds",
        "clients remember": "where the same clients come back: each keeps a row of its own between rounds",
        "models of their own": "with the aggregate collaborators, which finds clients that are alike by it"},
    "privatise": {
        "at the server": "where the server is trusted, and its models must not tell of any one client",
        "at the clients": "where the server is not trusted; it costs much more accuracy"},
    "method": {
        "basics": "to have something to compare with",
        "clients that differ": "where clients hold different data, and their models drift apart",
        "server optimisers": "where plain averaging is slow: the server learns from earlier rounds",
        "models of their own": "where one model cannot suit all clients",
        "fewer bytes": "where sending is slow or costs money",
        "seeds instead of weights": "where sending is so dear that even a thinned update is too long",
        "workers that seldom meet": "to train a language model on a few machines with slow lines between them",
        "counting and choosing in private": "to learn something other than a net from users whom nobody may know",
        "private": "where a model must not tell whose rows it was trained on",
        "where disparity comes from": "to see how the same rows, dealt out otherwise, are unfair in other ways",
        "remedies against disparity": "where groups are treated differently and should not be",
        "robust to liars": "where some clients may send lies",
        "attacks": "to see what liars can do, and to whom",
        "clients out of step": "where some clients are much slower than others, and waiting for them costs more",
        "without a server": "where there is no server, or none that all would trust",
        "two ideas at a time": "to see that methods compose, and to begin a composition of your own",
        "text": "for text"},
    "server": {
        "apply": "unless you know better", "momentum": "where rounds point now here, now there",
        "adaptive": "where some weights seldom move, as in text; look for a server step of its own",
        "scores_by_rank": "with the local training rank_sgd, whose clients send rankings"},
    "local": {
        "sgd": "unless you know better", "head_then_body": "where layers stay at home",
        "least_loss": "where clients fall into a few kinds, and nobody knows who is of which",
        "adam_w": "where workers seldom synchronise, and for transformers",
        "streaming": "where the line is narrow and every worker is always there; with the start changes",
        "seeded_steps": "where a net is large, sending is dear and there is no memory for gradients; with the net "
                        "warm_start",
        "forward_gradients": "where clients can only run the net, and send a few numbers; begin from a trained net",
        "rank_sgd": "where clients may lie, and no one may count for more than a vote; with the net super_mask",
        "prefix_extension": "to find the most frequent items of users who each report once, in private",
        "lin_ucb": "for bandits: silos that choose for one user after another, with the net linear_statistics",
        "private_sgd": "where every row of a client is to be hidden, from the server as well"},
    "distribute": {
        "changes": "with the local training streaming, which moves a fragment of the model at a time",
        "broadcast": "unless clients are to have models of their own",
        "keep_layers": "where clients should give answers of their own, and what they share is what they see",
        "own_models": "with an aggregator that gives each client a model back, as gossip does",
        "relayed": "where messages are much shorter than the model, as with the training forward_gradients or the "
                   "codec seeded_projection",
        "last_sent": "where clients are not in step: each goes on from the model it was sent last",
        "survivors": "with the local training prefix_extension, whose parties need prefixes only",
        "rebuilt": "with the local training seeded_steps, of whose numbers clients can rebuild the model",
        "order": "with the server scores_by_rank, whose model is an order of scores that clients know"},
    "topology": {
        "regular": "unless you know better", "ring": "to see how slowly news spreads over few links",
        "complete": "to have something to compare with", "one_peer": "where each client should send once a round"},
    "oracle": {
        "least_variance": "unless you know better", "grr": "where values are few",
        "oue": "where values are many, and a user may send a bit for each",
        "olh": "where values are many, and a user should send little"},
    "schedule": {
        "lockstep": "unless some clients are much slower than others",
        "fixed_tick": "where clients differ in speed, and the model should improve steadily",
        "buffer": "where clients differ in speed, and the model should improve as soon as a few have reported"},
    "personalise": {
        "fine_tune": "as the first thing to try: it costs nothing while training",
        "mixture": "where clients differ, but not in everything", "own_model": "where clients differ much"},
    "fairness": {
        "parity_penalty": "where groups should be given the favourable answer equally often",
        "reweigh": "where the labels of a group are few, and it should not pay for that",
        "fair_weights": "where some clients are fairer than others",
        "steer": "where you know which kind of disparity there is; the fairness panel shows it"},
}


def tag_of(cls: type[Part]) -> str:
    """The group of a part in its slot's menu; "" for none."""
    return cls.tag or ACCESS.get(getattr(cls, "access", ""), "")


def when(slot: str, tag: str, name: str = "") -> str:
    """"Use it where …", of a group or, where the slot has none, of a part; "" where nothing is known."""
    lines = WHEN.get(slot, {})
    line = lines.get(tag) or lines.get(name)
    return f"Use it {line}." if line else ""


def grouped(slot: str, names: Iterable[str], tag: Callable[[str], str]) -> tuple[list[str], dict[str, str]]:
    """(names with those of a group together, what the group of each is called); without tags as they were.

    >>> grouped("privatise", ["gaussian", "local_noise", "mine"], {"gaussian": "at the server"}.get)[0]
    ['gaussian', 'local_noise', 'mine']
    """
    order, tags = [*WHEN.get(slot, {})], {name: tag(name) or "" for name in names}
    if not any(tags.values()):
        return [*tags], {}
    known = [t for t in order if t in tags.values()]
    order = [*known, *(t for t in dict.fromkeys(tags.values()) if t and t not in known), ""]
    called = {name: t[:1].upper() + t[1:] if t else "Others" for name, t in tags.items()}
    return sorted(tags, key=lambda name: order.index(tags[name])), called
