from pydantic import Field

from ..part import part
from ..types import Memory, Trained
from .adam_steps import Adam


@part
class AdamW(Adam):
    """Let each client take steps of AdamW, with moments of its own that it keeps from round to round (DiLoCo).

    train: start [C, P] -> end [C, P]; each client shuffles its rows every epoch and takes `steps` steps. A step is
    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    w <- (1 - lr weight_decay) w - lr m' / (sqrt(v') + eps),
    m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t), t the steps that this client ever took: torch.optim.AdamW's
    form. Own rows m, v [N, P] and the age t [N, 1] never leave the client: they are neither averaged nor, with `keep`,
    reset when it starts from another model. Sends block "update" = end - start. Takes no corrections against drift.
    Raises BadInput for fields out of range.
    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, Algorithm 2; as the inner optimiser
    of Douillard et al., DiLoCo (arXiv 2311.08105), there with step sizes that fall within a round as well.
    """

    keep: bool = Field(True, description="keep the moments from round to round; else they begin anew in each")

    def init(self, world):
        return self.moments(world) if self.keep else Memory()

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        own = mine.own if self.keep else self.moments(world).of(cohort.ids).own
        end, loss, own = self.walk(world, start, own, cohort, keys, tamper, stop)
        return Trained(end, loss, own=own if self.keep else {})
