"""The table of ops, and the decorator that puts a function into it."""

from collections.abc import Callable

TABLE: dict[str, Callable] = {}


def converts(*names: str) -> Callable[[Callable], Callable]:
    """The function converts the ATen ops of these names, with and without the mark of an op in
    place."""

    def enter(function: Callable) -> Callable:
        for name in names:
            TABLE[name] = TABLE[f"{name}_"] = function
        return function

    return enter
