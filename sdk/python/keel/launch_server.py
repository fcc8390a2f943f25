"""`python3 -m keel.launch_server --model-path MODEL`: `keel serve` under the name of SGLang's."""

import sys

from .cli import main

if __name__ == "__main__":
    main(["serve", *sys.argv[1:]])
