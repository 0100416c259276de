import torch
from pydantic import Field

from ..part import part
from ..slots import Evaluate
from ..tasks.austen import CHARACTERS
from ..types import View


@part
class Writing(Evaluate):
    """What the model writes: before the first round, and after every round that is read.

    read: no figures. shows: `writing`, the prompt with the characters that the model of all draws after it; always by
    the same draws, so that only the model differs. For the task austen: lacks says so of others.
    The model is the row [P] that all share. Raises BadInput for fields out of range. Source: see `fl.write`.
    """

    prompt: str = Field("Emma", max_length=200, description="what the text begins with")
    length: int = Field(160, ge=1, le=2000, description="characters that the model writes after it")
    temperature: float = Field(0.7, ge=0, le=10, description="1: characters as likely as the model has them; less: the "
                                                            "likelier ones more often")

    def read(self, tables):
        return {}

    def lacks(self, plan):
        if getattr(plan.world.net, "tokens", None) != len(CHARACTERS):
            yield (f"evaluate.readings = writing reads what a model of text writes, and task = "
                   f"{plan.experiment.task.name} with net = {plan.experiment.net.name} has none; choose task=austen "
                   "and net=char_transformer, or leave it out")

    def shows(self, plan, state, cohort):
        samples = [(f"after round {state.round}", self.sample(plan, state.model))]
        if state.round <= plan.experiment.evaluate.every:   # the first that is read
            world = plan.world
            first = world.layout.flatten(world.net, world.dtype, world.device)
            samples.insert(0, ("before training", self.sample(plan, first)))
        return {"writing": View("text", "What the model writes", f"after “{self.prompt.strip()}”, always by "
                                "the same draws: only the model differs", values=tuple(samples))}

    def sample(self, plan, model: torch.Tensor) -> str:
        """The text that weights model [P] write."""
        from ..text import written  # which imports this

        world = plan.world
        tensors = world.layout.views(model)
        return written(lambda x: torch.func.functional_call(world.net, tensors, (x,)), world.net.context, model,
                       self.prompt, self.length, self.temperature)
