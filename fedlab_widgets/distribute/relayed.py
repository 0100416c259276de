import torch
from pydantic import Field

from ..part import part
from ..slots import Distribute
from ..types import Memory, Table, View

FEW = 8         # clients with a line of their own in the live reading
NEVER = -2**62   # known bytes of a client without a model: whatever it misses is longer than the model


@part
class Relayed(Distribute):
    """Send clients the messages that others sent, not the model: they replay them on the model that they knew.

    start: the model [P] seen as [C, P] without a copy; that a replay ends at the same bits is tested. A client that is
    asked downloads every message of the rounds since it last took part, its own excepted, or the model where that is
    shorter; one that comes late catches up alike. Own: "known" [N, 1] int64, the bytes of messages that a client
    knows. price is the model's, the most that a client downloads. Who drops out is billed a model, and learns nothing.
    Raises BadInput where the next model does not follow from the messages alone: noise of the server, weights by
    clients' rows, rows that go back, answers before training. Which clients took part follows from the run's seed.
    Source: clients that rebuild the model from coefficients of the others in Shu et al., Ferret, ICML 2025 (arXiv
    2409.06277), and Zelikman et al., Just One Byte (per gradient), 2023 (arXiv 2306.10015); the shorter of the two
    ways is ours.
    """

    certain = False

    known: bool = Field(True, description="whether all clients have the first model; if not, it is downloaded too")

    def misfits(self, e):
        why = {
            "weighs clients by their training rows": not e.aggregate.equal_weights,
            "gives each client a row of its own": e.aggregate.returns_rows,
            "adds noise at the server": e.privatise is not None and e.privatise.central,
            "has clients answer before they train": any(f.sends and not f.stays for f in e.fairness),
        }
        for reason, wrong in why.items():
            if wrong:
                yield (f"distribute = relayed has clients replay messages, and this run {reason}, which messages do "
                       "not tell; set distribute to 'broadcast'"
                       + (", or aggregate.weights to 'uniform'" if "weighs" in reason else ""))

    def init(self, world, shared):
        fill = torch.tensor([0 if self.known else NEVER])
        return Memory({"known": Table(world.clients, fill)}, {"server total": torch.tensor(0)})

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def missing(self, state, ids):
        """Bytes of messages [C] that clients ids [C] have still to hear."""
        mine = state.memory["distribute"]
        return mine.shared["server total"] - mine.own["known"].gather(ids)[:, 0]

    def expected(self, plan, sent):
        schedule, clients = plan.experiment.schedule, plan.world.clients
        often = schedule.rate(clients)   # 1 / often rounds lie between two visits of a client, on average
        messages = often * len(schedule.eligible(clients)) * sent
        return min(self.price(plan.world), messages / often - sent)

    def downloads(self, plan, state, cohort):
        model = self.price(plan.world)
        lost = cohort.invited - len(cohort)
        return int(self.missing(state, cohort.ids).clamp(max=model).sum()) + lost * model

    def after(self, world, state, ids, model, rows, shared, sent):
        total = state.memory["distribute"].shared["server total"]
        sent = sent.to(total)
        return None, Memory({"known": (total + sent)[:, None]}, {"server total": total + sent.sum()})

    def shows(self, plan, state, cohort):
        ids = torch.arange(min(64, plan.world.clients))
        due = self.missing(state, ids).clamp(max=self.price(plan.world)).double()
        names = tuple(f"client {i}" for i in ids.tolist())
        if len(ids) > FEW:   # lines that cross all the time
            names, due = ("the client furthest behind", "the one in the middle", "the one least behind"), torch.stack(
                [due.max(), due.median(), due.min()])
        return {"catch-up": View(
            "lines", "Bytes to catch up", "What clients would have to download before they can take part: the "
            "messages that they have not heard, or the model where that is shorter.", names, tuple(due.tolist()))}
