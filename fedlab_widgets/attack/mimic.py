import torch

from ..aggregate.rows import products
from ..part import part
from .colluding import Colluding


@part
class Mimic(Colluding):
    """Liars all copy one honest client, which then counts too much; no row is unusual.

    Access: all honest rows. lie: rows [C, D], bad [C] -> the honest row x_i of largest |z x_i| where bad, with z the
    direction [D] in which honest rows differ most. Hurts where clients hold different data and the rule drops the
    others. Raises BadInput for liars out of range and where all clients lie.
    Source: Karimireddy, He, Jaggi, Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, ICLR 2022. There
    z is learned over the first rounds and one client is copied from then on; here z and the client are chosen anew in
    each round, from its rows alone.
    """

    def craft(self, honest, count):
        mean = honest.mean(0)
        every = products(torch.cat([honest - mean, mean[None]]))   # z is a sum of the differences: no [D, D] is needed
        gram, along = every[:-1, :-1], every[:-1, -1]
        weights = torch.linalg.eigh(gram).eigenvectors[:, -1]      # z = sum_i weights_i (x_i - mean), up to its length
        return honest[(gram @ weights + along @ weights).abs().argmax()]
