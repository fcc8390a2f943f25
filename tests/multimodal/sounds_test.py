"""Sounds over HTTP, in Python and in a batch: tiny models that hear answer as transformers does."""

import array
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
from typing import Any

import openai
import tests.python.testing  # noqa: F401  (where the library is)
from tests.multimodal.goldens import Goldens
from tests.server.serving import Server

from keel import LLM, InvalidArgument, SamplingParams

FAMILIES = ("qwen2_audio", "voxtral")
FILES = pathlib.Path("core/media/testdata")
GREEDY = SamplingParams(temperature=0, max_tokens=32, ignore_eos=True)


def plugin(family: str) -> str:
    return f"plugins/{family}/lib{family}.so"


def goldens(family: str) -> Goldens:
    return Goldens(f"plugins/{family}/testdata/default")


def input_audio(data: bytes, kind: str = "wav") -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"type": "input_audio", "input_audio": {"data": text, "format": kind}}


def audio_url(data: bytes) -> dict[str, Any]:
    return {
        "type": "audio_url",
        "audio_url": {"url": "data:audio/wav;base64," + base64.b64encode(data).decode()},
    }


def content(golden: Goldens, chat: str) -> list[dict[str, Any]]:
    """A golden chat's parts."""
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else input_audio(golden.sounds[part].wav())
        for part in golden.chats[chat]
    ]


