"""Runs the tests beside it in one process, which imports torch and transformers once."""

import sys
import unittest

# The first sets where copies of Python go.
MODULES = (
    "custom_test",
    "parts_test",
    "kinds_test",
    "fuse_test",
    "vectors_test",
    "docs_test",
    "oracle_test",
)

if __name__ == "__main__":
    unittest.main(module=None, argv=[sys.argv[0], *MODULES, *sys.argv[1:]])
