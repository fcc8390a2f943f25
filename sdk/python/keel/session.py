"""A loaded model, and the way of its outputs from the engine to whoever asked.

The engine tells by a descriptor that outputs wait (keel_engine_event_fd). Whoever watches it calls
`Session.pump`, which takes them all and gives each to the sink of its request: event loops that
have requests here, and, once something waits without a loop, one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import itertools
import json
import os
import select
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from . import abi
from .delta import Delta, read_delta
from .errors import ForkError, NotServed
from .loading import load
from .options import flags_of
from .progress import LoadBars
from .request import Request

Sink = Callable[[Delta], None]

_first_process: int | None = None  # that has made an engine


class _Engine:
    """The handle, and what must be ended before it is freed. Knows nothing of its session, so that
    an abandoned session can be collected."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self.pid = os.getpid()
        self.handle = handle
        self.thread: threading.Thread | None = None
        fd = ctypes.c_int32()
        abi.check(abi.engine_event_fd(self.handle, ctypes.byref(fd)))
        self.fd = fd.value
        self.stop_reader, self.stop_writer = os.pipe()

    def close(self) -> None:
        """Cancels what runs and frees the engine. Once; in the process that made it."""
        if self.pid != os.getpid():
            return
        os.write(self.stop_writer, b"x")
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join()
        abi.engine_free(self.handle)
        os.close(self.stop_reader)
        os.close(self.stop_writer)


class _Entry:
    """A request that has not ended."""

    def __init__(self, sink: Sink) -> None:
        self.sink, self.first = sink, True
        self.number: int | None = None  # the engine's, once it is submitted


