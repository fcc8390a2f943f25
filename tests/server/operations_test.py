"""What docs/operations.md says of flags, TLS, sockets, limits, logs, metrics and health."""

import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import ssl
import subprocess
import tempfile
import unittest

from tests.server.serving import Server, run_to_end, wait_until

PAGE = pathlib.Path("docs/operations.md").absolute()
START = "./bazelw run //apps:server -- "
LONG = {"prompt": "A river is", "max_tokens": 500, "ignore_eos": True}
# So that an answer is still being made when the next call comes.
SLOW = ("--exec", "graph", "--threads", "1")


def make_certificate(folder: pathlib.Path) -> None:
    """Writes cert.pem and key.pem by the page's own command."""
    (command,) = re.findall(r"^openssl (?:.*\\\n)*.*\n", PAGE.read_text(), re.MULTILINE)
    subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True)


class OperationsTest(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def start(self, *flags: str, **options: object) -> Server:
        server = Server(*flags, **options)
        self.addCleanup(server.stop)
        return server

    def test_the_examples_of_the_page(self) -> None:
        (config,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        (self.folder / "keel.yaml").write_text(config)
        make_certificate(self.folder)
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        self.assertTrue(blocks)
        for block in blocks:
            (run,) = [line for line in block.splitlines() if line.startswith(START)]
            (curl,) = [line for line in block.splitlines() if line.startswith("curl ")]
            with self.subTest(run):
                server = self.start(
                    *shlex.split(run.removeprefix(START)),
                    env={"BUILD_WORKING_DIRECTORY": str(self.folder)},
                    certificate=self.folder / "cert.pem",
                )
                curl = curl.replace(":8000", f":{server.port}")
                asked = subprocess.run(
                    ["bash", "-c", curl + " --fail --silent --show-error"],
                    cwd=self.folder,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
                self.assertEqual(asked.returncode, 0, asked.stderr)
                self.assertIn(b"keel-demo" if "config" not in run else b"assistant", asked.stdout)
                server.stop()

    def test_the_command_line_overrules_the_environment_which_overrules_the_file(self) -> None:
        config = self.folder / "keel.yaml"
        config.write_text("served-model-name: file\nmax-model-len: 100\nblock-size: 32\n")
        server = self.start(
            "--served-model-name",
            "line",
            env={
                "KEEL_CONFIG": str(config),
                "KEEL_MAX_MODEL_LEN": "200",
                "KEEL_SERVED_MODEL_NAME": "environment",
            },
        )
        (model,) = server.get("/v1/models").json()["data"]
        self.assertEqual((model["id"], model["max_model_len"]), ("line", 200))
        self.assertIn('block_size="32"', server.get("/metrics").body.decode())

    def test_command_lines_of_other_servers_are_taken(self) -> None:
        for command in (
            "--task generate --device cpu --enable-chunked-prefill -tp 1 --max-model-len 1024",
            "--is-embedding=false --load-format auto --disable-radix-cache --page-size 32",
            "--hostname 127.0.0.1 --num-shard 1 --max-total-tokens 100 --json-output",
        ):
            with self.subTest(command):
                server = self.start(*shlex.split(command))
                self.assertEqual(server.post("/v1/completions", {"prompt": "A"}).status, 200)
                server.stop()
        for flag, words in (
            ("--gpu-memory-utilization", "--kv-cache-memory-share or --kv-cache-memory-bytes do"),
            ("--enable-lora", "LoRA is not served yet"),
        ):
            ended = run_to_end(flag, "0.9")
            self.assertEqual(ended.returncode, 2)
            self.assertIn(f"there is no flag {flag} here; {words}", ended.stderr)

    def test_a_mistake_in_the_file_is_said_with_its_line(self) -> None:
        config = self.folder / "keel.yaml"
        for text, words in (
            ("max-model-len: 10\nmodle: x\n", "keel.yaml, line 2: unknown flag --modle; did you"),
            ("device: cuda\n", "line 1: there is no flag --device here; all runs on the CPU"),
            ("max-num-seqs: many\n", "line 1: --max-num-seqs is 'many', expected a whole number"),
        ):
            config.write_text(text)
            ended = run_to_end("--config", str(config))
            self.assertEqual(ended.returncode, 2)
            self.assertIn(words, ended.stderr)

    def test_a_new_certificate_is_shown_after_sighup(self) -> None:
        make_certificate(self.folder)
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        flags = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key))
        server = self.start(*flags, certificate=certificate)
        events = server.stream("/v1/completions", {"prompt": "A", "max_tokens": 5})
        self.assertTrue(list(events))

        def shown() -> str:
            return ssl.get_server_certificate((server.host, server.port))

        old = shown()
        make_certificate(self.folder)
        self.assertEqual(shown(), old)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: shown() != old, "the new certificate is shown")
        new = shown()
        key.write_text("no key")
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(server.get("/health").status, 200)
        self.assertEqual(shown(), new)
        # Plain HTTP is no TLS; a client that goes is noticed through TLS, too.
        with self.assertRaises((http.client.HTTPException, ConnectionError)):
            plain = http.client.HTTPConnection(server.host, server.port, timeout=20)
            plain.request("GET", "/health")
            plain.getresponse()
        running = server.stream("/v1/completions", {**LONG, "max_tokens": 2000})
        next(iter(running))
        running.close()
        wait_until(
            lambda: server.metric("vllm:request_success_total", 'reason="abort"') == 1,
            "the call of the client that went is aborted",
        )
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)

    def test_a_socket_is_gone_at_the_end(self) -> None:
        path = self.folder / "keel.sock"
        server = self.start("--uds", str(path))
        self.assertEqual(server.get("/health").status, 200)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertFalse(path.exists())

    def test_too_much_at_once_is_refused(self) -> None:
        server = self.start("--max-num-seqs=1", "--max-queued-requests=1", *SLOW)
        streams = [server.stream("/v1/completions", {**LONG, "max_tokens": 2000})]
        next(iter(streams[0]))
        streams.append(server.stream("/v1/completions", LONG))
        wait_until(lambda: server.metric("vllm:num_requests_waiting") == 1, "one waits")
        refused = server.post("/v1/completions", LONG)
        self.assertEqual(refused.status, 503)
        self.assertEqual(refused.headers["Retry-After"], "1")
        refused = server.post("/generate", {"inputs": "A river is"})
        self.assertEqual(refused.status, 429)
        self.assertEqual(refused.json()["error_type"], "overloaded")
        for stream in streams:
            stream.close()

    def test_the_log_is_json_and_says_nothing_of_prompts(self) -> None:
        log = self.folder / "log"
        trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        with log.open("wb") as file:
            server = self.start("--log-format", "json", log=file)
            server.request(
                "POST",
                "/v1/completions",
                json.dumps({"prompt": "A secret river is", "max_tokens": 2, "ignore_eos": True}),
                {"X-Request-Id": "mine", "traceparent": f"00-{trace}-{span}-01"},
            )
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
        text = log.read_text()
        self.assertNotIn("secret", text)
        lines = [json.loads(line) for line in text.splitlines()]
        (call,) = [line for line in lines if line.get("request_id") == "mine"]
        self.assertEqual((call["method"], call["path"]), ("POST", "/v1/completions"))
        self.assertEqual((call["status"], call["completion_tokens"]), (200, 2))
        self.assertEqual((call["trace_id"], call["span_id"]), (trace, span))
        self.assertGreater(call["prompt_tokens"], 0)
        self.assertRegex(call["time"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")

    def test_metrics_have_the_names_of_the_dialect(self) -> None:
        for dialect, name in (("sglang", "sglang:num_queue_reqs"), ("tgi", "tgi_queue_size")):
            server = self.start("--metrics-dialect", dialect)
            self.assertEqual(server.metric(name), 0)
            self.assertNotIn(b"vllm:num_requests_waiting ", server.get("/metrics").body)
            server.stop()

    def test_an_ending_server_is_alive_and_not_ready(self) -> None:
        server = self.start("--shutdown-delay-seconds", "3")
        self.assertEqual(server.get("/live").status, 200)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/ready").status == 503, "GET /ready is 503")
        self.assertEqual(server.get("/live").status, 200)
        self.assertEqual(server.wait(), 0)

    def test_slow_heads_and_bodies_end(self) -> None:
        server = self.start("--idle-timeout-seconds=1", "--body-timeout-seconds=1")
        for head in (b"GET /hea", b"POST /tokenize HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
            connection = server.connect()
            connection.connect()
            connection.sock.sendall(head)
            self.assertEqual(connection.sock.recv(100), b"")
            connection.close()


if __name__ == "__main__":
    os.environ.pop("KEEL_CONFIG", None)
    unittest.main()
