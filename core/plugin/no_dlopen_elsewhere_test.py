"""Only core/plugin/plugin.cc calls the dynamic linker: what it loads has been authorized.

Sources elsewhere may not even name its functions.
"""

import pathlib
import re
import sys

FORBIDDEN = re.compile(
    r"\b(dlopen|dlmopen|dlsym|dlvsym)\s*\(|boost[/:]+dll\b|//third_party/boost:dll\b"
)
ALLOWED = {"core/plugin/plugin.cc", "core/plugin/BUILD"}
SOURCES = {".h", ".cc", ".c", ".rs"}


def main():
    root = pathlib.Path("WORKSPACE").resolve().parent
    found = []
    for top in ("core", "apps", "sdk", "plugins"):
        for path in sorted((root / top).rglob("*")):
            name = str(path.relative_to(root))
            if path.suffix not in SOURCES and path.name != "BUILD" or name in ALLOWED:
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if FORBIDDEN.search(line):
                    found.append(f"{name}:{number}: {line.strip()}")
    print("\n".join(found))
    if found:
        print("load plugins through PluginTrust and PluginLoader (core/plugin) only")
    # The rule must be able to fail.
    if not FORBIDDEN.search((root / "core/plugin/plugin.cc").read_text()):
        print("core/plugin/plugin.cc names no dynamic linker: is this test still right?")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