class Session:
    """An engine with one model. May be used from any thread and any event loop, but not in a child
    that fork() made."""

    def __init__(self, keywords: Mapping[str, Any], bars: LoadBars) -> None:
        global _first_process
        if _first_process not in (None, os.getpid()):
            raise ForkError(
                f"process {_first_process} had an engine when it forked this one, and its threads "
                "are not here; make engines in the children only, or start children by "
                "multiprocessing.get_context('spawn')"
            )
        self._engine = _Engine(load(flags_of(keywords), bars))
        _first_process = self._engine.pid
        self._entries: dict[int, _Entry] = {}
        self._keys = itertools.count(1)
        self._draining = threading.Lock()
        self._starting = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._close = weakref.finalize(self, self._engine.close)
        self.info: dict[str, Any] = json.loads(abi.engine_info(self._engine.handle))

    def close(self) -> None:
        """Cancels what runs, gives it its last output, and frees the model. What is called
        afterwards fails."""
        if not self._close.alive or self._engine.pid != os.getpid():
            return
        while self._entries:
            for entry in list(self._entries.values()):
                if entry.number is not None:
                    self.cancel(entry.number)
            self.pump(timeout_ms=20)
        self._close()

    @property
    def handle(self) -> ctypes.c_void_p:
        """The engine's, if it may be used here and now."""
        if self._engine.pid != os.getpid():
            raise ForkError(
                f"this engine was made in process {self._engine.pid} and does not work in its fork "
                f"{os.getpid()}: threads do not survive fork(); make the engine in the child, "
                "before its parent makes one, or start children by "
                "multiprocessing.get_context('spawn')"
            )
        if not self._close.alive:
            raise RuntimeError("the engine is shut down")
        return self._engine.handle

    @staticmethod
    def needs(function: str, what: str) -> None:
        """Raises NotServed if the library has no function of this name, which gives `what`."""
        if getattr(abi, function) is None:
            version = abi.version().decode()
            raise NotServed(f"this libkeel, version {version}, gives no {what}; a later one does")

    # ---- requests

    def submit(self, request: Request, sink: Sink) -> int:
        """Queues a request and returns its id. `sink` gets each of its deltas in order, on any
        thread, maybe before this returns; it must be quick and must not raise."""
        key, number = next(self._keys), ctypes.c_uint64()
        self._entries[key] = entry = _Entry(sink)
        try:
            abi.check(
                abi.engine_submit(self.handle, request.handle, None, key, ctypes.byref(number))
            )
        except BaseException:
            del self._entries[key]
            raise
        entry.number = number.value
        return number.value

    def cancel(self, number: int) -> None:
        """Ends a request soon, if it has not ended; its last delta has finish reason "abort". An
        engine that is shut down, or another process's, has no requests here."""
        if self._close.alive and self._engine.pid == os.getpid():
            abi.engine_cancel(self._engine.handle, number)

    def pump(self, timeout_ms: int = 0) -> None:
        """Gives the outputs that wait to their sinks."""
        outputs, n = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_size_t()
        places = ctypes.byref(outputs), ctypes.byref(n)
        with self._draining:
            if not self._close.alive or abi.engine_drain(
                self._engine.handle, timeout_ms, 0, *places
            ):
                return  # another thread was first
            for output in outputs[: n.value]:
                key = abi.output_user(output)
                entry = self._entries[key]
                delta = read_delta(output, entry.first, self.token_text)
                entry.first = False
                if delta.last:
                    del self._entries[key]
                entry.sink(delta)

    def start_reader(self) -> None:
        """Has a thread that pumps, for those who wait without an event loop."""
        usable = self.handle
        with self._starting:
            if usable and self._engine.thread is None:
                arguments = (weakref.ref(self), self._engine.fd, self._engine.stop_reader)
                thread = threading.Thread(target=_read, args=arguments, name="keel", daemon=True)
                self._engine.thread = thread
                thread.start()

    async def stream(self, request: Request) -> AsyncGenerator[Delta, None]:
        """The deltas of a request. Its end by another way than the last delta, as when the task is
        cancelled, cancels the request."""
        loop = asyncio.get_running_loop()
        deltas: asyncio.Queue[Delta] = asyncio.Queue()

        def sink(delta: Delta) -> None:
            # Not put at once, even on the loop's thread: what another thread gave may still be on
            # its way.
            with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(deltas.put_nowait, delta)

        self._watch(loop)
        try:
            # Templates, tokenizer and grammar take their time: not on the loop's thread.
            submitting = loop.run_in_executor(None, self.submit, request, sink)
            try:
                number = await asyncio.shield(submitting)
            except asyncio.CancelledError:
                submitting.add_done_callback(self._cancel_submitted)
                raise
            last = False
            try:
                while not last:
                    delta = await deltas.get()
                    last = delta.last
                    yield delta
            finally:
                if not last:
                    self.cancel(number)
        finally:
            self._unwatch(loop)

    def _cancel_submitted(self, submitted: asyncio.Future[int]) -> None:
        if submitted.exception() is None:
            self.cancel(submitted.result())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._loops.get(loop):
            loop.add_reader(self._engine.fd, self.pump)
        self._loops[loop] = self._loops.get(loop, 0) + 1

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loops[loop] -= 1
        if not self._loops[loop]:
            del self._loops[loop]
            if not loop.is_closed():
                loop.remove_reader(self._engine.fd)

    # ---- text

    def tokenize(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text."""
        data = text.encode()
        found = abi.collect(abi.engine_tokenize, self.handle, data, len(data), add_special_tokens)
        return list(memoryview(found).cast("i"))

    def detokenize(self, token_ids: list[int], skip_special_tokens: bool = False) -> str:
        """The text of token ids."""
        ids = (ctypes.c_int32 * len(token_ids))(*token_ids)
        found = abi.collect(abi.engine_detokenize, self.handle, ids, len(ids), skip_special_tokens)
        return found.decode()

    @functools.cached_property
    def token_text(self) -> Callable[[int], str]:
        """What a token stands for inside of a text; parts of a character come out as U+FFFD."""
        engine = self._engine  # not self: the cache would keep the session

        @functools.lru_cache(maxsize=1 << 16)
        def text(token: int) -> str:
            sink_arguments = (engine.handle, token)
            call = abi.engine_token_bytes
            found = abi.collect(lambda *a: call(*a, None), *sink_arguments)
            return found.decode(errors="replace")

        return text

    def metrics(self) -> str:
        """The engine's counters, in Prometheus' text format."""
        return abi.collect(abi.engine_metrics, self.handle).decode()


def _read(session: weakref.ref[Session], fd: int, stop: int) -> None:
    """Pumps until `stop` is readable or the session is gone."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(stop, select.POLLIN)
    while not any(ready == stop for ready, _ in poll.poll()):
        alive = session()
        if alive is None:
            return
        alive.pump()
        del alive  # maybe the last reference: then the engine is closed here
        if session() is None:
            return
