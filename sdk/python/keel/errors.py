"""What can go wrong, by kind. Each is also the built-in exception that fits, so `except ValueError`
works without an import of this module."""

from __future__ import annotations


class KeelError(Exception):
    """An error of the engine.

    `field` is the request's parameter that it is about ("max_tokens"), `flag` the engine's option
    ("max-num-seqs"), `file` the path; "" where that is not known.
    """

    def __init__(self, message: str, field: str = "", flag: str = "", file: str = "") -> None:
        super().__init__(message)
        self.field, self.flag, self.file = field, flag, file


class InvalidArgument(KeelError, ValueError):
    """A value that the engine refuses: wrong, unknown, out of range, or a prompt too long."""


class NotFound(KeelError, FileNotFoundError):
    """A model, a file or a request that is not there."""

    # FileNotFoundError would print its errno.
    __str__ = Exception.__str__


class NotServed(KeelError, NotImplementedError):
    """Something that Keel, or this model, does not do."""


class QueueFull(KeelError, RuntimeError):
    """No room: too many requests wait, or memory is short. Try again later."""


class EngineTimeout(KeelError, TimeoutError):
    """It took longer than it was given."""


class EngineError(KeelError, RuntimeError):
    """The engine can't do this now, or has failed."""


class ForkError(EngineError):
    """An engine was used in a child that fork() made. Threads do not survive a fork."""


# By status, as sdk/abi/engine.h numbers them.
_KINDS: dict[int, type[KeelError]] = {
    3: InvalidArgument,
    4: EngineTimeout,
    5: NotFound,
    6: InvalidArgument,
    8: QueueFull,
    11: InvalidArgument,
    12: NotServed,
}


def error_of(status: int, message: str, **about: str) -> KeelError:
    """The exception for a status other than 0."""
    return _KINDS.get(status, EngineError)(message, **about)
