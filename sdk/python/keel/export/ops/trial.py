"""A piece of a program, tried on numbers: the model's own ops for one row of tokens. MODEL is f32
here."""

import torch
from torch.fx import Node as FxNode

from ..graph import Refused


# What looks at nothing of a value but its shape, and what it is filled with.
SHAPES = {
    torch.ops.aten.ones_like.default: 1,
    torch.ops.aten.zeros_like.default: 0,
    torch.ops.aten.new_ones.default: 1,
    torch.ops.aten.new_zeros.default: 0,
}


class Trial:
    """For a row of `length` tokens."""

    def __init__(self, c, length: int):
        self.c, self.length = c, length

    def size(self, size):
        """A size of the program, as a number."""
        if isinstance(size, (int, float, bool)):
            return size
        expression = size.node.expr
        return type(size.node.hint)(
            expression.subs({s: self.length for s in expression.free_symbols})
        )

    def shape(self, node: FxNode) -> list[int]:
        return [self.size(d) for d in node.meta["val"].shape]

    def value(self, node: FxNode, known: dict[FxNode, object]) -> torch.Tensor:
        """What the node gives, where other nodes are what `known` says, which is added to."""
        stack = [(node, False)]
        while stack:
            at, ready = stack.pop()
            if at in known:
                continue
            given = self._given(at)
            if given is not None:
                known[at] = given
            elif ready:
                known[at] = _run(at, known)
            else:
                stack.append((at, True))
                stack.extend((i, False) for i in at.all_input_nodes if i not in known)
        return known[node]

    def _given(self, node: FxNode):
        value = node.meta.get("val")
        if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return self.size(value)
        if node.op != "placeholder":
            return self._filled(node) if node.target in SHAPES else None
        constant = self.c.buffer(node)
        if constant is not None:
            return constant
        if "position" in node.name:
            return torch.arange(self.length)[None]
        raise Refused("attention scores with a bias that is learned or computed from what is said")

    def _filled(self, node: FxNode) -> torch.Tensor:
        """Ones or zeros of another's shape, whatever that holds."""
        value = node.meta["val"]
        dtype = torch.float32 if value.dtype == torch.bfloat16 else value.dtype
        return torch.full(self.shape(node), SHAPES[node.target], dtype=dtype)


def _run(node: FxNode, known: dict[FxNode, object]):
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
    args = [torch.float32 if x is torch.bfloat16 else x for x in args]
    kwargs = {k: torch.float32 if x is torch.bfloat16 else x for k, x in kwargs.items()}
    with torch.no_grad():
        result = node.target(*args, **kwargs)
    return (
        result.float()
        if isinstance(result, torch.Tensor) and result.dtype == torch.bfloat16
        else result
    )
