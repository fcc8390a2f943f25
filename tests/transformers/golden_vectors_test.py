"""Whether a class is taken for one whose tokens see those that follow."""

import unittest

import transformers_env  # noqa: F401, puts transformers on the path

import golden_vectors  # isort: skip
import torch


class SeesAheadTest(unittest.TestCase):
    def test_rounding_is_no_sight_of_what_follows(self):
        """Else of a causal classifier the first token's numbers are expected, not the last's."""
        state = torch.linspace(-3, 3, 64)
        self.assertFalse(golden_vectors.sees_ahead(lambda n: state + n * 2e-7, 45))

    def test_what_follows_changes_the_first_token_of_an_encoder(self):
        state = torch.linspace(-3, 3, 64)
        self.assertTrue(golden_vectors.sees_ahead(lambda n: state + n * 1e-3, 45))


if __name__ == "__main__":
    unittest.main()
