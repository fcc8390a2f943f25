"""Loading a model: from flags to an engine, with bars."""

from __future__ import annotations

import ctypes
from concurrent import futures

from . import abi
from .progress import LoadBars

Flags = list[tuple[str, str]]


def load(flags: Flags, bars: LoadBars) -> ctypes.c_void_p:
    """A new engine's handle. What `bars` raises, and an interrupt, is raised when the model is
    loaded, since that cannot be ended early; the model is freed again."""
    # On a thread of its own. Interrupts are raised on the main thread, in whatever Python runs
    # there: in a callback of C they would be lost.
    with futures.ThreadPoolExecutor(1, "keel-load") as loader:
        loading = loader.submit(_load, flags, bars)
        try:
            return loading.result()
        except BaseException:
            loading.add_done_callback(_free)
            raise


def _load(flags: Flags, bars: LoadBars) -> ctypes.c_void_p:
    failures: list[BaseException] = []

    def show(_: int, stage: bytes, done: int, total: int) -> None:
        try:
            if not failures:
                bars.show(stage.decode(), done, total)
        except BaseException as failure:
            failures.append(failure)

    options, handle = ctypes.c_void_p(), ctypes.c_void_p()
    progress = abi.ProgressFn(show)
    abi.check(abi.options_new(ctypes.byref(options)))
    try:
        for name, value in flags:
            abi.check(abi.options_set(options, name.encode(), value.encode()))
        abi.check(abi.options_set_progress(options, progress, None))
        abi.check(abi.engine_new(options, ctypes.byref(handle)))
    finally:
        abi.options_free(options)
        bars.close()
    if failures:
        abi.engine_free(handle)
        raise failures[0]
    return handle


def _free(loading: futures.Future[ctypes.c_void_p]) -> None:
    if loading.exception() is None:
        abi.engine_free(loading.result())
