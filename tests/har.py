# SPDX-License-Identifier: Apache-2.0
"""har.py FILE - checks an HTTP archive by the fields that HAR 1.2 demands
(http://www.softwareishard.com/blog/har-12-spec/), and prints a line for each entry."""

import datetime
import json
import sys

NUMBER = (int, float)
# The fields that an object must have, with their types or the objects within. A list has one kind of item.
PAIR = {"name": str, "value": str}
RULES = {
    "log": {
        "version": str,
        "creator": {"name": str, "version": str},
        "entries": [{
            "startedDateTime": str,
            "time": NUMBER,
            "request": {
                "method": str, "url": str, "httpVersion": str, "cookies": [PAIR], "headers": [PAIR],
                "queryString": [PAIR], "headersSize": int, "bodySize": int,
            },
            "response": {
                "status": int, "statusText": str, "httpVersion": str, "cookies": [PAIR], "headers": [PAIR],
                "content": {"size": int, "mimeType": str}, "redirectURL": str, "headersSize": int,
                "bodySize": int,
            },
            "cache": {},
            "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER},
        }],
    },
}


def check(value, rule, where):
    if isinstance(rule, dict):
        assert isinstance(value, dict), f"{where} is no object"
        for name, inner in rule.items():
            assert name in value, f"{where} has no {name}"
            check(value[name], inner, f"{where}.{name}")
    elif isinstance(rule, list):
        assert isinstance(value, list), f"{where} is no list"
        for number, item in enumerate(value):
            check(item, rule[0], f"{where}[{number}]")
    else:
        assert isinstance(value, rule) and not isinstance(value, bool), f"{where} is {value!r}"


def describe(entry):
    request, response = entry["request"], entry["response"]
    parts = [request["method"], request["url"]]
    parts += [f"[{pair['name']}={pair['value']}]" for pair in request["queryString"]]
    if "postData" in request:
        post = request["postData"]
        check(post, {"mimeType": str, "text": str}, "postData")
        parts += ["body", post.get("comment", post["text"])]
    parts += [str(response["status"]), "text" if response["content"].get("text") else "empty"]
    return " ".join(parts)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        archive = json.load(file)
    check(archive, RULES, "archive")
    for entry in archive["log"]["entries"]:
        datetime.datetime.fromisoformat(entry["startedDateTime"].replace("Z", "+00:00"))
        assert min(entry["timings"].values()) >= 0 and entry["time"] >= 0, entry["timings"]
        print(describe(entry))


if __name__ == "__main__":
    main()
