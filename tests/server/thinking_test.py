"""Budgets of reasoning, and what follows it, as clients see them.

The demo model does not reason: with deepseek_r1's parser all that it says first is taken for it.
"""

import json
import unittest
from typing import Any

import anthropic
import openai

from tests.server.serving import Server

MESSAGES: list[Any] = [{"role": "user", "content": "Define: river"}]
BUDGET = 4
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Paris"]}}},
        },
    }
]


class ThinkingTest(unittest.TestCase):
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--reasoning-parser", "deepseek_r1", "--tool-call-parser", "hermes")
        cls.addClassCleanup(cls.server.stop)

    def chat(self, **fields: Any) -> Any:
        client = openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(client.close)
        return client.chat.completions.create(
            model="keel-demo",
            messages=MESSAGES,
            temperature=0,
            max_tokens=256,
            extra_body={"thinking_token_budget": BUDGET},
            **fields,
        )

    def test_a_budget_ends_the_reasoning(self) -> None:
        answer = self.chat()
        message = answer.choices[0].message
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, BUDGET)
        self.assertGreaterEqual(self.server.metric("keel:reasoning_tokens_total"), BUDGET)
        self.assertEqual(message.model_extra["reasoning_content"], "A river is a")
        self.assertTrue(message.content)
        self.assertNotIn("think", message.content)

    def test_a_forced_call_follows_it(self) -> None:
        fields: dict[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False}
        choice = self.chat(tools=TOOLS, **fields).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertEqual(choice.message.model_extra["reasoning_content"], "A river is a")
        (call,) = choice.message.tool_calls
        self.assertEqual(call.function.name, "weather")
        self.assertLessEqual(set(json.loads(call.function.arguments)), {"city"})

    def test_a_schema_follows_it(self) -> None:
        schema = {"name": "city", "schema": {"enum": ["Rome", "Paris"]}}
        fields: dict[str, Any] = {"type": "json_schema", "json_schema": schema}
        message = self.chat(response_format=fields).choices[0].message
        self.assertEqual(message.model_extra["reasoning_content"], "A river is a")
        self.assertIn(json.loads(message.content), ("Rome", "Paris"))

    def test_a_response_says_how_long_it_was(self) -> None:
        client = openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(client.close)
        answer = client.responses.create(
            model="keel-demo", input="Define: river", temperature=0, max_output_tokens=6
        )
        self.assertEqual(answer.usage.output_tokens_details.reasoning_tokens, 6)

    def test_anthropics_budget(self) -> None:
        client = anthropic.Anthropic(base_url=self.server.url, api_key="none", max_retries=0)
        self.addCleanup(client.close)
        answer = client.messages.create(
            model="keel-demo",
            max_tokens=64,
            messages=MESSAGES,
            thinking={"type": "enabled", "budget_tokens": BUDGET},
            extra_body={"temperature": 0},
        )
        self.assertEqual([block.type for block in answer.content], ["thinking", "text"])
        self.assertEqual(answer.content[0].thinking, "A river is a")


if __name__ == "__main__":
    unittest.main()
