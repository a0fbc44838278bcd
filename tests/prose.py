#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the project's prose: short sentences that start with their subject.

tests/prose.py [FILE...] reads pages, comments, messages, help texts and test titles of these files, or
of all files that git tracks. A sentence may have at most 25 words. It must not begin with "What" or
"Who" unless it is a question. Prints FILE:LINE for each violation. Status 1 when there is one.

An inline code span counts as one word. Code blocks and indented blocks are not prose. A list item, a
table cell and a heading end a sentence. Only . ! ? end a sentence within a paragraph.
"""

import ast
import io
import pathlib
import re
import subprocess
import sys
import tokenize

WORDS_MAX = 25
ROOT = pathlib.Path(__file__).resolve().parent.parent
# Texts of others, and data.
SKIPPED = re.compile(r"^(LICENSES/|vmlinux\.h$)")
# Strings of a C file that people read: messages, help texts, and test titles.
SENTENCE_END = re.compile(r"(?<![ .(]e\.g)(?<![ .(]i\.e)(?<!\bvs)(?<!\bcf)[.!?][)\"'”*_]*(?=\s|$)")
NOT_SUBJECT = re.compile(r"^[\"'(*_]*(What|Whatever|Who|Whoever|Whom|Whose)\b")
LIST_ITEM = re.compile(r"^\s*([-*+]|\d+[.)])\s+")


def paragraphs_of_text(lines):
    """Yields (line number, text) for each paragraph of (number, text) lines of a comment."""
    start, words = 0, []

    def flush():
        nonlocal words
        if words:
            yield start, " ".join(words)
        words = []

    for number, line in lines:
        text = line.rstrip()
        kernel_doc = re.match(r"^\s*@[\w.]+:?\s", text)
        # Drawings, tables and code stand behind a tab or four blanks, fields of a table behind a tab.
        drawing = re.match(r"^(\t| {4,})", text) or re.search(r"\S(\t| {3,})\S|[|+]--|-->", text)
        if not text.strip() or drawing:
            yield from flush()
            continue
        if LIST_ITEM.match(text) or kernel_doc:
            yield from flush()
            text = LIST_ITEM.sub("", text)
        if not words:
            start = number
        words.append(text.strip())
    yield from flush()


def paragraphs_of_markdown(text):
    """Yields (line number, text) for each paragraph, heading, list item and table cell."""
    fenced = False
    lines = []
    previous_blank = True
    in_list = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"^\s*(```|~~~)", line):
            fenced = not fenced
            yield from paragraphs_of_text(lines)
            lines = []
            continue
        if fenced:
            continue
        # Indented code, but not the continuation of a list item.
        if re.match(r"^( {4,}|\t)", line) and (previous_blank or not lines) and not in_list:
            continue
        if line.lstrip().startswith("|") or line.startswith("#"):
            yield from paragraphs_of_text(lines)
            lines = []
            for cell in re.split(r"(?<!\\)\|", line.strip("| \n#")):
                if not re.fullmatch(r"[\s:-]*", cell):
                    yield number, cell.strip()
        else:
            stripped = line.strip()
            if LIST_ITEM.match(line):
                in_list = True
                yield from paragraphs_of_text(lines)
                lines = []
                stripped = LIST_ITEM.sub("", line)
            elif not stripped:
                yield from paragraphs_of_text(lines)
                lines = []
            elif not line.startswith(" "):
                in_list = in_list and not previous_blank
            lines.append((number, re.sub(r"\s+", " ", stripped)))
        previous_blank = not line.strip()
    yield from paragraphs_of_text(lines)


def c_tokens(text):
    """Yields (line number, kind, text): comments, and strings with neighbours joined."""
    token = re.compile(
        r"/\*(?P<block>.*?)\*/|//(?P<line>[^\n]*)|\"(?P<string>(?:\\.|[^\"\\\n])*)\"|'(?:\\.|[^'\\])+'"
        r"|(?P<code>[^\s\"'/]+|/)",
        re.S,
    )
    pending, pending_line = None, 0
    for match in token.finditer(text):
        number = text.count("\n", 0, match.start()) + 1
        if match["string"] is not None:
            if pending is None:
                pending, pending_line = "", number
            pending += match["string"]
            continue
        # PRIu32 and the like stand between the parts of one string.
        if pending is not None and match["code"] and re.fullmatch(r"PRI\w+|SIDESTEP_VERSION", match["code"]):
            pending += "N"
            continue
        if pending is not None:
            yield pending_line, "string", pending
            pending = None
        if match["block"] is not None:
            yield number, "comment", match["block"]
        elif match["line"] is not None:
            yield number, "line", match["line"]


def paragraphs_of_c(text):
    lines = []
    for number, kind, token in c_tokens(text):
        if kind == "line":
            if lines and lines[-1][0] != number - 1:
                yield from paragraphs_of_text(lines)
                lines = []
            lines.append((number, token.removeprefix(" ")))
            continue
        yield from paragraphs_of_text(lines)
        lines = []
        if kind == "comment":
            block = [re.sub(r"^\s*\* ?", "", line) for line in token.split("\n")]
            block[0] = block[0].removeprefix(" ").removeprefix("*")
            yield from paragraphs_of_text([(number + i, line) for i, line in enumerate(block)])
        elif " " in token:
            text_of = token.replace('\\"', '"').replace("\\t", " ")
            for line in text_of.split("\\n"):
                if not re.match(r"^\s{2,}", line):
                    yield number, line
    yield from paragraphs_of_text(lines)


def paragraphs_of_shell(text):
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        title = re.match(r"^@test \"(.*)\" \{", line)
        if title:
            yield number, title[1]
        comment = re.match(r"^\s*#(?!!) ?(.*)", line)
        if comment:
            lines.append((number, comment[1]))
        elif lines:
            yield from paragraphs_of_text(lines)
            lines = []
    yield from paragraphs_of_text(lines)


def paragraphs_of_python(text):
    lines = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            if lines and lines[-1][0] != token.start[0] - 1:
                yield from paragraphs_of_text(lines)
                lines = []
            lines.append((token.start[0], re.sub(r"^# ?", "", token.string)))
    yield from paragraphs_of_text(lines)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            first = node.body[0].lineno
            yield from paragraphs_of_text(enumerate(ast.get_docstring(node).splitlines(), first))


def reader_of(path):
    name = path.name
    if name.endswith(".md"):
        return paragraphs_of_markdown
    if name.endswith((".c", ".h", ".js", ".mjs", ".capnp")) or name == "wrangler.jsonc":
        return paragraphs_of_c
    if name.endswith(".py"):
        return paragraphs_of_python
    if name.endswith((".sh", ".bash", ".bats", ".awk", ".yaml")) or name in ("Makefile", "Dockerfile", "run"):
        return paragraphs_of_shell
    return None


def sentences(paragraph):
    text = re.sub(r"``.*?``|`[^`]*`", "CODE", paragraph)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    begin = 0
    for end in SENTENCE_END.finditer(text):
        yield text[begin : end.end()].strip()
        begin = end.end()
    if text[begin:].strip():
        yield text[begin:].strip()


def violations(path, reader=None):
    """Yields (line number, reason, sentence) for each violation in a file."""
    reader = reader or reader_of(path)
    text = path.read_text(encoding="utf-8")
    for number, paragraph in reader(text):
        if paragraph.startswith("SPDX-"):
            continue
        for sentence in sentences(paragraph):
            words = [word for word in sentence.split() if re.search(r"\w", word)]
            if len(words) > WORDS_MAX:
                yield number, f"{len(words)} words", sentence
            if NOT_SUBJECT.match(sentence) and not sentence.rstrip("\"')*_").endswith("?"):
                yield number, "begins with a clause", sentence


def main(arguments):
    if arguments:
        names = arguments
    else:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name and not SKIPPED.match(name)]
    found = 0
    read = 0
    for name in names:
        path = pathlib.Path(name) if arguments else ROOT / name
        if reader_of(path) is None or not path.is_file():
            continue
        read += 1
        for number, reason, sentence in violations(path):
            found += 1
            print(f"{name}:{number}: {reason}: {sentence}")
    if not read:
        print("prose: no file was read")
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
