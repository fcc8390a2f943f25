"""Images in Python: keel.LLM and lines of a batch answer as transformers does."""

import array
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import tests.python.testing  # noqa: F401  (where the library is)
from tests.multimodal.goldens import Goldens

from keel import LLM, InvalidArgument, SamplingParams

PLUGIN = "plugins/qwen2_5_vl/libqwen2_5_vl.so"
GOLDENS = Goldens("plugins/qwen2_5_vl/testdata/default")
VIDEO_PAD = 131  # the last token
GREEDY = SamplingParams(temperature=0, max_tokens=32, ignore_eos=True)


class PilImage:
    """What keel takes of PIL's."""

    def __init__(self, image):
        self.size, self._rgb = (image.width, image.height), image.rgb

    def convert(self, mode):
        assert mode == "RGB"
        return self

    def tobytes(self):
        return self._rgb


def pixels(image):
    """An array as numpy has them: uint8 [height, width, 3]."""
    return memoryview(array.array("B", image.rgb)).cast("B", (image.height, image.width, 3))


def data_url(image):
    return "data:image/png;base64," + base64.b64encode(image.png()).decode()


class LlmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))
        cls.path = cls.folder / "0.png"
        cls.path.write_bytes(GOLDENS.images[0].png())
        # Texts are the prompts of the goldens' chats, which have their special tokens already.
        model = cls.folder / "model"
        shutil.copytree(GOLDENS.directory, model, copy_function=shutil.copyfile)
        tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["post_processor"] = None
        (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        cls.llm = LLM(
            str(model),
            plugin_path=PLUGIN,
            kv_cache_memory_bytes="8MiB",
            weight_cache="off",
            allowed_local_media_path=str(cls.folder),
            limit_mm_per_prompt={"image": 3},
        )
        cls.addClassCleanup(cls.llm.shutdown)

    def expect(self, chat, output):
        self.assertEqual(output.prompt_token_ids, GOLDENS.ids(chat))
        self.assertEqual(output.outputs[0].token_ids, GOLDENS.greedy(chat))

    def generate(self, prompt):
        return self.llm.generate(prompt, GREEDY, use_tqdm=False)

    def test_generate_takes_images_in_every_form(self):
        image = GOLDENS.images[0]
        for item in (
            PilImage(image),
            pixels(image),
            image.png(),
            self.path,
            str(self.path),
            data_url(image),
            [f"file://{self.path}"],
        ):
            with self.subTest(type(item)):
                prompt = {"prompt": GOLDENS.texts["one"], "multi_modal_data": {"image": item}}
                self.expect("one", self.generate(prompt)[0])

    def test_prompts_with_several_images_and_with_none(self):
        prompts = [
            {
                "prompt": GOLDENS.texts[chat],
                "multi_modal_data": {
                    "image": [GOLDENS.images[i].png() for i in parts if isinstance(i, int)]
                },
            }
            for chat, parts in GOLDENS.chats.items()
        ]
        for chat, output in zip(GOLDENS.chats, self.generate(prompts)):
            self.expect(chat, output)

    def test_chat_takes_parts(self):
        first, second = GOLDENS.images[1], GOLDENS.images[2]
        content = [
            {"type": "text", "text": "First "},
            {"type": "image_url", "image_url": {"url": data_url(first)}},
            {"type": "text", "text": " and then "},
            {"type": "image_pil", "image_pil": PilImage(second)},
            {"type": "text", "text": ": which?"},
        ]
        messages = [{"role": "user", "content": content}]
        self.expect("two", self.llm.chat(messages, GREEDY, use_tqdm=False)[0])
        self.assertEqual(content[1]["type"], "image_url")  # the caller's stays as it is
        fewer = self.llm.chat(
            messages, GREEDY, use_tqdm=False, mm_processor_kwargs={"max_pixels": 3136}
        )
        self.assertLess(len(fewer[0].prompt_token_ids), len(GOLDENS.ids("two")))

    def test_videos(self):
        clip = pathlib.Path("core/media/testdata/clip.mp4")  # of 12 frames
        text = "<|vision_start|><|video_pad|><|vision_end|>What happens?"
        (output,) = self.generate({"prompt": text, "multi_modal_data": {"video": clip}})
        pads = output.prompt_token_ids.count(VIDEO_PAD)
        self.assertEqual(pads % 6, 0)  # two frames a row of tokens
        self.assertGreaterEqual(pads, 6 * 4)
        self.assertEqual(len(output.outputs[0].token_ids), 32)

    def test_refusals_name_the_item(self):
        text = GOLDENS.texts["one"]
        for item, words in (
            (b"no image", "multi_modal_data['image'][0] is no image that can be decoded"),
            ("https://example.com/a.png", "is at example.com, expected one of"),
            ("file:///etc/passwd", "is not below --allowed-local-media-path"),
            (5, "multi_modal_data['image'][0] is int, expected a PIL image"),
            (memoryview(b"12345678"), "expected a PIL image, an array of uint8"),
            ([b"x"] * 4, "multi_modal_data['image'][3] is image 4 of the request"),
        ):
            with self.subTest(words), self.assertRaises(InvalidArgument) as raised:
                self.generate({"prompt": text, "multi_modal_data": {"image": item}})
            self.assertIn(words, str(raised.exception))
        with self.assertRaisesRegex(InvalidArgument, "multi_modal_data has 'smell'"):
            self.generate({"prompt": text, "multi_modal_data": {"smell": b""}})
        with self.assertRaisesRegex(InvalidArgument, r"messages\[0\].content\[0\] is no base64"):
            self.llm.chat(
                [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": "data:;base64,!"}],
                    }
                ]
            )
        self.expect(
            "one",
            self.generate({"prompt": text, "multi_modal_data": {"image": self.path}})[0],
        )


class BatchTest(unittest.TestCase):
    def test_lines_have_images(self):
        def line(name, content):
            body = {
                "messages": [{"role": "user", "content": content}],
                "temperature": 0,
                "max_tokens": 32,
                "ignore_eos": True,
                "return_token_ids": True,
            }
            url = "/v1/chat/completions"
            return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": body})

        lines = [
            line(
                chat,
                [
                    {"type": "text", "text": part}
                    if isinstance(part, str)
                    else {"type": "image_url", "image_url": data_url(GOLDENS.images[part])}
                    for part in parts
                ],
            )
            for chat, parts in GOLDENS.chats.items()
        ]
        lines.append(line("wrong", [{"type": "image_url", "image_url": "data:;base64,AAAA"}]))
        folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        source, target = pathlib.Path(folder, "in.jsonl"), pathlib.Path(folder, "out.jsonl")
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        subprocess.run(
            [
                *("apps/batch/batch", "--model", GOLDENS.directory, "--plugin-path", PLUGIN),
                *("--input", source, "--output", target, "--weight-cache", "off"),
            ],
            check=False,
            timeout=120,
        )
        answers = {}
        for answer in target.read_text(encoding="utf-8").splitlines():
            parsed = json.loads(answer)
            answers[parsed["custom_id"]] = parsed["response"]
        for chat in GOLDENS.chats:
            (choice,) = answers[chat]["body"]["choices"]
            self.assertEqual(choice["token_ids"], GOLDENS.greedy(chat))
        self.assertEqual(answers["wrong"]["status_code"], 400)
        message = answers["wrong"]["body"]["error"]["message"]
        self.assertIn("messages[0].content[0] is no image that can be decoded", message)


if __name__ == "__main__":
    unittest.main()
