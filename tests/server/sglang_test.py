"""The native protocol of SGLang, as its clients see it."""

import json
import unittest
from typing import Any

from tests.server.serving import Server

PROMPT = "<|im_start|>user\nDefine: river<|im_end|>\n<|im_start|>assistant\n"


class SglangTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def generate(self, prompt: Any = PROMPT, **fields: Any) -> Any:
        params = {"temperature": 0, "max_new_tokens": 12, **fields.pop("params", {})}
        body = {"text": prompt, "sampling_params": params, **fields}
        response = self.server.post("/generate", body)
        self.assertEqual(response.status, 200, response.body)
        return response.json()

    def test_a_text_is_the_same_in_every_form(self) -> None:
        whole = self.generate()
        text, ids = whole["text"], whole["output_ids"]
        completion = self.server.post(
            "/v1/completions", {"prompt": PROMPT, "max_tokens": 12, "temperature": 0}
        )
        self.assertEqual(text, completion.json()["choices"][0]["text"])
        with_end = self.server.post("/detokenize", {"tokens": ids}).json()["prompt"]
        self.assertEqual(with_end.removesuffix("<|im_end|>"), text)
        events = list(
            self.server.stream(
                "/generate",
                {"text": PROMPT, "sampling_params": {"temperature": 0, "max_new_tokens": 12}},
            )
        )
        self.assertEqual(events[-1]["text"], text)
        for earlier, later in zip(events, events[1:], strict=False):
            self.assertTrue(later["text"].startswith(earlier["text"]))
        prompt_ids = self.server.post("/tokenize", {"prompt": PROMPT}).json()["tokens"]
        by_ids = self.server.post(
            "/generate",
            {"input_ids": prompt_ids, "sampling_params": {"temperature": 0, "max_new_tokens": 12}},
        )
        self.assertEqual(by_ids.json()["text"], text)

    def test_meta_info(self) -> None:
        meta = self.generate(rid="mine", params={"ignore_eos": True})["meta_info"]
        self.assertEqual(meta["id"], "mine")
        self.assertEqual(meta["finish_reason"], {"type": "length", "length": 12})
        self.assertEqual(meta["completion_tokens"], 12)
        self.assertGreater(meta["e2e_latency"], 0)

    def test_a_flushed_cache_is_empty(self) -> None:
        prompt = PROMPT * 8
        self.generate(prompt)
        meta = self.generate(prompt)["meta_info"]
        self.assertGreater(meta["cached_tokens"], 0)
        self.assertEqual(self.server.post("/flush_cache", {}).status, 200)
        self.assertEqual(self.generate(prompt)["meta_info"]["cached_tokens"], 0)

    def test_logprobs(self) -> None:
        meta = self.generate(return_logprob=True, logprob_start_len=2, top_logprobs_num=2)[
            "meta_info"
        ]
        self.assertEqual(meta["input_token_logprobs"][0][0], None)
        self.assertEqual(len(meta["input_token_logprobs"]), meta["prompt_tokens"] - 2)
        for token, top in zip(
            meta["output_token_logprobs"], meta["output_top_logprobs"], strict=True
        ):
            self.assertLess(token[0], 0)
            self.assertEqual(token[1], top[0][1])  # greedy

    def test_structured_output(self) -> None:
        self.assertRegex(self.generate(params={"regex": "[0-9]{4}"})["text"], r"^\d{4}$")
        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
        text = self.generate(params={"json_schema": json.dumps(schema), "max_new_tokens": 64})
        self.assertIsInstance(json.loads(text["text"])["a"], bool)

    def test_what_routers_and_clients_ask(self) -> None:
        info = self.server.get("/get_model_info").json()
        self.assertTrue(info["is_generation"])
        self.assertEqual(info["weight_version"], "default")
        self.assertIn("version", self.server.get("/get_server_info").json())
        self.assertEqual(self.server.get("/health_generate").status, 200)
        self.assertEqual(self.server.post("/abort_request", {"rid": "none"}).json()["aborted"], 0)

    def test_errors_have_its_form(self) -> None:
        response = self.server.post("/generate", {"text": "x", "sampling_params": {"top_p": 7}})
        self.assertEqual(response.status, 400)
        self.assertEqual(set(response.json()["error"]), {"message"})


if __name__ == "__main__":
    unittest.main()
