"""Keel in a Python program, by ctypes alone: a question to a model, its answer as it is made.

  embed.py LIBKEEL MODEL QUESTION
"""

import ctypes
import json
import sys
from ctypes import byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint64, c_void_p


class Keel:
    """The functions of sdk/abi/engine.h that this program needs; a status other than 0 raises."""

    TEXTS = {"keel_error_message": []}
    NUMBERS = {"keel_output_is_last": [c_void_p]}
    FREES = {"keel_options_free", "keel_engine_free", "keel_request_free"}
    CALLS = {
        "keel_options_new": [c_void_p],
        "keel_options_set": [c_void_p, c_char_p, c_char_p],
        "keel_engine_new": [c_void_p, c_void_p],
        "keel_request_new": [c_void_p],
        "keel_request_set_messages": [c_void_p, c_char_p, c_size_t],
        "keel_request_set_int": [c_void_p, c_char_p, c_int64],
        "keel_request_set_float": [c_void_p, c_char_p, c_double],
        "keel_engine_submit": [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p],
        "keel_engine_poll": [c_void_p, c_uint64, c_int64, c_void_p],
        "keel_output_status": [c_void_p, c_void_p],
    }

    def __init__(self, path):
        self._library = ctypes.CDLL(path)
        for name, arguments in self.TEXTS.items():
            self._declare(name, arguments, c_char_p)
        for name, arguments in self.NUMBERS.items():
            self._declare(name, arguments, c_int32)
        for name in self.FREES:
            self._declare(name, [c_void_p], None)
        for name, arguments in self.CALLS.items():
            function = self._declare(name, arguments, c_int32)
            setattr(self, name, self._checked(function))
        text = self._declare("keel_output_text", [c_void_p, c_void_p], c_void_p)
        self._output_text = text

    def _declare(self, name, arguments, result):
        function = getattr(self._library, name)
        function.argtypes, function.restype = arguments, result
        setattr(self, name, function)
        return function

    def _checked(self, function):
        def call(*arguments):
            if function(*arguments) != 0:
                raise RuntimeError(self.keel_error_message().decode())

        return call

    def output_text(self, output):
        """The new text of an output, as bytes: they are whole characters."""
        size = c_size_t()
        return ctypes.string_at(self._output_text(output, byref(size)), size.value)


def ask(keel, model, question):
    """Prints the answer as it comes."""
    options, engine, request = c_void_p(), c_void_p(), c_void_p()
    try:
        keel.keel_options_new(byref(options))
        keel.keel_options_set(options, b"model", model.encode())
        keel.keel_engine_new(options, byref(engine))

        messages = json.dumps([{"role": "user", "content": question}]).encode()
        keel.keel_request_new(byref(request))
        keel.keel_request_set_messages(request, messages, len(messages))
        keel.keel_request_set_int(request, b"max_tokens", 64)
        keel.keel_request_set_float(request, b"temperature", 0)
        number, output = c_uint64(), c_void_p()
        keel.keel_engine_submit(engine, request, None, None, byref(number))

        while True:
            keel.keel_engine_poll(engine, number, -1, byref(output))
            print(keel.output_text(output).decode(), end="", flush=True)
            keel.keel_output_status(output, None)
            if keel.keel_output_is_last(output):
                print()
                return
    finally:
        keel.keel_request_free(request)
        keel.keel_engine_free(engine)
        keel.keel_options_free(options)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        ask(Keel(sys.argv[1]), *sys.argv[2:])
    except RuntimeError as error:
        sys.exit(str(error))
