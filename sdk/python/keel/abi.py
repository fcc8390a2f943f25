"""libkeel.so by ctypes: the functions of sdk/abi/engine.h under their names without `keel_`.

The library is built with the C++ ABI of one libtorch, that of the package torch beside it. That one
is mapped first, found without importing torch; a later or an earlier `import torch` shares it.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from .errors import KeelError, error_of

HERE = pathlib.Path(__file__).parent
TORCH = "2.11"  # the release whose C++ ABI the library has

Handle = c.c_void_p
BytesFn = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(c.c_char), c.c_size_t)
ProgressFn = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_int64, c.c_int64)
OutputFn = c.c_void_p  # always NULL: outputs are drained

_status = c.c_int32
_text = c.c_char_p
_size = c.c_size_t
_sizes = c.POINTER(c.c_size_t)
_ints = c.POINTER(c.c_int32)
_floats = c.POINTER(c.c_float)
_handles = c.POINTER(c.c_void_p)

# Functions that may take long: others run meanwhile. Name: (result, arguments).
SLOW = {
    "engine_new": (_status, [Handle, _handles]),
    "engine_free": (None, [Handle]),
    "engine_metrics": (_status, [Handle, BytesFn, c.c_void_p]),
    "engine_tokenize": (_status, [Handle, _text, _size, c.c_int32, BytesFn, c.c_void_p]),
    "engine_detokenize": (_status, [Handle, _ints, _size, c.c_int32, BytesFn, c.c_void_p]),
    "engine_submit": (_status, [Handle, Handle, OutputFn, c.c_void_p, c.POINTER(c.c_uint64)]),
    "engine_drain": (_status, [Handle, c.c_int64, _size, c.POINTER(_handles), _sizes]),
}

# Functions that only look something up or write it down: giving up the interpreter's lock for them
# would cost more than they do.
QUICK = {
    "version": (_text, []),
    "engine_abi_version": (c.c_uint32, []),
    "error_message": (_text, []),
    "error_detail": (_text, [_text]),
    "option_describe": (
        _status,
        [
            _size,
            c.POINTER(_text),
            c.POINTER(_text),
            c.POINTER(_text),
            c.POINTER(_text),
            c.POINTER(_text),
        ],
    ),
    "options_new": (_status, [_handles]),
    "options_free": (None, [Handle]),
    "options_set": (_status, [Handle, _text, _text]),
    "options_set_progress": (_status, [Handle, ProgressFn, c.c_void_p]),
    "engine_info": (_text, [Handle]),
    "engine_token_bytes": (_status, [Handle, c.c_int32, BytesFn, c.c_void_p, _ints]),
    "engine_event_fd": (_status, [Handle, _ints]),
    "engine_cancel": (_status, [Handle, c.c_uint64]),
    "request_new": (_status, [_handles]),
    "request_free": (None, [Handle]),
    "request_set_prompt_text": (_status, [Handle, _text, _size]),
    "request_set_prompt_tokens": (_status, [Handle, _ints, _size]),
    "request_set_messages": (_status, [Handle, _text, _size]),
    "request_set_int": (_status, [Handle, _text, c.c_int64]),
    "request_set_float": (_status, [Handle, _text, c.c_double]),
    "request_set_string": (_status, [Handle, _text, _text, _size]),
    "request_add_string": (_status, [Handle, _text, _text, _size]),
    "request_add_int": (_status, [Handle, _text, c.c_int64]),
    "request_add_logit_bias": (_status, [Handle, c.c_int32, c.c_double]),
    "output_user": (c.c_void_p, [Handle]),
    "output_request": (c.c_uint64, [Handle]),
    "output_index": (c.c_uint32, [Handle]),
    "output_text": (c.c_void_p, [Handle, _sizes]),
    "output_tokens": (_ints, [Handle, _sizes]),
    "output_logprob": (
        _status,
        [Handle, _size, _floats, c.POINTER(_ints), c.POINTER(_floats), _sizes],
    ),
    "output_prompt_logprob": (
        _status,
        [Handle, _size, _floats, c.POINTER(_ints), c.POINTER(_floats), _sizes],
    ),
    "output_cumulative_logprob": (c.c_double, [Handle]),
    "output_finish_reason": (_text, [Handle]),
    "output_stop_reason": (_text, [Handle]),
    "output_stop_token": (c.c_int32, [Handle]),
    "output_status": (_status, [Handle, c.POINTER(_text)]),
    "output_error_detail": (_text, [Handle, _text]),
    "output_prompt_tokens": (_ints, [Handle, _sizes]),
    "output_cached_tokens": (_size, [Handle]),
    "output_is_last": (c.c_int32, [Handle]),
}

# Quick, and of a later minor than the package needs: None where the library is older.
LATER = {
    "output_vector": (_floats, [Handle, _sizes]),
    "request_add_audio": (_status, [Handle, _floats, _size, c.c_int64]),
    "request_add_image": (_status, [Handle, Handle, c.c_int64, c.c_int64]),
    "request_add_media": (_status, [Handle, _text, c.c_void_p, _size, _text]),
    "request_add_media_url": (_status, [Handle, _text, _text, _size, _text]),
}
output_vector: Any = None

error_message: Any  # set with all others by _declare()
error_detail: Any


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The functions of the tables."""


