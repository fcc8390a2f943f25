"""litellm, by the providers that its users name for servers of their own."""

import os
import unittest
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices

import clients_env  # noqa: E402, F401, I001
import litellm  # noqa: E402

from tests.clients.demo import (  # noqa: E402
    ANSWER,
    BERT,
    CITIES,
    CITY,
    KEY,
    MAX_TOKENS,
    MODEL,
    QUESTION,
    DemoCase,
)
from tests.server.serving import Server  # noqa: E402

PROVIDERS = ("openai", "hosted_vllm")
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]


class LitellmTest(DemoCase):
    def complete(self, provider: str, **fields: Any) -> Any:
        body: dict[str, Any] = {
            "model": f"{provider}/{MODEL}",
            "messages": [{"role": "user", "content": QUESTION}],
            "api_base": f"{self.server.url}/v1",
            "api_key": KEY,
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        return litellm.completion(**{**body, **fields})

    def test_completion(self) -> None:
        for provider in PROVIDERS:
            with self.subTest(provider):
                answer = self.complete(provider)
                self.assertEqual(answer.choices[0].message.content, ANSWER)
                self.assertEqual(answer.choices[0].finish_reason, "stop")
                self.assertGreater(answer.usage.completion_tokens, 5)

    def test_streaming(self) -> None:
        for provider in PROVIDERS:
            with self.subTest(provider):
                usage = {"include_usage": True}
                chunks = list(self.complete(provider, stream=True, stream_options=usage))
                choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
                text = "".join(choice.delta.content or "" for choice in choices)
                self.assertEqual(text, ANSWER)
                self.assertGreater(chunks[-1].usage.completion_tokens, 5)

    def test_tools_and_schemas(self) -> None:
        for provider in PROVIDERS:
            with self.subTest(provider):
                choice = self.complete(
                    provider, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
                ).choices[0]
                (call,) = choice.message.tool_calls
                self.assertEqual(call.function.name, "weather")
                self.assertIn(call.function.arguments.split('"')[3], CITIES)
                self.assertEqual(choice.finish_reason, "tool_calls")
                schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
                text = self.complete(provider, response_format=schema).choices[0].message.content
                self.assertIn(text.split('"')[3], CITIES)

    def test_other_protocols(self) -> None:
        anthropic = self.complete("anthropic", api_base=self.server.url, temperature=None)
        self.assertTrue(anthropic.choices[0].message.content)
        answer = litellm.responses(
            model=f"openai/{MODEL}",
            input=QUESTION,
            api_base=f"{self.server.url}/v1",
            api_key=KEY,
            temperature=0,
        )
        self.assertEqual(answer.output[0].content[0].text, ANSWER)

    def test_errors_are_its_own(self) -> None:
        for provider in PROVIDERS:
            with self.assertRaises(litellm.NotFoundError):
                self.complete(provider, model=f"{provider}/gpt")
            with self.assertRaises(litellm.BadRequestError):
                self.complete(provider, top_p=3)


class EmbeddingsTest(unittest.TestCase):
    def test_embedding(self) -> None:
        with Server("--model", str(BERT), "--served-model-name", "tiny") as server:
            for provider in PROVIDERS:
                answer = litellm.embedding(
                    model=f"{provider}/tiny",
                    input=["What is the sea?", "hello"],
                    api_base=f"{server.url}/v1",
                    api_key=KEY,
                )
                self.assertEqual([data["index"] for data in answer.data], [0, 1])
                length = sum(x * x for x in answer.data[1]["embedding"])
                self.assertAlmostEqual(length, 1, places=4)


if __name__ == "__main__":
    unittest.main()
