"""Numbers that a model makes: counts, and values of one number."""

import torch

from ..graph import Refused, Rows
from .table import converts


@converts("arange")
def arange(c, node, *args, **kwargs):
    size = c.shape(node)[0]
    if not isinstance(size, Rows):
        return c.constant(torch.arange(*args).to(node.meta["val"].dtype), c.dtype(node))
    if size.times != 1 or [x for x in args if x != 0][1:]:
        raise Refused("a count of tokens that does not go 0, 1, 2 ...")
    return c.build.cast(c.positions, c.dtype(node))  # 0 .. N - 1 of a row: its positions


def _filled(number):
    def convert(c, node, *args, **kwargs):
        fill = number(node, args)
        if not isinstance(fill, (int, float)):
            raise Refused("a fill by what is no number")
        return c.filled(fill, node)

    return convert


for _name, _number in {
    "zeros": lambda node, args: 0,
    "zeros_like": lambda node, args: 0,
    "new_zeros": lambda node, args: 0,
    "ones": lambda node, args: 1,
    "ones_like": lambda node, args: 1,
    "new_ones": lambda node, args: 1,
    "full": lambda node, args: args[1],
    "full_like": lambda node, args: args[1],
    "new_full": lambda node, args: args[2],
    "scalar_tensor": lambda node, args: args[0],
}.items():
    converts(_name)(_filled(_number))
