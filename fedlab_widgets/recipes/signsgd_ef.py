from ..encode import Sign
from .book import enter

signsgd_ef = enter(
    "signsgd-ef", "one bit an entry, and what it got wrong joins the next round; 30 times fewer bytes up",
    "Karimireddy et al., Error Feedback Fixes SignSGD and other Gradient Compression Schemes, ICML 2019 "
    "(arXiv 1901.09847)",
    encode=Sign(),
)
