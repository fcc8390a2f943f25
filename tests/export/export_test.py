"""Runs the tests beside it in one process, which imports torch and transformers once."""

import sys
import unittest

MODULES = ("custom_test", "parts_test", "kinds_test", "docs_test", "oracle_test")  # the first sets where copies of Python go

if __name__ == "__main__":
    unittest.main(module=None, argv=[sys.argv[0], *MODULES, *sys.argv[1:]])
