"""SGLang's and vLLM's routers in front of two servers of the demo model: answers come from both,
streams pass, prompts that begin alike go to one server."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

import tests.python.testing as testing

SERVER = testing.ROOT / "apps/server/server"


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def post(port: int, path: str, body: dict) -> bytes:
    """The answer to a request."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def get(port: int, path: str) -> str:
    """The answer to a GET."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return response.read().decode()


@contextlib.contextmanager
def running(command: list, port: int, path: str = "/health"):
    """A program that answers at `port` while the block runs."""
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                get(port, path)
                break
            if program.poll() is not None:
                raise AssertionError(f"{command[0]} ended with {program.returncode}")
            time.sleep(0.1)
        yield port
    finally:
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(timeout=20)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


class RoutersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.servers = []
        for _ in range(2):
            port = free_port()
            command = [SERVER, "--model", testing.MODEL, "--served-model-name", "demo"]
            stack.enter_context(running([*command, "--port", str(port)], port))
            cls.servers.append(port)
        cls.urls = [f"http://127.0.0.1:{port}" for port in cls.servers]

    def served(self) -> list[float]:
        """Requests that each server has finished."""
        name = "vllm:request_success_total"
        return [testing.metric(get(port, "/metrics"), name) for port in self.servers]

    def through(self, command: list) -> None:
        """Asks by a router, which is given a port to listen at."""
        port = free_port()
        with running([*command, "--host", "127.0.0.1", "--port", str(port)], port):
            golden = testing.goldens(1)[0]
            greedy = {"model": "demo", "temperature": 0, "max_tokens": 48}
            before = self.served()
            chat = {**greedy, "messages": golden["messages"]}
            answer = json.loads(post(port, "/v1/chat/completions", chat))
            self.assertEqual(answer["choices"][0]["message"]["content"], golden["text"])
            events = post(port, "/v1/chat/completions", {**chat, "stream": True}).decode()
            deltas = [json.loads(e[6:]) for e in events.split("\n\n") if e.startswith("data: {")]
            pieces = [d["choices"][0]["delta"].get("content") or "" for d in deltas if d["choices"]]
            self.assertEqual("".join(pieces), golden["text"])
            for _ in range(6):
                post(
                    port, "/v1/completions", {**greedy, "prompt": "Define: river", "max_tokens": 2}
                )
            after = self.served()
            self.assertEqual(sum(after) - sum(before), 8)

    def test_sglang_router(self):
        self.through(
            [sys.executable, "-m", "sglang_router.launch_router", "--policy", "cache_aware"]
            + ["--worker-urls", *self.urls]
        )

    def test_vllm_router(self):
        program = shutil.which("vllm-router")
        self.assertIsNotNone(program)
        self.through([program, "--policy", "cache_aware", "--worker-urls", *self.urls])


if __name__ == "__main__":
    os.environ.setdefault("RUST_LOG", "warn")
    unittest.main()
