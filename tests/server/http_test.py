"""The server as an HTTP server: what it answers where, to whom, and how it ends."""

import http.client
import json
import signal
import socket
import time
import unittest
from collections.abc import Iterator
from typing import Any

from tests.server.serving import Server, wait_until

STORY = {
    "prompt": "<|im_start|>user\nDefine: river<|im_end|>\n<|im_start|>assistant\n",
    "temperature": 0,
    "ignore_eos": True,
    "skip_special_tokens": False,  # so that each token is an event
}
METRICS = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:prefix_cache_queries_total",
    "vllm:prefix_cache_hits_total",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds_count",
    "vllm:inter_token_latency_seconds_count",
    "vllm:e2e_request_latency_seconds_count",
    "vllm:iteration_tokens_total_count",
)


def read_all(client: socket.socket) -> bytes:
    content = b""
    while part := client.recv(1 << 16):
        content += part
    return content


# Long enough for an end in the midst of a long answer.
SLOW = ("--exec", "graph", "--threads", "1")


class HttpTest(unittest.TestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--max-logprobs", "250")
        cls.addClassCleanup(cls.server.stop)

    def socket(self) -> socket.socket:
        client = socket.create_connection((self.server.host, self.server.port), timeout=20)
        self.addCleanup(client.close)
        return client

    def send_raw(self, content: bytes) -> bytes:
        client = self.socket()
        client.sendall(content)
        return read_all(client)

    def test_health(self) -> None:
        for path in ("/health", "/ping"):
            response = self.server.get(path)
            self.assertEqual((response.status, response.body), (200, b""))

    def test_whoever_looks_sees_what_there_is(self) -> None:
        index = self.server.get("/")
        self.assertEqual(index.status, 200)
        self.assertIn(b"POST /v1/chat/completions\n", index.body)

    def test_what_routers_ask_for(self) -> None:
        model = self.server.get("/model_info").json()
        self.assertEqual(model["served_model_name"], "keel-demo")
        self.assertEqual(self.server.get("/server_info").json()["max_model_len"], 2048)
        self.assertEqual(self.server.get("/load").json(), {"server_load": 0})

    def test_a_slash_at_the_end(self) -> None:
        answer = self.server.post("/v1/completions/", {**STORY, "max_tokens": 2})
        self.assertEqual(answer.status, 200)

    def test_version(self) -> None:
        self.assertRegex(self.server.get("/version").json()["version"], r"^\d+\.\d+\.\d+")

    def test_metrics(self) -> None:
        before = self.server.metric("vllm:generation_tokens_total")
        self.server.post("/v1/completions", {**STORY, "max_tokens": 5})
        response = self.server.get("/metrics")
        self.assertIn("text/plain", response.headers["Content-Type"])
        for name in METRICS:
            self.server.metric(name, 'model_name="')
        self.server.metric("keel:model_info", 'model_impl="native"')
        self.assertEqual(self.server.metric("vllm:generation_tokens_total"), before + 5)

    def test_models(self) -> None:
        body = self.server.get("/v1/models").json()
        self.assertEqual(body["object"], "list")
        (model,) = body["data"]
        self.assertEqual(model["id"], "keel-demo")
        self.assertEqual(model["object"], "model")
        self.assertEqual(model["max_model_len"], 2048)
        self.assertIn("in-tree", model["keel"]["plugin"])
        self.assertEqual(model["keel"]["model_impl"], "native")
        self.assertEqual(model["keel"]["model_impl_source"], "in-tree")
        self.assertIn("auto: in-tree serves", model["keel"]["model_impl_reason"])
        self.assertEqual(model["state"], "ready")
        self.assertEqual(self.server.get("/v1/models/keel-demo").json(), model)
        info = self.server.get("/info").json()  # with text-generation-inference's fields beside
        self.assertEqual({key: info[key] for key in model["keel"]}, model["keel"])

    def test_tokenize(self) -> None:
        tokens = self.server.post("/tokenize", {"prompt": "A river"}).json()["tokens"]
        text = self.server.post("/detokenize", {"tokens": tokens}).json()["prompt"]
        self.assertEqual(text, "A river")

    def test_an_invocation(self) -> None:
        chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        for body, kind in (
            (chat, "chat.completion"),
            ({**STORY, "max_tokens": 2}, "text_completion"),
        ):
            answer = self.server.post("/invocations", body)
            self.assertEqual((answer.status, answer.json()["object"]), (200, kind))

    def test_the_form_of_a_stream(self) -> None:
        body = {**STORY, "max_tokens": 5, "stream": True}
        response = self.server.post("/v1/completions", body)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/event-stream; charset=utf-8")
        self.assertEqual(response.headers["Cache-Control"], "no-cache")
        self.assertEqual(response.headers["Transfer-Encoding"], "chunked")
        *events, end, rest = response.body.split(b"\n\n")
        self.assertEqual((end, rest), (b"data: [DONE]", b""))
        for event in events:
            self.assertTrue(event.startswith(b"data: {"), event)
            self.assertEqual(json.loads(event[6:])["object"], "text_completion")

    def test_connections_stay(self) -> None:
        connection = self.server.connect()
        self.addCleanup(connection.close)
        sockets = set()
        for method, path, body in (
            ("GET", "/health", None),
            ("GET", "/nowhere", None),
            ("POST", "/v1/completions", json.dumps({**STORY, "max_tokens": 2})),
            ("POST", "/v1/completions", json.dumps({**STORY, "max_tokens": 2, "stream": True})),
            ("POST", "/v1/completions", "no json"),
            ("GET", "/v1/models", None),
        ):
            connection.request(method, path, body)
            connection.getresponse().read()
            sockets.add(connection.sock)
        self.assertEqual(len(sockets), 1)
        self.assertIsNotNone(sockets.pop())

    def test_request_ids(self) -> None:
        given = self.server.get("/health", {"X-Request-Id": "my-id-1"})
        self.assertEqual(given.headers["X-Request-Id"], "my-id-1")
        self.assertEqual(len(self.server.get("/health").headers["X-Request-Id"]), 32)
        odd = self.server.get("/health", {"X-Request-Id": "a b"})
        self.assertNotEqual(odd.headers["X-Request-Id"], "a b")

    def test_head(self) -> None:
        get, head = self.server.get("/v1/models"), self.server.request("HEAD", "/v1/models")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(len(get.body)))

    def test_wrong_methods_and_paths(self) -> None:
        response = self.server.get("/v1/completions")
        self.assertEqual(response.status, 405)
        self.assertEqual(response.headers["Allow"], "OPTIONS, POST")
        self.assertEqual(response.error()["code"], "method_not_allowed")
        self.assertEqual(self.server.post("/health", {}).status, 405)
        self.assertEqual(self.server.request("BREW", "/health").status, 405)
        options = self.server.request("OPTIONS", "/v1/models")
        self.assertEqual((options.status, options.headers["Allow"]), (200, "OPTIONS, GET, HEAD"))
        response = self.server.get("/v1/nowhere?x=1")
        self.assertEqual(response.status, 404)
        self.assertIn("no endpoint /v1/nowhere;", response.error()["message"])

    def test_web_pages_are_given_nothing(self) -> None:
        response = self.server.get("/v1/models", {"Origin": "https://example.org"})
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)

    def test_pipelined_requests_are_answered_in_order(self) -> None:
        body = json.dumps({**STORY, "max_tokens": 20}).encode()
        answers = self.send_raw(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: one\r\n"
            b"Content-Length: %d\r\n\r\n%s"
            b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: two\r\n\r\n"
            b"GET /version HTTP/1.1\r\nHost: x\r\nX-Request-Id: three\r\nConnection: close\r\n\r\n"
            % (len(body), body)
        )
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK\r\n"), 3)
        places = [answers.find(b"X-Request-Id: " + name) for name in (b"one", b"two", b"three")]
        self.assertEqual(places, sorted(places))
        self.assertNotIn(-1, places)

    def test_what_is_no_http_is_refused(self) -> None:
        for content, status in (
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),  # TLS
            (b"GET /health HTTP/9.9\r\n\r\n", b"400"),
            (b"GET /health HTTP/1.1\r\nNo colon here\r\n\r\n", b"400"),
            (b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
            (b"POST /tokenize HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"431"),
            (b"POST /tokenize HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        ):
            with self.subTest(content[:40]):
                answer = self.send_raw(content)
                self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer[:200])
                self.assertIn(b'{"error":{"message":"', answer)
        self.assertEqual(self.server.get("/health").status, 200)

    def test_bodies_in_chunks(self) -> None:
        answer = self.send_raw(
            b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n"
            b'a\r\n{"prompt":\r\n5\r\n "A"}\r\n0\r\n\r\n'
        )
        self.assertIn(b'"count":1', answer)

    def test_bodies_that_wait_to_be_asked_for(self) -> None:
        client = self.socket()
        client.sendall(
            b"POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: 15\r\n\r\n"
        )
        self.assertEqual(client.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b'{"prompt": "A"}')
        self.assertIn(b'"count":1', read_all(client))

    def test_a_slow_reader_stops_nobody(self) -> None:
        # More than the sockets' buffers hold.
        body = json.dumps({**STORY, "max_tokens": 300, "logprobs": 200, "stream": True}).encode()
        slow = socket.socket()
        self.addCleanup(slow.close)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect((self.server.host, self.server.port))
        slow.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        for _ in range(3):
            answer = self.server.post("/v1/completions", {**STORY, "max_tokens": 10})
            self.assertEqual(answer.status, 200)
        wait_until(lambda: self.server.metric("vllm:num_requests_running") == 0, "it ends")
        content = read_all(slow)
        self.assertGreater(len(content), 1_000_000)
        self.assertTrue(content.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), content[-100:])


class GuardedTest(unittest.TestCase):
    """A server with keys and origins."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server(
            "--api-key=first",
            "--api-key=second",
            "--allowed-origin=https://example.org",
            "--served-model-name=mine",
            api_key="second",
        )
        cls.addClassCleanup(cls.server.stop)

    def test_keys(self) -> None:
        self.assertIn("-H 'Authorization: Bearer YOUR_KEY'", self.server.first_line)
        self.assertNotIn("second", self.server.first_line)
        self.assertEqual(self.server.get("/v1/models").json()["data"][0]["id"], "mine")
        for given in ("", "second", "Bearer third", "Bearer secon", "Bearer secondsecond"):
            for path in ("/v1/models", "/info"):
                response = self.server.get(path, {"Authorization": given})
                self.assertEqual(response.status, 401, given)
                self.assertEqual(response.error()["code"], "invalid_api_key")
        for path in ("/health", "/metrics", "/version"):
            self.assertEqual(self.server.get(path, {"Authorization": ""}).status, 200)

    def test_origins(self) -> None:
        header = "Access-Control-Allow-Origin"
        allowed = self.server.get("/v1/models", {"Origin": "https://example.org"})
        self.assertEqual(allowed.headers[header], "https://example.org")
        other = self.server.get("/v1/models", {"Origin": "https://example.com"})
        self.assertNotIn(header, other.headers)
        # What a browser asks before it sends a key.
        preflight = self.server.request(
            "OPTIONS",
            "/v1/chat/completions",
            headers={"Origin": "https://example.org", "Authorization": ""},
        )
        self.assertEqual(preflight.status, 200)
        self.assertIn("Authorization", preflight.headers["Access-Control-Allow-Headers"])


class EndTest(unittest.TestCase):
    def start(self, max_tokens: int, *flags: str) -> tuple[Server, Iterator[dict[str, Any]]]:
        """A server, and a stream that has begun."""
        server = Server(*flags)
        self.addCleanup(server.stop)
        stream = server.stream("/v1/completions", {**STORY, "max_tokens": max_tokens})
        self.addCleanup(stream.close)
        events = iter(stream)
        next(events)
        return server, events

    def takes_no_more(self, server: Server) -> bool:
        try:
            server.get("/health")
        except ConnectionError:
            return True
        return False

    def test_ctrl_c_lets_running_streams_end(self) -> None:
        server, events = self.start(max_tokens=200)
        server.process.send_signal(signal.SIGINT)
        choices = [event["choices"][0] for event in events]  # up to [DONE]
        self.assertEqual(choices[-1]["finish_reason"], "length")
        self.assertEqual(server.wait(), 0)
        self.assertTrue(self.takes_no_more(server))

    def test_ctrl_c_twice_ends_at_once(self) -> None:
        server, events = self.start(2000, *SLOW)
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: self.takes_no_more(server), "it takes no more connections")
        next(events)
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertLess(time.monotonic() - start, 1)
        with self.assertRaises((http.client.HTTPException, ConnectionError, RuntimeError)):
            list(events)

    def test_what_is_not_done_in_time_is_told_so(self) -> None:
        server, events = self.start(2000, "--drain-seconds", "0", *SLOW)
        server.process.send_signal(signal.SIGTERM)
        last = list(events)[-1]  # before [DONE]
        self.assertIn("the server is ending", last["error"]["message"])
        self.assertEqual(server.wait(), 0)

    def test_an_ending_server_is_not_ready_and_serves_on(self) -> None:
        server = Server("--shutdown-delay-seconds", "2")
        self.addCleanup(server.stop)
        self.assertEqual(server.get("/ready").status, 200)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/ready").status == 503, "GET /ready is 503")
        answer = server.post("/v1/completions", {**STORY, "max_tokens": 2})
        self.assertEqual(answer.status, 200)
        self.assertEqual(server.wait(), 0)

    def test_sigterm_ends_an_idle_server(self) -> None:
        server = Server()
        self.addCleanup(server.stop)
        idle = server.connect()  # kept alive
        self.addCleanup(idle.close)
        idle.request("GET", "/health")
        idle.getresponse().read()
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    unittest.main()
