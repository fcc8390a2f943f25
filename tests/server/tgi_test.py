"""The native protocol of text-generation-inference, as its clients see it."""

import http.client
import json
import unittest
from typing import Any

from tests.server.serving import ANSWER_SECONDS, Server

PROMPT = "<|im_start|>user\nDefine: river<|im_end|>\n<|im_start|>assistant\n"


class TgiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def generate(self, path: str = "/generate", **parameters: Any) -> Any:
        response = self.server.post(path, {"inputs": PROMPT, "parameters": parameters})
        self.assertEqual(response.status, 200, response.body)
        return response.json()

    def stream(self, **parameters: Any) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection(
            self.server.host, self.server.port, timeout=ANSWER_SECONDS
        )
        self.addCleanup(connection.close)
        body = json.dumps({"inputs": PROMPT, "parameters": parameters})
        connection.request("POST", "/generate_stream", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertIn("text/event-stream", response.headers["Content-Type"])
        lines = [line for line in response.read().decode().split("\n") if line]
        self.assertTrue(all(line.startswith("data:{") for line in lines), lines)
        return [json.loads(line.removeprefix("data:")) for line in lines]

    def test_a_text_is_the_same_in_every_form(self) -> None:
        text = self.generate(max_new_tokens=12)["generated_text"]
        self.assertTrue(text)
        completion = self.server.post(
            "/v1/completions", {"prompt": PROMPT, "max_tokens": 12, "temperature": 0}
        )
        self.assertEqual(text, completion.json()["choices"][0]["text"])
        self.assertEqual(self.generate("/", max_new_tokens=12), [{"generated_text": text}])
        full = self.generate(max_new_tokens=12, return_full_text=True)
        self.assertEqual(full["generated_text"], PROMPT + text)
        events = self.stream(max_new_tokens=12, details=True)
        self.assertEqual(events[-1]["generated_text"], text)
        spoken = [event["token"]["text"] for event in events if not event["token"]["special"]]
        self.assertEqual("".join(spoken), text)
        self.assertEqual(events[-1]["details"]["generated_tokens"], len(events))

    def test_details(self) -> None:
        details = self.generate(
            max_new_tokens=3, details=True, decoder_input_details=True, top_n_tokens=2
        )["details"]
        self.assertEqual(details["finish_reason"], "length")
        self.assertEqual(len(details["tokens"]), 3)
        self.assertEqual([len(tokens) for tokens in details["top_tokens"]], [2, 2, 2])
        for token, top in zip(details["tokens"], details["top_tokens"], strict=True):
            self.assertEqual(token["id"], top[0]["id"])  # greedy
        self.assertIsNone(details["prefill"][0]["logprob"])
        self.assertLess(details["prefill"][1]["logprob"], 0)

    def test_a_grammar_and_a_stop_sequence(self) -> None:
        regex = {"type": "regex", "value": "[0-9]{4}"}
        self.assertRegex(self.generate(grammar=regex)["generated_text"], r"^\d{4}$")
        text = self.generate(max_new_tokens=12)["generated_text"]
        stop = text[2:5]
        stopped = self.generate(max_new_tokens=12, stop=[stop], details=True)
        self.assertTrue(stopped["generated_text"].endswith(stop))
        self.assertEqual(stopped["details"]["finish_reason"], "stop_sequence")

    def test_errors_have_its_form(self) -> None:
        for body, status, kind in (
            ({"parameters": {}}, 422, "validation"),
            ({"inputs": "x", "parameters": {"temperature": 0}}, 422, "validation"),
            ({"inputs": "x" * 10**7}, 422, "validation"),
        ):
            response = self.server.post("/generate", body)
            self.assertEqual(response.status, status)
            self.assertEqual(set(response.json()), {"error", "error_type"})
            self.assertEqual(response.json()["error_type"], kind)

    def test_info_and_health(self) -> None:
        info = self.server.get("/info").json()
        self.assertEqual(info["model_id"], "keel-demo")
        self.assertEqual(info["max_total_tokens"], info["max_model_len"])
        self.assertEqual(info["max_input_tokens"], info["max_total_tokens"] - 1)
        for path in ("/", "/health"):
            self.assertEqual(self.server.get(path).status, 200)


if __name__ == "__main__":
    unittest.main()
