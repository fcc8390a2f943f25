#!/usr/bin/env python3
"""usage: count.py EVENTS STATUS

Says how many test cases passed and failed in a `bazel test` that wrote EVENTS (its
--build_event_json_file) and exited with STATUS. Exits with 1 if any failed or STATUS is not 0.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def main():
    passed, failed = count(map(json.loads, open(sys.argv[1], encoding="utf-8")))
    broken = sys.argv[2] != "0" and failed == 0  # did not come as far as a failed test
    print(f"{passed} passed, {failed + broken} failed")
    sys.exit(1 if failed or broken else 0)


def count(events):
    """(passed, failed) cases of all tests; a test that did not build or end counts as one."""
    cases, broken = {}, set()
    for event in events:
        label = event.get("id", {}).get("testResult", {}).get("label")
        if label:  # a later attempt of the same run replaces an earlier one
            run = event["id"]["testResult"]
            key = (label, run.get("run"), run.get("shard"))
            cases[key] = cases_of(event["testResult"])
        label = event.get("id", {}).get("targetCompleted", {}).get("label")
        if label and not event.get("completed", {}).get("success"):
            broken.add(label)
    tested = {key[0] for key in cases}
    totals = [sum(column) for column in zip((0, 0), *cases.values())]
    return totals[0], totals[1] + len(broken - tested)


def cases_of(result):
    good = result["status"] in ("PASSED", "FLAKY")
    for output in result.get("testActionOutput", []):
        if output["name"] == "test.xml":
            passed, failed = cases_in(urllib.parse.unquote(output["uri"].removeprefix("file://")))
            return (passed, failed) if good else (passed, max(failed, 1))
    return (1, 0) if good else (0, 1)


def cases_in(path):
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return 0, 0
    skipped = [c for c in cases if c.get("status") == "notrun" or c.find("skipped") is not None]
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    return len(cases) - len(skipped) - len(failed), len(failed)


if __name__ == "__main__":
    main()
