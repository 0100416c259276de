from ..aggregate import CentredClipping
from .book import enter

centred_clipping = enter(
    "centred-clipping", "go on from the last result, and let no client pull it further than a bound",
    "Karimireddy et al., Learning from History for Byzantine Robust Optimization, ICML 2021 (arXiv 2012.10333)",
    aggregate=CentredClipping(),
)
