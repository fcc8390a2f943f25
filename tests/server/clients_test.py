"""The real clients of other protocols than OpenAI's chat: anthropic, huggingface_hub, responses."""

import json
import unittest
from typing import Any

import anthropic
import huggingface_hub
import openai

from tests.server.serving import Server

QUESTION = "Define: river"
KEY = "secret"
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
server: Server
answer: str  # to QUESTION


def setUpModule() -> None:
    global server, answer
    server = Server("--api-key", KEY, "--tool-call-parser", "hermes", api_key=KEY)
    unittest.addModuleCleanup(server.stop)
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
    choice = server.post("/v1/chat/completions", body).json()["choices"][0]
    answer = choice["message"]["content"]


class AnthropicTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = anthropic.Anthropic(base_url=server.url, api_key=KEY, max_retries=0)
        self.addCleanup(self.client.close)
        self.body: dict[str, Any] = {
            "model": "keel-demo",
            "max_tokens": 64,
            "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
            "extra_body": {"temperature": 0},
        }

    def test_a_message(self) -> None:
        message = self.client.messages.create(**self.body)
        self.assertEqual([block.type for block in message.content], ["text"])
        self.assertEqual(message.content[0].text, answer)
        self.assertEqual(message.stop_reason, "end_turn")
        counted = self.client.messages.count_tokens(
            model="keel-demo", messages=self.body["messages"]
        )
        usage = message.usage
        self.assertEqual(
            counted.input_tokens, usage.input_tokens + (usage.cache_read_input_tokens or 0)
        )

    def test_a_stream(self) -> None:
        with self.client.messages.stream(**self.body) as stream:
            self.assertEqual("".join(stream.text_stream), answer)
            message = stream.get_final_message()
        self.assertEqual(message.content[0].text, answer)
        self.assertGreater(message.usage.output_tokens, 1)

    def test_a_tool_that_must_be_called(self) -> None:
        tools = [{"name": "weather", "description": "of a city", "input_schema": CITY}]
        self.body["max_tokens"] = 256  # a byte of JSON is a token of the demo model
        one: dict[str, Any] = {"type": "any", "disable_parallel_tool_use": True}
        for choice in (one, {"type": "tool", "name": "weather"}):
            message = self.client.messages.create(**self.body, tools=tools, tool_choice=choice)
            call = message.content[0]
            self.assertEqual((call.type, call.name), ("tool_use", "weather"))
            self.assertIn(call.input["city"], ("Rome", "Paris"))
            self.assertEqual(message.stop_reason, "tool_use")
        with self.client.messages.stream(**self.body, tools=tools, tool_choice=one) as stream:
            streamed = stream.get_final_message().content[0]
        self.assertIn(streamed.input["city"], ("Rome", "Paris"))
        # And its result goes back.
        self.body["messages"] += [
            {"role": "assistant", "content": [call.model_dump()]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sun"}],
            },
        ]
        self.assertTrue(self.client.messages.create(**self.body, tools=tools).content)

    def test_a_stop_sequence(self) -> None:
        stop = answer[2:5]
        message = self.client.messages.create(**self.body, stop_sequences=[stop])
        self.assertEqual((message.stop_reason, message.stop_sequence), ("stop_sequence", stop))

    def test_errors_are_the_clients_own(self) -> None:
        with self.assertRaises(anthropic.BadRequestError) as refused:
            self.client.messages.create(**{**self.body, "extra_body": {"temperature": -1}})
        self.assertIn("temperature", str(refused.exception))
        with self.assertRaises(anthropic.NotFoundError):
            self.client.messages.create(**{**self.body, "model": "claude"})
        with self.assertRaises(anthropic.AuthenticationError):
            anthropic.Anthropic(base_url=server.url, api_key="no", max_retries=0).messages.create(
                **self.body
            )


class ResponsesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
        self.addCleanup(self.client.close)

    def test_a_response(self) -> None:
        response = self.client.responses.create(model="keel-demo", input=QUESTION, temperature=0)
        self.assertEqual(response.output_text, answer)
        self.assertEqual(response.status, "completed")
        following = self.client.responses.create(
            model="keel-demo", input="Define: lake", previous_response_id=response.id
        )
        assert response.usage is not None
        assert following.usage is not None
        self.assertGreater(following.usage.input_tokens, response.usage.total_tokens)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.create(
                model="keel-demo", input="x", previous_response_id="resp_gone"
            )

    def test_a_stream(self) -> None:
        with self.client.responses.stream(
            model="keel-demo", input=QUESTION, temperature=0
        ) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            self.assertEqual(stream.get_final_response().output_text, answer)
        self.assertEqual(text, answer)

    def test_a_function_that_must_be_called(self) -> None:
        response = self.client.responses.create(
            model="keel-demo",
            input=QUESTION,
            tools=[{"type": "function", "name": "weather", "parameters": CITY, "strict": True}],
            tool_choice="required",
            parallel_tool_calls=False,
            temperature=0,
        )
        call = response.output[0]
        assert call.type == "function_call"
        self.assertEqual(call.name, "weather")
        self.assertIn(json.loads(call.arguments)["city"], ("Rome", "Paris"))

    def test_chat_calls_a_function_too(self) -> None:
        tools: list[Any] = [
            {"type": "function", "function": {"name": "weather", "parameters": CITY}}
        ]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        choice = self.client.chat.completions.create(
            model="keel-demo",
            messages=messages,
            tools=tools,
            tool_choice="required",
            parallel_tool_calls=False,
            temperature=0,
        ).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        assert choice.message.tool_calls is not None
        call = choice.message.tool_calls[0]
        assert call.type == "function"
        self.assertIn(json.loads(call.function.arguments)["city"], ("Rome", "Paris"))
        # The model may call it, and does not.
        free = self.client.chat.completions.create(
            model="keel-demo", messages=messages, tools=tools, temperature=0
        ).choices[0]
        self.assertEqual(free.message.content, answer)


class HuggingFaceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = huggingface_hub.InferenceClient(base_url=server.url, api_key=KEY)

    def test_chat(self) -> None:
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": QUESTION}],
            "temperature": 0,
            "max_tokens": 64,
        }
        reply = self.client.chat_completion(**body)
        self.assertEqual(reply.choices[0].message.content, answer)
        pieces = self.client.chat_completion(**body, stream=True)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        self.assertEqual(text, answer)

    def test_text_generation(self) -> None:
        client = huggingface_hub.InferenceClient(model=server.url, api_key=KEY)
        prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
        self.assertEqual(client.text_generation(prompt, max_new_tokens=64), answer)
        detailed = client.text_generation(prompt, max_new_tokens=64, details=True)
        self.assertEqual(detailed.details.finish_reason, "eos_token")
        tokens = client.text_generation(prompt, max_new_tokens=64, stream=True)
        # As TGI's, a stream has the token that ends the text.
        self.assertEqual("".join(tokens).removesuffix("<|im_end|>"), answer)


if __name__ == "__main__":
    unittest.main()
