from ..distribute import KeepLayers
from ..partition import IID
from .book import enter

local_only = enter(
    "local-only", "baseline: every client learns alone, nothing is ever sent; read with each client's own model",
    "baseline",
    distribute=KeepLayers(layers=("*",)),
)

centralised = enter(
    "centralised", "baseline: all rows in one place, as if there were no clients; no model is ever sent",
    "baseline",
    partition=IID(clients=1),
    distribute=KeepLayers(layers=("*",)),
)
