"""Includes and BUILD dependencies follow the order of the folders."""

import os
import sys
from pathlib import Path

from tests.lint import include_graph


def main():
    root = Path(os.path.realpath("WORKSPACE")).parent
    found = include_graph.problems(root)
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
