"""Tasks on data that ship with lrsearch: nothing to download, seconds to train."""

from lrsearch.tasks._digit_tasks import EMBEDDED as EMBEDDED
from lrsearch.tasks._digit_tasks import digits as digits
from lrsearch.tasks._digit_tasks import digits_cnn as digits_cnn
from lrsearch.tasks._digits import Digits as Digits
from lrsearch.tasks._digits import Part as Part
from lrsearch.tasks._digits import load_digits as load_digits
from lrsearch.tasks._optimizers import optimizer_by_name as optimizer_by_name

__all__ = [
    "EMBEDDED",
    "Digits",
    "Part",
    "digits",
    "digits_cnn",
    "load_digits",
    "optimizer_by_name",
]