def _map_libtorch() -> None:
    """Maps the libtorch of the package torch, where the loader finds it by its name afterwards."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"keel needs the package torch {TORCH}; pip install 'torch=={TORCH}.*'")
    root = pathlib.Path(next(iter(spec.submodule_search_locations)))
    found = re.search(r"__version__ = '([^']+)'", (root / "version.py").read_text(encoding="utf-8"))
    version = found.group(1) if found else "of an unknown version"
    if not version.startswith(TORCH + "."):
        raise ImportError(
            f"keel is built for torch {TORCH}, found {version} in {root}; "
            f"pip install 'torch=={TORCH}.*', or the keel that is built for that torch"
        )
    for name in ("libc10.so", "libtorch_cpu.so"):
        c.CDLL(str(root / "lib" / name))


def _load() -> str:
    """Path of the library, whose libtorch is mapped. KEEL_LIBRARY names another build of it, which
    brings its own."""
    given = os.environ.get("KEEL_LIBRARY")
    if given:
        return given
    library = HERE / "lib" / "libkeel.so.0"
    if not library.exists():
        raise ImportError(
            f"{library} is not there: install keel's wheel, or set KEEL_LIBRARY to a libkeel.so.0"
        )
    _map_libtorch()
    return str(library)


def _declare() -> None:
    path = _load()
    for library, functions in ((c.CDLL(path), SLOW), (c.PyDLL(path), QUICK)):
        for name, (result, arguments) in functions.items():
            function = getattr(library, "keel_" + name)
            function.restype, function.argtypes = result, arguments
            globals()[name] = function
    for name, (result, arguments) in LATER.items():
        function = getattr(c.PyDLL(path), "keel_" + name, None)
        if function is not None:
            function.restype, function.argtypes = result, arguments
        globals()[name] = function


_declare()


def last_error(status: int) -> KeelError:
    """The exception for what this thread's last call returned."""
    about = {name: error_detail(name.encode()).decode() for name in ("field", "flag", "file")}
    return error_of(status, error_message().decode(), **about)


def check(status: int) -> None:
    """Raises what a call returned, unless that is 0."""
    if status:
        raise last_error(status)


def collect(call, *arguments) -> bytes:
    """The bytes that a function with a sink gives: `call(*arguments, sink, NULL)`."""
    parts: list[bytes] = []
    sink = BytesFn(lambda _, data, n: parts.append(c.string_at(data, n)))
    check(call(*arguments, sink, None))
    return b"".join(parts)
