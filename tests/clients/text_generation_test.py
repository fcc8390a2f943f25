"""text-generation, the client of text-generation-inference."""

import asyncio
import unittest

import clients_env  # noqa: F401, I001
from text_generation import AsyncClient, Client
from text_generation.errors import ValidationError
from text_generation.types import Grammar, GrammarType, Message

from tests.clients.demo import ANSWER, CITIES, KEY, PROMPT, QUESTION, DemoCase

HEADERS = {"Authorization": f"Bearer {KEY}"}


class TextGenerationTest(DemoCase):
    def setUp(self) -> None:
        self.client = Client(self.server.url, headers=HEADERS, timeout=60)

    def test_generate(self) -> None:
        answer = self.client.generate(PROMPT, max_new_tokens=64, decoder_input_details=True)
        self.assertEqual(answer.generated_text, ANSWER)
        details = answer.details
        self.assertEqual(details.finish_reason, "eos_token")
        self.assertEqual(len(details.tokens), details.generated_tokens)
        self.assertEqual(details.prefill[1].text, "user")
        stopped = self.client.generate(PROMPT, max_new_tokens=64, stop_sequences=["large"])
        self.assertEqual(stopped.generated_text, "A river is a large")
        self.assertEqual(stopped.details.finish_reason, "stop_sequence")

    def test_sampling(self) -> None:
        answer = self.client.generate(
            PROMPT, max_new_tokens=8, best_of=2, do_sample=True, temperature=0.8, top_p=0.9
        )
        self.assertEqual(len(answer.details.best_of_sequences), 1)

    def test_a_grammar(self) -> None:
        grammar = Grammar(type=GrammarType.Regex, value="|".join(CITIES))
        answer = self.client.generate(PROMPT, max_new_tokens=16, grammar=grammar)
        self.assertIn(answer.generated_text, CITIES)

    def test_generate_stream(self) -> None:
        pieces = list(self.client.generate_stream(PROMPT, max_new_tokens=64))
        text = "".join(piece.token.text for piece in pieces if not piece.token.special)
        self.assertEqual(text, ANSWER)
        self.assertEqual(pieces[-1].generated_text, ANSWER)
        self.assertEqual(pieces[-1].details.generated_tokens, len(pieces))

    def test_chat(self) -> None:
        messages = [Message(role="user", content=QUESTION)]
        answer = self.client.chat(messages, max_tokens=64, temperature=0)
        self.assertEqual(answer.choices[0].message.content, ANSWER)

    def test_chat_stream(self) -> None:
        messages = [Message(role="user", content=QUESTION)]
        text = ""
        for chunk in self.client.chat(messages, max_tokens=64, temperature=0, stream=True):
            (choice,) = chunk.choices
            self.assertEqual(choice.delta.role, "assistant")
            text += choice.delta.content
            if choice.finish_reason:  # what follows is [DONE], which this client cannot read
                break
        self.assertEqual((text, choice.finish_reason), (ANSWER, "stop"))

    def test_asynchronous(self) -> None:
        client = AsyncClient(self.server.url, headers=HEADERS, timeout=60)

        async def ask() -> list[str]:
            whole = await client.generate(PROMPT, max_new_tokens=64)
            stream = client.generate_stream(PROMPT, max_new_tokens=64)
            pieces = [piece async for piece in stream]
            return [whole.generated_text, pieces[-1].generated_text]

        self.assertEqual(asyncio.run(ask()), [ANSWER, ANSWER])

    def test_errors_are_its_own(self) -> None:
        with self.assertRaises(ValidationError) as refused:
            self.client.generate("x" * 100_000)
        self.assertIn("shorten it", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
