"""langchain-openai's ChatOpenAI, OpenAI and OpenAIEmbeddings."""

import asyncio
import unittest
from typing import Any, Literal

import clients_env  # noqa: F401, I001
import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.clients.demo import (
    ANSWER,
    BERT,
    CITIES,
    KEY,
    MAX_TOKENS,
    MODEL,
    QUESTION,
    DemoCase,
)
from tests.server.serving import Server


class City(BaseModel):
    """A city."""

    city: Literal["Rome", "Paris"]


@tool
def weather(city: Literal["Rome", "Paris"]) -> str:
    """The weather of a city."""
    return f"sun over {city}"


class LangchainTest(DemoCase):
    def setUp(self) -> None:
        self.chat = self.client(ChatOpenAI)

    def client(self, kind: Any, **options: Any) -> Any:
        return kind(
            model=MODEL,
            base_url=f"{self.server.url}/v1",
            api_key=KEY,
            temperature=0,
            max_tokens=MAX_TOKENS,
            max_retries=0,
            **options,
        )

    def test_invoke(self) -> None:
        message = self.chat.invoke(QUESTION)
        self.assertEqual(message.content, ANSWER)
        self.assertEqual(message.response_metadata["finish_reason"], "stop")
        usage = message.usage_metadata
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])
        answers = self.chat.batch([QUESTION, "Define: lake"])
        self.assertEqual(answers[0].content, ANSWER)
        self.assertIn("lake", answers[1].content)

    def test_stream(self) -> None:
        chunks = list(self.chat.stream(QUESTION, stream_usage=True))
        self.assertGreater(len(chunks), 5)
        whole = sum(chunks[1:], chunks[0])
        self.assertEqual(whole.content, ANSWER)
        self.assertGreater(whole.usage_metadata["output_tokens"], 5)

        async def read() -> str:
            return "".join([chunk.content async for chunk in self.chat.astream(QUESTION)])

        self.assertEqual(asyncio.run(read()), ANSWER)

    def test_responses(self) -> None:
        message = self.client(ChatOpenAI, use_responses_api=True).invoke(QUESTION)
        self.assertEqual([block["text"] for block in message.content], [ANSWER])

    def test_completions(self) -> None:
        self.assertIn("stream", self.client(OpenAI).invoke("A river is"))

    def test_tools(self) -> None:
        caller = self.chat.bind_tools([weather], tool_choice="required", parallel_tool_calls=False)
        message = caller.invoke(QUESTION)
        (call,) = message.tool_calls
        self.assertEqual(call["name"], "weather")
        self.assertIn(call["args"]["city"], CITIES)
        chunks = list(caller.stream(QUESTION))
        self.assertEqual(sum(chunks[1:], chunks[0]).tool_calls[0]["args"], call["args"])
        # By its name.
        named = self.chat.bind_tools([weather], tool_choice="weather").invoke(QUESTION)
        self.assertEqual(named.tool_calls[0]["name"], "weather")
        # And its result goes back.
        result = weather.invoke(call)
        self.assertIsInstance(result, ToolMessage)
        free = self.chat.bind_tools([weather])
        self.assertTrue(free.invoke([HumanMessage(QUESTION), message, result]).content)

    def test_structured_output(self) -> None:
        for method in ("function_calling", "json_schema"):
            city = self.chat.with_structured_output(City, method=method).invoke(QUESTION)
            self.assertIsInstance(city, City, method)

    def test_errors_are_openais(self) -> None:
        with self.assertRaises(openai.NotFoundError):
            ChatOpenAI(model="gpt", base_url=f"{self.server.url}/v1", api_key=KEY).invoke("a")


class EmbeddingsTest(unittest.TestCase):
    def test_embed(self) -> None:
        with Server("--model", str(BERT), "--served-model-name", "tiny") as server:
            embeddings = OpenAIEmbeddings(
                model="tiny",
                base_url=f"{server.url}/v1",
                api_key=KEY,
                check_embedding_ctx_length=False,  # else it sends tokens of a model of OpenAI's
            )
            vectors = embeddings.embed_documents(["What is the sea?", "hello"])
            self.assertEqual(len(vectors), 2)
            self.assertAlmostEqual(sum(x * x for x in vectors[1]), 1, places=4)
            self.assertEqual(embeddings.embed_query("hello"), vectors[1])


if __name__ == "__main__":
    unittest.main()
