"""What --model may name: a directory, or an id in Hugging Face's cache on disk."""

import os
import pathlib
import tempfile
import unittest

from tests.server import checkpoints
from tests.server.serving import Server

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_cache(home: pathlib.Path) -> None:
    """The cache as huggingface_hub writes it: files are links to blobs."""
    repository = home / "hub" / "models--org--tiny"
    blobs = checkpoints.copy(repository / "blobs")
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(os.path.relpath(blob, snapshot))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)


class ModelPathTest(unittest.TestCase):
    dir: pathlib.Path

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.dir = pathlib.Path(temporary.name)

    def check(self, model: str, env: dict[str, str]) -> None:
        with self.subTest(model), Server("--model", model, env=env) as server:
            (served,) = server.get("/v1/models").json()["data"]
            self.assertEqual(served["id"], model)
            body = {"model": model, "prompt": "A", "max_tokens": 3, "ignore_eos": True}
            answer = server.post("/v1/completions", body).json()
            self.assertEqual(answer["usage"]["completion_tokens"], 3)

    def test_an_id_in_the_cache(self) -> None:
        make_cache(self.dir)
        for model in ("org/tiny", f"org/tiny@{COMMIT}"):
            self.check(model, {"HF_HOME": str(self.dir)})

    def test_a_directory_from_where_the_user_is(self) -> None:
        checkpoints.copy(self.dir / "models" / "tiny")
        # Set by `bazel run`.
        self.check("models/tiny", {"BUILD_WORKING_DIRECTORY": str(self.dir)})


if __name__ == "__main__":
    unittest.main()
