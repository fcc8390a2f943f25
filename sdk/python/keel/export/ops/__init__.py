"""What each op of a traced program is in Keel's graph: `TABLE`, functions by the name of the ATen
op.

A function gets the converter, the program's node and its arguments, and gives the value (or values)
that stand for it.
"""

from .table import TABLE
from . import (  # noqa: F401, isort: skip, fill the table
    arithmetic, attention, complex_numbers, convolutions, fills, indices, logic, matrices, objects,
    recurrences, reductions, shape, writes,
)  # fmt: skip

__all__ = ["TABLE"]
