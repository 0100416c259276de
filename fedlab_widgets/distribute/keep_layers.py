from pydantic import Field

from ..part import part
from ..slots import Distribute


@part
class KeepLayers(Distribute):
    """Keep some layers at home: they start from the client's own values, are never sent, and never averaged.

    start: [C, P], shared columns from the global model, kept ones from each client's own row (the initial model until
    it has trained). The wire and its price lose those columns. `"*"` keeps everything: clients learn alone.
    Raises BadInput when a pattern matches no layer. Source: Arivazhagan et al., arXiv 1912.00818 (FedPer), with any
    set of layers.
    """

    layers: tuple[str, ...] = Field(("*",), min_length=1,
                                    description="names of the tensors to keep, with * for any text: \"3.*\"")

    def kept(self, layout):
        return self.layers

    def start(self, world, state, ids):
        kept = world.layout.columns(self.layers)
        return kept.put(state.own.gather(ids), into=state.model)
