from ..aggregate import GeometricMedian
from .book import enter

geometric_median = enter(
    "geometric-median", "the point with the smallest sum of distances to all updates; fewer than half may lie (RFA)",
    "Pillutla et al., Robust Aggregation for Federated Learning, IEEE TSP 2022 (arXiv 1912.13445)",
    aggregate=GeometricMedian(),
)
