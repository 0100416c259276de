from ..directions import two_point
from .chances import FAR


class Along:
    """C clients between two steps: weights w [C, P], sums by direction H, size, visits [C, K], losses and steps [C]."""

    def __init__(self, part, world, w):
        self.part, self.world, self.w, self.pool = part, world, w, part.pool(world)
        self.H, self.size, self.visits = (w.new_zeros(len(w), part.directions if i == 0 or part.adaptive else 0)
                                          for i in range(3))
        self.loss, self.taken = (w.new_zeros(len(w)) for _ in range(2))

    def step(self, k, x, y, share, alive):
        """A step of the first A clients along directions k [A], on x [A, B, ...], y and share [A, B]."""
        a, z, part = len(k), self.pool.rows(k), self.part
        slope, loss = two_point(self.world, self.w[:a], z, part.epsilon, x, y, share)
        good = slope.isfinite() & (alive > 0)
        if part.skip is not None:
            good &= slope.abs() * 2 * part.epsilon <= part.skip
        g, good = slope.where(good, 0), good.to(slope)
        self.w[:a].addcmul_(z, g[:, None], value=-part.lr)
        self.H[:a].scatter_add_(1, k[:, None], g[:, None])
        if part.adaptive:
            self.size[:a].scatter_add_(1, k[:, None], g.abs().clamp(max=FAR)[:, None])
            self.visits[:a].scatter_add_(1, k[:, None], good[:, None])
        self.loss[:a] += loss.where(good > 0, 0)
        self.taken[:a] += good
