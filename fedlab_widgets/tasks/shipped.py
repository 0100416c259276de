"""The data sets that come with the package."""

from typing import Literal

import torch
from pydantic import Field

from ..part import part
from ..shards import Data
from ..slots import Classification
from . import readers


def as_data(table: readers.Table, sensitive: str | None = None, favourable: int | None = None) -> Data:
    """A reader's table as the engine's tensors, cut into training and test rows."""
    group = table.groups[sensitive] if sensitive else table.y * 0
    train, test = torch.from_numpy(~table.test), torch.from_numpy(table.test)
    x, y, group = (torch.from_numpy(a) for a in (table.x, table.y, group))
    return Data(x[train], y[train], group[train], x[test], y[test], group[test], labels=table.labels,
                groups=table.group_values[sensitive] if sensitive else ("all",),
                features=table.features, favourable=favourable)


@part
class Adult(Classification):
    """Who earns more than 50,000 dollars a year? US census answers of 1994, 32,561 to learn from, 16,281 to test on.

    load: x [rows, about 90] float32, y 1 for ">50K", group the sensitive attribute. The official split; the sensitive
    attribute is withheld from x unless asked otherwise (other columns still tell of it).
    Raises BadInput when the file is missing or damaged. Source: Becker & Kohavi 1996, doi 10.24432/C5XW20, CC BY 4.0.
    """

    sensitive: Literal["sex", "race", "sex x race", "age"] = Field(
        "sex", description="the attribute whose groups are compared; age in four ranges")
    withhold: bool = Field(True, description="whether the model is not given that attribute")

    def load(self):
        return as_data(readers.read_adult(self.sensitive, self.withhold), self.sensitive, favourable=1)


@part
class Mnist(Classification):
    """Handwritten digits, 60,000 to learn from and 10,000 to test on.

    load: x [rows, 1, 28, 28] float32 standardised, y 0 to 9, no groups. 220 MB.
    Raises BadInput when the file is missing or damaged. Source: LeCun, Cortes, Burges, CC BY-SA 3.0.
    """

    def load(self):
        return as_data(readers.read_mnist())


@part
class Digits(Classification):
    """Small handwritten digits, 8 x 8: 1 797 rows, a fifth of them to test on. For a first look in seconds.

    load: x [rows, 1, 8, 8] float32 standardised, y 0 to 9, no groups. Ships with scikit-learn.
    Raises BadInput when scikit-learn cannot read it. Source: Alpaydin & Kaynak 1998, through scikit-learn.
    """

    def load(self):
        return as_data(readers.read_digits())