class HttpTest(unittest.TestCase):
    def serve(self, family: str) -> tuple[Server, openai.OpenAI]:
        server = Server(
            *("--model", goldens(family).directory, "--plugin-path", plugin(family)),
            *("--kv-cache-memory-bytes", "8MiB", "--weight-cache", "off"),
            *("--served-model-name", "hear"),
        )
        self.addCleanup(server.stop)
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(client.close)
        return server, client

    def ask(self, client: openai.OpenAI, parts: list[Any], tokens: int = 32) -> Any:
        return self.chat(client, [{"role": "user", "content": parts}], tokens)

    def chat(self, client: openai.OpenAI, messages: list[Any], tokens: int) -> Any:
        return client.chat.completions.create(
            model="hear",
            messages=messages,
            temperature=0,
            max_tokens=tokens,
            extra_body={
                "return_token_ids": True,
                "ignore_eos": True,
                "skip_special_tokens": False,
            },
        )

    def test_chats_are_answered_as_by_transformers(self) -> None:
        for family in FAMILIES:
            golden = goldens(family)
            server, client = self.serve(family)
            for chat in golden.chats:
                with self.subTest(family=family, chat=chat):
                    response = self.ask(client, content(golden, chat))
                    (choice,) = response.choices
                    self.assertEqual(choice.token_ids, golden.greedy(chat))
                    text = server.post("/detokenize", {"tokens": golden.greedy(chat)}).json()
                    self.assertEqual(choice.message.content, text["prompt"])
                    self.assertEqual(response.usage.prompt_tokens, len(golden.ids(chat)))
            url = self.ask(client, [audio_url(golden.sounds[0].wav()), *content(golden, "one")[1:]])
            self.assertEqual(url.choices[0].token_ids, golden.greedy("one"))
            self.assertEqual(server.get("/info").json()["modalities"], ["text", "audio"])

    def test_voxtrals_prompts_are_those_of_mistral_common(self) -> None:
        """By which transformers' processor makes them: tests/goldens/make_mistral_prompts.py."""
        path = pathlib.Path("plugins/voxtral/testdata/mistral_prompts.json")
        golden = goldens("voxtral")
        server, client = self.serve("voxtral")
        one = {"role": "user", "content": content(golden, "one")}
        turns = [one, {"role": "assistant", "content": "A sweep."}]
        turns.append({"role": "user", "content": "And?"})
        for chat, text in json.loads(path.read_text(encoding="utf-8")).items():
            with self.subTest(chat=chat):
                body = {"prompt": text, "add_special_tokens": False}
                ids = server.post("/tokenize", body).json()["tokens"]
                messages = turns
                if chat != "turns":
                    messages = [{"role": "user", "content": content(golden, chat)}]
                self.assertEqual(self.chat(client, messages, 1).prompt_token_ids, ids)

    def test_files_of_any_format_and_rate(self) -> None:
        _, client = self.serve("qwen2_audio")
        found = {}
        for name in ("sound_24.wav", "sound_stereo.wav", "sound.mp3", "sound.flac", "sound.ogg"):
            kind = name.split(".")[1]
            response = self.ask(client, [input_audio((FILES / name).read_bytes(), kind)], 4)
            self.assertEqual(len(response.choices[0].token_ids), 4)
            self.assertNotEqual(response.choices[0].message.content, "")
            found[name] = response.usage.prompt_tokens
        # Of an eighth of a second and more each, resampled: tokens hang on seconds, not on samples.
        expected = json.loads((FILES / "sounds.json").read_text(encoding="utf-8"))
        words = found["sound.mp3"] - self.tokens(expected["sound.mp3"])
        for name, prompt in found.items():
            self.assertEqual(prompt, words + self.tokens(expected[name]), name)

    @staticmethod
    def tokens(sound: dict[str, Any]) -> int:
        """Of a sound in a window of a second."""
        samples = -(-sound["samples"] * 16000 // sound["rate"])
        frames = min(-(-samples // 160), 100)
        return (frames + 1) // 2 // 2

    def test_what_is_no_sound_is_refused_by_its_place(self) -> None:
        server, client = self.serve("qwen2_audio")
        wav = goldens("qwen2_audio").sounds[0].wav()
        for part, words in (
            (input_audio(b"no sound"), "is no sound that can be decoded"),
            (input_audio(wav[:30]), "is no sound that can be decoded"),
            (input_audio(wav[:600]), "expected more than 320, which one token takes"),
            (input_audio((FILES / "clip.mp4").read_bytes(), "mp3"), "it has no audio"),
            (
                {"type": "image_url", "image_url": {"url": "data:;base64,QUJD"}},
                "is an image, which model",
            ),
        ):
            with self.subTest(words), self.assertRaises(openai.BadRequestError) as raised:
                self.ask(client, [{"type": "text", "text": "hear"}, part])
            error: Any = raised.exception.body
            self.assertIn(words, error["message"])
            self.assertEqual(error["param"], "messages[0].content[1]")
        self.assertEqual(server.get("/health").status, 200)


class PythonTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.golden = goldens("qwen2_audio")
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
        # Texts are the prompts of the goldens' chats, which have their special tokens already.
        model = cls.folder / "model"
        shutil.copytree(cls.golden.directory, model, copy_function=shutil.copyfile)
        tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["post_processor"] = None
        (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        cls.llm = LLM(
            str(model),
            plugin_path=plugin("qwen2_audio"),
            kv_cache_memory_bytes="8MiB",
            weight_cache="off",
        )
        cls.addClassCleanup(cls.llm.shutdown)

    def generate(self, item: Any) -> Any:
        prompt = {"prompt": self.golden.texts["one"], "multi_modal_data": {"audio": item}}
        return self.llm.generate(prompt, GREEDY, use_tqdm=False)[0]

    def test_generate_takes_sounds_in_every_form(self) -> None:
        sound = self.golden.sounds[0]
        samples = array.array("f", sound.samples)
        path = self.folder / "0.wav"
        path.write_bytes(sound.wav())
        for item in ((samples, 16000), (list(samples), 16000), sound.wav(), path, [sound.wav()]):
            output = self.generate(item)
            self.assertEqual(output.prompt_token_ids, self.golden.ids("one"))
            self.assertEqual(output.outputs[0].token_ids, self.golden.greedy("one"))

    def test_chat_takes_parts(self) -> None:
        messages = [{"role": "user", "content": content(self.golden, "two")}]
        (output,) = self.llm.chat(messages, GREEDY, use_tqdm=False)
        self.assertEqual(output.prompt_token_ids, self.golden.ids("two"))
        self.assertEqual(output.outputs[0].token_ids, self.golden.greedy("two"))

    def test_refusals_name_the_item(self) -> None:
        samples = array.array("f", self.golden.sounds[0].samples)
        for item, words in (
            ((samples, 44100), "is audio of 44100 samples a second, expected 16000: resample it"),
            (samples, r"\['audio'\]\[0\] is array, expected samples and their rate"),
            (([], 16000), r"\['audio'\]\[0\] has no samples"),
        ):
            with self.subTest(words), self.assertRaisesRegex(InvalidArgument, words):
                self.generate(item)


class BatchTest(unittest.TestCase):
    def test_lines_have_sounds(self) -> None:
        golden = goldens("qwen2_audio")
        folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
        source, target = folder / "in.jsonl", folder / "out.jsonl"
        lines = [
            {
                "custom_id": chat,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {
                    "messages": [{"role": "user", "content": content(golden, chat)}],
                    "temperature": 0,
                    "max_tokens": 32,
                    "ignore_eos": True,
                    "return_token_ids": True,
                },
            }
            for chat in golden.chats
        ]
        source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        subprocess.run(
            [
                *("apps/batch/batch", "--model", golden.directory),
                *("--plugin-path", plugin("qwen2_audio"), "--weight-cache", "off"),
                *("--input", source, "--output", target),
            ],
            check=True,
            timeout=120,
        )
        for line in target.read_text(encoding="utf-8").splitlines():
            answer = json.loads(line)
            (choice,) = answer["response"]["body"]["choices"]
            self.assertEqual(choice["token_ids"], golden.greedy(answer["custom_id"]))


if __name__ == "__main__":
    unittest.main()
