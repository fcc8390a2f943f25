"""Huge requests, four at once: refused or answered without much memory, which comes back, and while
they are read the server goes on answering others."""

import concurrent.futures
import json
import pathlib
import threading
import time
import unittest
from typing import Any

from tests.server.serving import Response, Server, wait_until

MIB = 1 << 20
AT_ONCE = 4
WORDS = "hello " * 1_700_000  # 10 MB
HEALTH_SECONDS = 5.0  # tens of milliseconds alone; another test may have the processors
# A body, its values, and messages and their template's text some times over.
MAX_GROWTH = 20 * AT_ONCE * len(WORDS)
MAX_KEPT = 96 * MIB  # what the heap of each of some threads keeps of its first large request


def huge_bodies() -> dict[str, tuple[str, dict[str, Any], int]]:
    """What is large, and path, body and the status of the answer."""
    schema = {
        "type": "object",
        "properties": {f"key_{i}": {"type": "string"} for i in range(200_000)},
    }
    tool = {"type": "function", "function": {"name": "f", "description": WORDS, "parameters": {}}}
    hello = [{"role": "user", "content": "hello"}]
    chat, text = "/v1/chat/completions", "/v1/completions"
    return {
        "prompt": (text, {"prompt": WORDS}, 400),
        "message": (chat, {"messages": [{"role": "user", "content": WORDS}]}, 400),
        "messages": (chat, {"messages": hello * 60_000}, 400),
        "more messages": (chat, {"messages": hello * 200_000}, 400),
        "unknown list": (text, {"prompt": "hello", "max_tokens": 1, "extra": [1] * 5_000_000}, 400),
        "unknown text": (text, {"prompt": "hello", "max_tokens": 1, "extra": WORDS}, 200),
        "tool": (chat, {"messages": hello, "tools": [tool], "max_tokens": 1}, 400),
        "schema": (text, {"prompt": "hello", "structured_outputs": {"json": schema}}, 400),
        "tokenize": ("/tokenize", {"prompt": WORDS}, 400),
    }


class Watch(threading.Thread):
    """The server's largest resident memory and slowest answer to /health until it is stopped."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.most_bytes, self.slowest_seconds = 0, 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            start = time.monotonic()
            assert self.server.get("/health").status == 200
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - start)
            self.most_bytes = max(self.most_bytes, resident_bytes(self.server))

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()


def resident_bytes(server: Server) -> int:
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    # Without mapped files: what of the weights was read stays.
    line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


class MemoryTest(unittest.TestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.server.post("/v1/completions", {"prompt": "hello", "max_tokens": 1})  # warms it up

    def at_once(self, path: str, body: str) -> list[Response]:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            calls = [pool.submit(self.server.request, "POST", path, body) for _ in range(AT_ONCE)]
            return [call.result() for call in calls]

    def test_huge_values_come_and_go(self) -> None:
        for what, (path, body, status) in huge_bodies().items():
            with self.subTest(what):
                text = json.dumps(body)
                before = resident_bytes(self.server)
                start = time.monotonic()
                with Watch(self.server) as watch:
                    answers = self.at_once(path, text)
                seconds = time.monotonic() - start
                self.assertEqual([answer.status for answer in answers], [status] * AT_ONCE,
                                 answers[0].body[:300])
                self.assertLess(max(len(answer.body) for answer in answers), 10_000)
                self.assertLess(watch.slowest_seconds, HEALTH_SECONDS)
                self.assertLess(watch.most_bytes - before, MAX_GROWTH)
                wait_until(lambda: resident_bytes(self.server) < before + MAX_KEPT,
                           "the memory is given back")
                print(
                    f"{what}: {len(text) / 1e6:.0f} MB x {AT_ONCE} in {seconds:.1f} s, /health at "
                    f"most {watch.slowest_seconds:.2f} s; resident {before // MIB} MiB, at most "
                    f"{watch.most_bytes // MIB}, then {resident_bytes(self.server) // MIB}"
                )


if __name__ == "__main__":
    unittest.main()
