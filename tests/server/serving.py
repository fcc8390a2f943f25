"""The real server for tests: started on a free port, asked over HTTP, stopped at the end."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

PROGRAM = pathlib.Path("apps/server/server").absolute()
START_SECONDS = 60
ANSWER_SECONDS = 60


def environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    # One thread: on a busy machine, threads that share work this small wait for each other.
    return {**os.environ, "OMP_NUM_THREADS": "1", **(changes or {})}


def run_to_end(*flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected to end by itself."""
    return subprocess.run(
        [PROGRAM, "--port", "0", *flags],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = 20, pause: float = 0.01
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(pause)


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> dict[str, Any]:
        return self.json()["error"]


class UnixConnection(http.client.HTTPConnection):
    """To a server on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)


class Stream:
    """A streamed answer: iterate over its events, or close it in the middle."""

    def __init__(self, server: Server, path: str, body: dict[str, Any]) -> None:
        self._connection = server.connect()
        self._connection.request("POST", path, json.dumps({**body, "stream": True}), server.headers)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            raise RuntimeError(f"{path}: {self._response.status} {self._response.read()!r}")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self._response.readline():
            data = line.removeprefix(b"data: ").strip()
            if data == b"[DONE]":
                self.close()
                return
            if data:
                yield json.loads(data)
        raise RuntimeError("the stream ended without [DONE]")

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class Server:
    """A running server; a context manager.

    Its stderr is the test's, which Bazel shows when the test fails, or goes to `log`. Of a server
    with TLS, `certificate` is the file that vouches for it.
    """

    def __init__(
        self,
        *flags: str,
        env: dict[str, str] | None = None,
        api_key: str | None = None,
        certificate: pathlib.Path | None = None,
        log: IO[bytes] | None = None,
        program: pathlib.Path = PROGRAM,
    ) -> None:
        self.headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self.headers["Authorization"] = f"Bearer {api_key}"
        self.process = subprocess.Popen(
            [program, "--port", "0", *flags],
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert self.process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        self.first_line = self.process.stdout.readline()
        watchdog.cancel()
        address = re.match(
            r"curl (?:--unix-socket (\S+) )?(https?)://([\w.]+)(?::(\d+))?/", self.first_line
        )
        if address is None:
            self.process.kill()
            raise RuntimeError(
                f"the server wrote {self.first_line!r} and ended with {self.process.wait()}"
            )
        self.socket_path, self.scheme = address[1], address[2]
        self.host, self.port = address[3], int(address[4] or 0)
        self.certificate = certificate
        wait_until(lambda: self.get("/health").status == 200, "GET /health is 200")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def stop(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """The exit status of a server that ends by itself."""
        status = self.process.wait(timeout=ANSWER_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def connect(self) -> http.client.HTTPConnection:
        if self.socket_path:
            return UnixConnection(self.socket_path)
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=self.certificate)
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=ANSWER_SECONDS, context=context
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_SECONDS)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        connection = self.connect()
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Response:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> Response:
        return self.request("POST", path, json.dumps(body))

    def stream(self, path: str, body: dict[str, Any]) -> Stream:
        return Stream(self, path, body)

    def metric(self, name: str, label: str = "") -> float:
        """The sum of the samples called `name` whose labels hold `label` ('reason="abort"')."""
        samples = [
            line.rsplit(" ", 1)
            for line in self.get("/metrics").body.decode().splitlines()
            if line.startswith((name + "{", name + " ")) and label in line
        ]
        if not samples:
            raise KeyError(f"/metrics has no {name} {label}")
        return sum(float(value) for _, value in samples)
