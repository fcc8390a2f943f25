"""OpenAI's client for JavaScript, in Node: openai_node.mjs asks, this starts the server."""

import pathlib
import shutil
import subprocess
import unittest

from tests.clients.demo import ANSWER, KEY, MODEL, QUESTION, DemoCase

CLIENT = pathlib.Path("external/openai_node/package/index.mjs").resolve()
SCRIPT = pathlib.Path("tests/clients/openai_node.mjs")


class OpenAiNodeTest(DemoCase):
    def test_what_the_script_asks(self) -> None:
        node = shutil.which("node")
        if node is None:
            self.skipTest("there is no node on PATH; ./bazelw test installs it with npm")
        run = subprocess.run(
            [node, SCRIPT, CLIENT, self.server.url, KEY, MODEL, QUESTION, ANSWER],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"pass 6\b")


if __name__ == "__main__":
    unittest.main()
