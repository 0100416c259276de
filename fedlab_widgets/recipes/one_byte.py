"""One byte a gradient: machines measure slopes along random directions, and hear each other's bytes, never a model."""

from ..aggregate import Mean
from ..distribute import Relayed
from ..encode import LogByte
from ..evaluate import Accuracy
from ..local import ForwardGradients
from ..nets import MLP, WarmStart
from ..partition import IID
from ..schedule import ComeAndGo, Lockstep
from ..spec import Evaluation
from ..tasks import Digits
from .book import enter

one_byte = enter(
    "one-byte", "machines send one byte a slope and replay those of the others; one joins late and one leaves early",
    "Zelikman et al., Just One Byte (per gradient): A Note on Low-Bandwidth Decentralized Language Model Finetuning "
    "Using Shared Randomness, 2023 (arXiv 2306.10015)",
    task=Digits(), partition=IID(clients=5), net=WarmStart(of=MLP(hidden=(64,)), rows=50),
    schedule=Lockstep(sampler=ComeAndGo(period=300, join=100, leave=200)), distribute=Relayed(),
    local=ForwardGradients(count=4, lr=0.009, batch=32),   # 2e-3 times the root of 20 slopes: see its docstring
    encode=LogByte(), aggregate=Mean(weights="uniform"), rounds=300,
    evaluate=Evaluation(every=10, readings=(Accuracy(),)),
)
