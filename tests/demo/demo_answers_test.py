"""The demo model keeps the promises of apps/demo/README.md, answered by Keel as people run it."""

import itertools
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from apps.demo import conversations

BATCH = pathlib.Path("apps/batch/batch").absolute()
README = pathlib.Path("apps/demo/README.md")
QUESTIONS = list(dict.fromkeys(conversations.ASK + conversations.ASK_NEXT))
MAX_NOT_REFUSED = 0.04  # of the words that it was not taught


def dialogue() -> list[dict[str, str]]:
    """The messages of the conversation that the README shows."""
    lines = re.findall(r"^(user|assistant): +(.+)$", README.read_text(), re.MULTILINE)
    return [{"role": role, "content": content} for role, content in lines]


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


class DemoAnswersTest(unittest.TestCase):
    def answers(self, prompts: list[list[dict[str, str]]], *flags: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            source, output = pathlib.Path(folder, "in.jsonl"), pathlib.Path(folder, "out.jsonl")
            with open(source, "w", encoding="utf-8") as file:
                for i, messages in enumerate(prompts):
                    body = {"messages": messages, "temperature": 0, "max_tokens": 64}
                    line = {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions"}
                    file.write(json.dumps({**line, "body": body}) + "\n")
            command = [BATCH, "--input", source, "--output", output, "--keep-order", *flags]
            run = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)
            bodies = [
                json.loads(line)["response"]["body"]
                for line in output.read_text(encoding="utf-8").splitlines()
            ]
        return [body["choices"][0]["message"]["content"] for body in bodies]

    def wrong(self, prompts: list[list[dict[str, str]]], expected: list[str]) -> list[str]:
        return [
            f"{prompt[-1]['content']!r}: {answer!r}, not {right!r}"
            for prompt, answer, right in zip(prompts, self.answers(prompts), expected, strict=True)
            if answer != right
        ]

    def check(self, prompts: list[list[dict[str, str]]], expected: list[str]) -> None:
        wrong = self.wrong(prompts, expected)
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(prompts)}")

    def test_answers_as_the_readme_shows(self) -> None:
        messages = dialogue()
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        self.assertGreaterEqual(len(turns), 3)
        self.check([messages[:i] for i in turns], [messages[i]["content"] for i in turns])

    def test_answers_each_question_of_the_readme_asked_first(self) -> None:
        messages = dialogue()
        pairs = list(zip(messages[::2], messages[1::2], strict=True))
        self.check([[asked] for asked, _ in pairs], [said["content"] for _, said in pairs])

    def test_defines_every_word_of_the_list(self) -> None:
        """Each word is asked for once, by one phrasing after the other."""
        prompts, expected = [], []
        for question, (word, (_, answer)) in zip(
            itertools.cycle(QUESTIONS), conversations.load_words().items()
        ):
            prompts.append(user(conversations.with_article(question, word)))
            expected.append(answer)
        self.check(prompts, expected)

    def test_defines_most_words_quantized(self) -> None:
        """Shares of right answers; a model of six million parameters feels four bits."""
        words = list(conversations.load_words().items())[::5]
        prompts = [
            user(conversations.with_article(conversations.ASK[0], word)) for word, _ in words
        ]
        for quantization, least in (("int8", 0.97), ("w8a8", 0.9), ("int4", 0.5)):
            answers = self.answers(prompts, "--quantize", quantization)
            right = sum(
                said == answer for said, (_, (_, answer)) in zip(answers, words, strict=True)
            )
            self.assertGreaterEqual(right / len(words), least, quantization)

    def test_refuses_unknown_words(self) -> None:
        """Words that no training saw; the README tells how many of all of them are refused."""
        words = conversations.load_held_out_words()[::10]
        prompts = [
            user(conversations.with_article(question, word))
            for question, word in zip(itertools.cycle(QUESTIONS), words)
        ]
        wrong = self.wrong(prompts, [conversations.UNKNOWN] * len(prompts))
        self.assertLessEqual(len(wrong), MAX_NOT_REFUSED * len(prompts), wrong)

    def test_answers_small_talk(self) -> None:
        talk = [(text, said) for texts, said in conversations.SMALL_TALK for text in texts]
        self.check([user(text) for text, _ in talk], [said for _, said in talk])


if __name__ == "__main__":
    unittest.main()
