from ..encode import Drive
from .book import enter

drive = enter(
    "drive", "one bit a coordinate after a random rotation, and nothing to remember; 25 to 30 times fewer bytes up",
    "Vargaftik et al., DRIVE: One-bit Distributed Mean Estimation, NeurIPS 2021 (arXiv 2105.08339)",
    encode=Drive(),
)
