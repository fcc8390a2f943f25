"""A checkpoint in Hugging Face's cache on disk is served by its id."""

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


class HubCacheTest(unittest.TestCase):
    def test_a_checkpoint_is_served_by_its_id(self) -> None:
        with tempfile.TemporaryDirectory() as home:
            make_cache(pathlib.Path(home))
            for model in ("org/tiny", f"org/tiny@{COMMIT}"):
                with self.subTest(model), Server("--model", model, env={"HF_HOME": home}) as server:
                    (served,) = server.get("/v1/models").json()["data"]
                    self.assertEqual(served["id"], model)
                    body = {"model": model, "prompt": "A", "max_tokens": 3, "ignore_eos": True}
                    answer = server.post("/v1/completions", body).json()
                    self.assertEqual(answer["usage"]["completion_tokens"], 3)


if __name__ == "__main__":
    unittest.main()
