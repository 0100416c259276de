"""What the parts of this slot need of the rest of an experiment, in sentences."""

from collections.abc import Iterator


def a_model_of_all(part, plan) -> Iterator[str]:
    """Where layers stay at home nothing is trained together that clients could use, or be held against."""
    if plan.world.sent.width < plan.world.layout.real.width:
        e = plan.experiment
        yield (f"personalise = {part.name} is held against the model of all, and with distribute = {e.distribute.name} "
               "there is none, for some layers never travel; set distribute to 'broadcast', or personalise to none")
