from ..encode import Quantise
from .book import enter

qsgd = enter(
    "qsgd", "updates rounded at random to a few levels, right on average; 5 times fewer bytes up",
    "Alistarh et al., QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding, NeurIPS 2017 "
    "(arXiv 1610.02132)",
    encode=Quantise(levels=16),
)
