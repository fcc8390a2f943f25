"""The server with its demo model, as the tests of clients ask it."""

from __future__ import annotations

import pathlib
import unittest

from tests.server.serving import Server

MODEL = "keel-demo"
KEY = "secret"
QUESTION = "Define: river"
ANSWER = "A river is a large natural stream of water."
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
CITIES = ("Rome", "Paris")
# A model of vectors.
BERT = pathlib.Path("plugins/bert/testdata/default").absolute()
# A byte of JSON is a token of the demo model.
MAX_TOKENS = 256


class DemoCase(unittest.TestCase):
    """Cases that share a server."""

    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("--api-key", KEY, "--tool-call-parser", "hermes", api_key=KEY)
        cls.addClassCleanup(cls.server.stop)
