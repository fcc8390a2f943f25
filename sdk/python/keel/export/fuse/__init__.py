"""Makes of what a program says in many ops what Keel has one for. `fused` is all of it, in
order."""

from ..graph import Function
from ..interpret import Tensors
from .cleanup import cleaned
from .latent import with_latents
from .merged import without_merged
from .precision import in_f32
from .rope import with_ropes
from .router import with_routers
from .values import with_joined_values


def fused(function: Function, tensors: Tensors) -> Function:
    function = with_joined_values(cleaned(function))
    function = with_ropes(function, tensors)
    function = with_routers(function, tensors)
    function = with_latents(function, tensors)
    return cleaned(without_merged(cleaned(function)))


__all__ = ["fused", "in_f32"]
