"""Requests share steps, and none changes what another says; who goes away frees its place."""

import json
import threading
import time
import unittest
from typing import Any

from tests.server.serving import Server, wait_until

COMPLETIONS = "/v1/completions"


def greedy(word: str, max_tokens: int) -> dict[str, Any]:
    return {
        "prompt": f"<|im_start|>user\nDefine: {word}<|im_end|>\n<|im_start|>assistant\n",
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "return_token_ids": True,
    }


class Client(threading.Thread):
    """Reads a streamed answer and keeps when it began and ended."""

    def __init__(self, server: Server, body: dict[str, Any]) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.text = ""
        self.token_ids: list[int] = []
        self.began = self.ended = 0.0
        self._stream = server.stream(COMPLETIONS, body)
        self.start()

    def run(self) -> None:
        for event in self._stream:
            choice = event["choices"][0]
            self.text += choice["text"]
            self.token_ids += choice["token_ids"]
            if self.token_ids and not self.has_begun.is_set():
                self.began = time.monotonic()
                self.has_begun.set()
        self.ended = time.monotonic()


class SharedStepsTest(unittest.TestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def alone(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.server.post(COMPLETIONS, body).json()["choices"][0]

    def test_a_newcomer_shares_the_steps_of_the_running_one(self) -> None:
        long, short = greedy("river", 300), greedy("piano", 20)
        running = Client(self.server, long)
        self.assertTrue(running.has_begun.wait(20))
        newcomer = Client(self.server, short)
        newcomer.join()
        running.join()
        self.assertLess(newcomer.began, running.ended)
        self.assertLess(newcomer.ended, running.ended)
        for client, body in ((running, long), (newcomer, short)):
            self.assertEqual(len(client.token_ids), body["max_tokens"])
            choice = self.alone(body)
            self.assertEqual(client.token_ids, choice["token_ids"])
            self.assertEqual(client.text, choice["text"])

    def test_many_at_once_say_what_each_says_alone(self) -> None:
        bodies = [greedy(word, 30) for word in ("river", "piano", "lake", "abandon", "ability")]
        clients = [Client(self.server, body) for body in bodies]
        for client in clients:
            client.join()
        for client, body in zip(clients, bodies, strict=True):
            self.assertEqual(client.token_ids, self.alone(body)["token_ids"])

    def check_that_leaving_cancels(self, body: dict[str, Any]) -> None:
        aborted = self.server.metric("vllm:request_success_total", 'finished_reason="abort"')
        connection = self.server.connect()
        connection.request("POST", COMPLETIONS, json.dumps(body), self.server.headers)
        running = "vllm:num_requests_running"
        wait_until(lambda: self.server.metric(running) == 1, "the request runs")
        connection.close()
        wait_until(lambda: self.server.metric(running) == 0, "the request ends", seconds=2)
        self.assertEqual(
            self.server.metric("vllm:request_success_total", 'finished_reason="abort"'),
            aborted + 1,
        )
        self.assertEqual(self.server.metric("vllm:kv_cache_usage_perc"), 0)

    def test_a_client_that_leaves_ends_its_stream(self) -> None:
        self.check_that_leaving_cancels({**greedy("river", 2000), "stream": True})

    def test_a_client_that_leaves_ends_its_request(self) -> None:
        self.check_that_leaving_cancels(greedy("lake", 2000))


if __name__ == "__main__":
    unittest.main()
