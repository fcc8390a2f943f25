"""What somebody at a terminal sees: the curl first, a log that says what happens, an end that is
told."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
import unittest

from tests.server import serving

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
COLUMNS = 100


class Terminal:
    """A server whose standard streams are a terminal, with what it wrote there."""

    def __init__(self, *flags: str) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))

        def own_terminal() -> None:  # so that its Ctrl-C is the server's
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [serving.PROGRAM, "--port", "0", *flags],
            env={**serving.environment(), "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=own_terminal,  # noqa: PLW1509: no threads yet
        )
        os.close(theirs)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._mine, 4096)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self._written += data

    def lines(self) -> list[str]:
        """The lines that stay: what a later text on the same line replaced is gone."""
        shown = []
        for line in self._written.decode(errors="replace").replace("\r\n", "\n").split("\n"):
            stays = ESCAPE.sub("", line.rpartition("\r")[2]).rstrip()
            if stays:
                shown.append(stays)
        return shown

    def wait_for(self, words: str, seconds: float = serving.START_SECONDS) -> str:
        found: list[str] = []

        def has_come() -> bool:
            has_ended = self.process.poll() is not None
            found[:] = [line for line in self.lines() if words in line]
            if has_ended and not found:
                raise RuntimeError(f"the server ended without {words!r}: {self.lines()}")
            return bool(found)

        serving.wait_until(has_come, f"a line with {words!r}", seconds)
        return found[0]

    def press_ctrl_c(self) -> None:
        os.write(self._mine, b"\x03")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._mine)


class TerminalTest(unittest.TestCase):
    def setUp(self) -> None:
        self.terminal = Terminal()
        self.addCleanup(self.terminal.close)
        self.terminal.wait_for("serving on")
        curl = self.terminal.lines()[0]
        address = re.match(r"curl http://([\d.]+):(\d+)/v1/", curl)
        self.assertIsNotNone(address, self.terminal.lines())
        self.host, self.port = address[1], int(address[2])

    def ask(self, path: str, body: dict | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request(
            "GET" if body is None else "POST", path, None if body is None else json.dumps(body)
        )
        return connection.getresponse()

    def test_the_curl_is_the_first_line_and_works(self) -> None:
        body = re.search(r"-d '(.*)'", self.terminal.lines()[0])
        self.assertIsNotNone(body)
        self.assertEqual(self.ask("/v1/chat/completions", json.loads(body[1])).status, 200)

    def test_the_log_has_full_dates_and_no_polls(self) -> None:
        self.assertEqual(self.ask("/health").status, 200)
        self.assertEqual(self.ask("/v1/models").status, 200)
        line = self.terminal.wait_for("/v1/models")
        self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
        self.assertFalse([text for text in self.terminal.lines() if "/health" in text])

    def test_an_end_that_waits_says_so_and_a_second_ctrl_c_ends_at_once(self) -> None:
        body = {"prompt": "Once", "max_tokens": 2000, "ignore_eos": True, "stream": True}
        body["skip_special_tokens"] = False  # so that each token is an event
        response = self.ask("/v1/completions", body)
        self.assertEqual(response.status, 200)
        response.readline()  # it runs
        self.terminal.press_ctrl_c()
        self.terminal.wait_for("ending; once more ends at once", 10)
        self.terminal.wait_for("ending: 1 requests run, at most", 10)
        start = time.monotonic()
        self.terminal.press_ctrl_c()
        self.terminal.process.wait(10)
        self.assertLess(time.monotonic() - start, 5)


if __name__ == "__main__":
    unittest.main()
