"""Writes sdk/abi/plugin.h as another release might have it, for a plugin to be built from:

  reshape_header.py shorter|longer FROM TO

shorter: without the members that are marked as added since the first release, and what follows
them. longer: one more member at the end of every struct that may grow.
"""

import re
import sys

STRUCT = re.compile(r"(typedef struct (keel_\w+) \{\n)(.*?)(\n\} \2;)", re.DOTALL)
PIECE = re.compile(r"/\*.*?\*/|[^\s/;][^/;]*;", re.DOTALL)
ADDED = re.compile(r"since 0\.2|appended in opset 2")
# Frozen for ever.
FROZEN = ("keel_host", "keel_plugin", "keel_list", "keel_str", "keel_arg", "keel_meta")
LONGER = "\n  uint64_t of_a_later_release;"


def members(body):
    """(end of the member in body, its text with its comments); a comment on its line is its own."""
    comments, out = "", []
    for piece in PIECE.finditer(body):
        text = piece.group()
        if not text.startswith("/*"):
            out.append([piece.end(), comments + text])
            comments = ""
        elif out and "\n" not in body[out[-1][0] : piece.start()]:
            out[-1][1] += text
            out[-1][0] = piece.end()
        else:
            comments += text
    return out


def shorter(body):
    end = 0
    for member_end, text in members(body):
        if ADDED.search(text):
            return body[:end]
        end = member_end
    return body


def main(how, source, target):
    text = open(source, encoding="utf-8").read()

    def reshape(match):
        head, name, body, tail = match.groups()
        if name in FROZEN or "uint32_t struct_size" not in body:
            return match.group()
        return head + (shorter(body) if how == "shorter" else body + LONGER) + tail

    reshaped = STRUCT.sub(reshape, text)
    if reshaped == text:
        sys.exit(f"{source}: no struct is {how}")
    open(target, "w", encoding="utf-8").write(reshaped)


if __name__ == "__main__":
    main(*sys.argv[1:])
