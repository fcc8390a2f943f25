"""Many streams at once: some are read slowly, some left, and in the midst of them the server ends.

A short form of it is a test; the long one is run by hand:

  ./bazelw run //tests/server:load_test -- --seconds 120 --streams 1000 --slow 200 --leaving 300
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import pathlib
import random
import resource
import signal
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field

from tests.server.serving import Server

TOKENS = 48
HEALTH_SECONDS = 10.0  # that a poll may take on a busy machine
END_SECONDS = 15  # that the end may take beyond --drain-seconds there
SAMPLES = 8  # of memory that are printed
MAX_GROWTH = 64  # MiB that the server may hold more at the end than after a third of the time


@dataclass
class Seen:
    """What the clients saw."""

    whole: int = 0  # streams that came to their end
    told: int = 0  # that ended by an error, as the server ended
    left: int = 0
    refused: int = 0
    tokens: int = 0
    slowest_health: float = 0
    gaps: list[float] = field(default_factory=list)  # between events that were read at once
    wrong: list[str] = field(default_factory=list)


class Client:
    """Asks for one stream after the other until it is told to stop."""

    def __init__(self, port: int, seen: Seen, kind: str, stop: asyncio.Event) -> None:
        self.port, self.seen, self.kind, self.stop = port, seen, kind, stop
        self.random = random.Random(id(self))

    async def run(self) -> None:
        while not self.stop.is_set():
            try:
                await self.stream()
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                # The server takes no more connections once it ends; a stream it lets end.
                if not self.stop.is_set():
                    self.seen.wrong.append(f"{self.kind}: {error!r}")
                return

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        client = socket.socket()
        if self.kind == "slow":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=client, limit=1 << 16)

    async def stream(self) -> None:
        reader, writer = await self.open()
        try:
            body = json.dumps(
                {
                    "prompt": f"A river {self.random.random()}",
                    "max_tokens": TOKENS,
                    "ignore_eos": True,
                    "stream": True,
                }
            ).encode()
            writer.write(
                b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 503 " in head.splitlines()[0]:
                self.seen.refused += 1
                await asyncio.sleep(1)
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.seen.wrong.append(f"{self.kind}: {head[:100]!r}")
                return
            try:
                await self.read_events(reader)
            except ConnectionError as error:  # what runs is let end, or told why not
                self.seen.wrong.append(f"{self.kind}: in a stream: {error!r}")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def read_events(self, reader: asyncio.StreamReader) -> None:
        leave_after = self.random.randrange(TOKENS // 2) if self.kind == "leaving" else None
        events = 0
        told = False
        before = None
        while line := await reader.readline():
            if line == b"data: [DONE]\n":
                self.seen.told += told
                self.seen.whole += not told
                return
            if not line.startswith(b"data: "):
                continue
            told = told or b'"error"' in line
            events += 1
            self.seen.tokens += 1
            if self.kind != "slow":
                now = time.monotonic()
                if before is not None:
                    self.seen.gaps.append(now - before)
                before = now
            if events == leave_after:
                self.seen.left += 1
                return
            if self.kind == "slow":
                await asyncio.sleep(0.05)
        self.seen.wrong.append(f"{self.kind}: a stream ended without [DONE]")


async def poll_health(port: int, seen: Seen, stop: asyncio.Event) -> None:
    while not stop.is_set():
        start = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        seen.slowest_health = max(seen.slowest_health, time.monotonic() - start)
        if not answer.startswith(b"HTTP/1.1 200"):
            seen.wrong.append(f"health: {answer[:100]!r}")
        await asyncio.sleep(0.2)


def memory_of(process: int) -> float:
    """MiB that a process holds."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def load(server: Server, arguments: argparse.Namespace) -> tuple[Seen, list[float], float]:
    """What the clients saw, MiB of the server from time to time, seconds that its end took."""
    seen, stop = Seen(), asyncio.Event()
    kinds = ["slow"] * arguments.slow + ["leaving"] * arguments.leaving
    kinds += ["reading"] * (arguments.streams - len(kinds))
    clients = [asyncio.create_task(Client(server.port, seen, kind, stop).run()) for kind in kinds]
    polls = asyncio.create_task(poll_health(server.port, seen, stop))
    memory = []
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        await asyncio.sleep(0.5)
        memory.append(memory_of(server.process.pid))
    stop.set()
    await polls
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)
    status = await asyncio.to_thread(server.wait)
    if status != 0:
        seen.wrong.append(f"the server ended with {status}")
    return seen, memory, time.monotonic() - start


def milliseconds(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "not measured"
    median, p99 = (1000 * statistics.quantiles(seconds, n=100)[i] for i in (49, 98))
    return f"median {median:.0f}, p99 {p99:.0f}, longest {1000 * max(seconds):.0f}"


def spread(memory: list[float]) -> str:
    last = len(memory) - 1
    return " ".join(f"{memory[i * last // (SAMPLES - 1)]:.0f}" for i in range(SAMPLES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--streams", type=int, default=120)
    parser.add_argument("--slow", type=int, default=24)
    parser.add_argument("--leaving", type=int, default=36)
    parser.add_argument("--drain-seconds", type=int, default=60)
    arguments = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    with Server(
        f"--max-queued-requests={2 * arguments.streams}",
        "--kv-cache-memory-bytes=32MiB",  # soon full, so that what grows is something else
        f"--drain-seconds={arguments.drain_seconds}",
        "--no-access-log",
    ) as server:
        seen, memory, ended = asyncio.run(load(server, arguments))
    print(
        f"{arguments.streams} streams at once for {arguments.seconds:g} s ({arguments.slow} slow, "
        f"{arguments.leaving} leaving), then SIGTERM amid them\n"
        f"streams: {seen.whole} whole, {seen.left} left, {seen.told} told that the server ends, "
        f"{seen.refused} refused, {len(seen.wrong)} wrong\n"
        f"events a second: {seen.tokens / arguments.seconds:.0f}\n"
        f"ms between events: {milliseconds(seen.gaps)}\n"
        f"MiB of the server, evenly over the time: {spread(memory)}; at most {max(memory):.0f}\n"
        f"seconds: slowest /health {seen.slowest_health:.2f}, the end {ended:.1f}"
    )
    growth = max(memory[len(memory) // 3 :]) - memory[len(memory) // 3]
    if growth > MAX_GROWTH:
        seen.wrong.append(f"memory grew by {growth:.0f} MiB")
    for words in seen.wrong[:20]:
        print("wrong:", words)
    too_slow = seen.slowest_health > HEALTH_SECONDS or ended > arguments.drain_seconds + END_SECONDS
    return 1 if seen.wrong or too_slow or seen.whole == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
