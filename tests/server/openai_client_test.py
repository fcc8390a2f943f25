"""The official client of OpenAI against the server and its demo model."""

import json
import unittest
from typing import Any

import openai
from tests.server.serving import Server

MODEL = "keel-demo"
RIVER = [{"role": "user", "content": "Define: river"}]
ANSWER = "A river is a large natural stream of water."
# The same conversation as the chat template writes it, and its tokens.
PROMPT = "<|im_start|>user\nDefine: river<|im_end|>\n<|im_start|>assistant\n"
PROMPT_IDS = [1, 710, 201, 335, 28, 420, 2, 201, 1, 713, 201]
ANSWER_TOKENS = 11  # with the token that ends it


class OpenAiClientTest(unittest.TestCase):
    server: Server
    client: openai.OpenAI

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.client = openai.OpenAI(
            base_url=f"{cls.server.url}/v1", api_key="none", max_retries=0, timeout=60
        )
        cls.addClassCleanup(cls.client.close)

    def chat(self, **fields: Any) -> Any:
        return self.client.chat.completions.create(**{"model": MODEL, "messages": RIVER, **fields})

    def complete(self, **fields: Any) -> Any:
        return self.client.completions.create(**{"model": MODEL, "prompt": PROMPT, **fields})

    def test_models(self) -> None:
        models = list(self.client.models.list())
        self.assertEqual([model.id for model in models], [MODEL])
        self.assertEqual(models[0].owned_by, "keel")
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("another")

    def test_chat(self) -> None:
        response = self.chat()
        self.assertEqual(response.object, "chat.completion")
        self.assertEqual(response.model, MODEL)
        self.assertTrue(response.id.startswith("chatcmpl-"))
        (choice,) = response.choices
        self.assertEqual(choice.message.role, "assistant")
        self.assertEqual(choice.message.content, ANSWER)
        self.assertEqual(choice.finish_reason, "stop")
        self.assertIsNone(choice.logprobs)
        self.assertEqual(response.usage.prompt_tokens, len(PROMPT_IDS))
        self.assertEqual(response.usage.completion_tokens, ANSWER_TOKENS)
        self.assertEqual(response.usage.total_tokens, len(PROMPT_IDS) + ANSWER_TOKENS)

    def test_chat_remembers_earlier_turns(self) -> None:
        response = self.chat(
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "What is a river?"}]},
                {"role": "assistant", "content": ANSWER},
                {"role": "user", "content": "And a lake?"},
            ]
        )
        self.assertIn("lake", response.choices[0].message.content)

    def test_chat_streams(self) -> None:
        chunks = list(self.chat(stream=True))
        self.assertEqual({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual({chunk.choices[0].delta.role for chunk in chunks[1:]}, {None})
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), ANSWER)
        reasons = [chunk.choices[0].finish_reason for chunk in chunks]
        self.assertEqual(reasons, [None] * (len(chunks) - 1) + ["stop"])
        self.assertEqual({chunk.usage for chunk in chunks}, {None})
        self.assertGreater(len(chunks), 5)

    def test_chat_streams_usage(self) -> None:
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.prompt_tokens, len(PROMPT_IDS))
        self.assertEqual(chunks[-1].usage.completion_tokens, ANSWER_TOKENS)
        self.assertEqual({chunk.usage for chunk in chunks[:-1]}, {None})

    def test_chat_logprobs(self) -> None:
        response = self.chat(logprobs=True, top_logprobs=3)
        content = response.choices[0].logprobs.content
        self.assertEqual(len(content), ANSWER_TOKENS)
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            # Greedy: the token is the likeliest.
            self.assertEqual(token.top_logprobs[0].token, token.token)
            self.assertEqual(token.top_logprobs[0].logprob, token.logprob)
            logprobs = [top.logprob for top in token.top_logprobs]
            self.assertEqual(logprobs, sorted(logprobs, reverse=True))
        text = b"".join(bytes(token.bytes) for token in content[:-1])
        self.assertEqual(text.decode(), ANSWER)

    def test_chat_streams_logprobs(self) -> None:
        chunks = list(self.chat(stream=True, logprobs=True))
        logprobs = [chunk.choices[0].logprobs for chunk in chunks]
        tokens = [token for part in logprobs if part for token in part.content]
        self.assertEqual(len(tokens), ANSWER_TOKENS)

    def test_chat_n(self) -> None:
        response = self.chat(n=2, temperature=2, seed=7)
        self.assertEqual([choice.index for choice in response.choices], [0, 1])
        texts = {choice.message.content for choice in response.choices}
        self.assertEqual(len(texts), 2, texts)
        self.assertEqual(response.usage.prompt_tokens, len(PROMPT_IDS))

    def test_chat_streams_n(self) -> None:
        texts = {0: "", 1: ""}
        for chunk in self.chat(n=2, stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        self.assertEqual(texts, {0: ANSWER, 1: ANSWER})

    def test_chat_stop(self) -> None:
        for stop in ("natural", ["unheard of", "natural"]):
            choice = self.chat(stop=stop).choices[0]
            self.assertEqual(choice.message.content, "A river is a large ")
            self.assertEqual(choice.finish_reason, "stop")
        chunks = list(self.chat(stop="natural", stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, "A river is a large ")

    def test_chat_max_tokens(self) -> None:
        for field in ("max_tokens", "max_completion_tokens"):
            response = self.chat(**{field: 3})
            self.assertEqual(response.choices[0].finish_reason, "length")
            self.assertEqual(response.usage.completion_tokens, 3)

    def test_a_seed_repeats(self) -> None:
        texts = [
            self.chat(temperature=2, seed=seed).choices[0].message.content for seed in (1, 1, 2)
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_completions(self) -> None:
        for prompt in (PROMPT, PROMPT_IDS):
            response = self.complete(prompt=prompt)
            self.assertEqual(response.object, "text_completion")
            self.assertEqual(response.choices[0].text, ANSWER)
            self.assertEqual(response.choices[0].finish_reason, "stop")
            self.assertEqual(response.usage.prompt_tokens, len(PROMPT_IDS))

    def test_completions_of_several_prompts(self) -> None:
        lake = PROMPT.replace("river", "lake")
        for prompts in ([PROMPT, lake], [PROMPT_IDS, PROMPT_IDS]):
            response = self.complete(prompt=prompts, n=2)
            self.assertEqual([choice.index for choice in response.choices], [0, 1, 2, 3])
            texts = [choice.text for choice in response.choices]
            self.assertEqual(texts[:2], [ANSWER, ANSWER])
            self.assertEqual(texts[2], texts[3])
            self.assertIn("lake" if prompts[1] == lake else "river", texts[2])

    def test_completions_stream(self) -> None:
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].text for chunk in chunks[:-1])
        self.assertEqual(text, ANSWER)
        self.assertEqual(chunks[-2].choices[0].finish_reason, "stop")
        self.assertEqual(chunks[-1].usage.completion_tokens, ANSWER_TOKENS)

    def test_completions_have_a_default_length(self) -> None:
        response = self.complete(prompt="A", extra_body={"ignore_eos": True})
        self.assertEqual(response.usage.completion_tokens, 16)
        self.assertEqual(response.choices[0].finish_reason, "length")

    def test_completions_echo(self) -> None:
        self.assertEqual(self.complete(echo=True).choices[0].text, PROMPT + ANSWER)
        choice = self.complete(echo=True, max_tokens=0, logprobs=1).choices[0]
        self.assertEqual(choice.text, PROMPT)
        self.assertEqual(len(choice.logprobs.tokens), len(PROMPT_IDS))
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        for logprob in choice.logprobs.token_logprobs[1:]:
            self.assertLessEqual(logprob, 0)

    def test_completions_logprobs(self) -> None:
        logprobs = self.complete(logprobs=2).choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), ANSWER_TOKENS)
        self.assertEqual("".join(logprobs.tokens[:-1]), ANSWER)
        for token, logprob, top in zip(
            logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
        ):
            self.assertEqual(max(top, key=top.__getitem__), token)
            self.assertEqual(top[token], logprob)
        offsets = [len("".join(logprobs.tokens[:i])) for i in range(ANSWER_TOKENS)]
        self.assertEqual(logprobs.text_offset, offsets)

    def test_extensions(self) -> None:
        fields = {"return_token_ids": True, "ignore_eos": True, "min_tokens": 20, "top_k": 1}
        response = self.complete(max_tokens=20, extra_body=fields)
        self.assertEqual(response.choices[0].model_extra["prompt_token_ids"], PROMPT_IDS)
        self.assertEqual(len(response.choices[0].model_extra["token_ids"]), 20)

    def test_a_wrong_model_is_not_found(self) -> None:
        for call in (self.chat, self.complete):
            with self.assertRaises(openai.NotFoundError) as caught:
                call(model="gpt-4")
            self.assertEqual(caught.exception.code, "model_not_found")
            self.assertEqual(caught.exception.param, "model")
            self.assertIn("'gpt-4'", str(caught.exception))
            self.assertIn(MODEL, str(caught.exception))

    def test_what_is_not_served_is_named(self) -> None:
        weather = {"type": "function", "function": {"name": "weather", "parameters": {}}}
        for fields, param in (
            ({"tools": [weather]}, "tools"),
            ({"prediction": {"type": "content", "content": "A"}}, "prediction"),
        ):
            with self.subTest(fields):
                with self.assertRaises(openai.BadRequestError) as caught:
                    self.chat(**fields)
                self.assertEqual(caught.exception.code, "not_implemented")
                self.assertEqual(caught.exception.param, param)
                self.assertIn("not served", str(caught.exception))

    def test_the_answer_follows_the_schema(self) -> None:
        schema = {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "grün"]}, "big": {"type": "boolean"}},
            "required": ["colour", "big"],
            "additionalProperties": False,
        }
        strict = {"json": schema, "disable_any_whitespace": True}
        answer = self.chat(max_tokens=64, n=2, extra_body={"structured_outputs": strict})
        for choice in answer.choices:
            self.assertEqual(choice.finish_reason, "stop")
            value = json.loads(choice.message.content)
            self.assertEqual(sorted(value), ["big", "colour"])
            self.assertIn(value["colour"], ["red", "grün"])
        fmt = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
        text = self.chat(max_tokens=64, response_format=fmt).choices[0].message.content
        self.assertTrue(text.lstrip().startswith("{"), text)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(extra_body={"structured_outputs": {"regex": "(unclosed"}})
        self.assertIn("structured output", str(caught.exception))

    def test_beams_and_the_best_of_several(self) -> None:
        beams = self.complete(max_tokens=8, n=2, extra_body={"use_beam_search": True})
        self.assertEqual([choice.index for choice in beams.choices], [0, 1])
        self.assertNotEqual(beams.choices[0].text, beams.choices[1].text)
        best = self.complete(max_tokens=8, n=1, best_of=3, temperature=1, seed=1)
        self.assertEqual(len(best.choices), 1)

    def test_bad_fields_are_named(self) -> None:
        for call, fields, words in (
            (self.chat, {"temperature": "hot"}, '"hot" (a string), expected a number'),
            (self.chat, {"temperature": -1}, "temperature is -1"),
            (self.chat, {"top_p": 3}, "top_p is 3"),
            (self.chat, {"max_tokens": -5}, "max_tokens is -5"),
            (self.chat, {"max_tokens": 100000}, "max_model_len 2048"),
            (self.chat, {"n": 0}, "n is 0"),
            (self.chat, {"messages": []}, "messages is empty"),
            (self.chat, {"top_logprobs": 2}, "logprobs is not true"),
            (self.chat, {"logit_bias": {"a": 1}}, "logit_bias is"),
            (self.chat, {"stream_options": {"include_usage": True}}, "stream is not true"),
            (self.complete, {"prompt": []}, "prompt is a list of 0"),
            (self.complete, {"prompt": ""}, "prompt is empty"),
            (self.complete, {"logprobs": 99999}, "logprobs is 99999, expected 0 to 20"),
            (self.complete, {"prompt": [99999]}, "token id 99999, expected 0 to 9276"),
        ):
            with self.subTest(fields):
                with self.assertRaises(openai.BadRequestError) as caught:
                    call(**fields)
                self.assertEqual(caught.exception.param, next(iter(fields)))
                self.assertIn(words, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
