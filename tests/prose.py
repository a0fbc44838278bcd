#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the project's prose: short sentences that start with their subject.

tests/prose.py [FILE...] reads pages, comments, messages, help texts and test titles of these files, or
of all files that git tracks or would add. A sentence may have at most 25 words. It must not begin with "What" or
"Who" unless it is a question. Prints FILE:LINE for each violation. Status 1 when there is one.

An inline code span counts as one word. Code blocks and indented blocks are not prose. A list item, a
table cell and a heading end a sentence. Only . ! ? end a sentence within a paragraph. Of a script's
strings, test titles and the arguments of echo, printf and the functions that fail or skip are read.
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
SENTENCE_END = re.compile(r"(?<![ .(]e\.g)(?<![ .(]i\.e)(?<!\bvs)(?<!\bcf)(?<!\.\.)[.!?][)\"'”*_]*(?=\s|$)")
ABBREVIATION = re.compile(r"\betc\.(?=\s+[a-z(])")
NOT_SUBJECT = re.compile(r"^[\"'(*_>\s]*(What|Whatever|Who|Whoever|Whom|Whose)\b")
LIST_ITEM = re.compile(r"^\s*([-*+]|\d+[.)])\s+")
PARAMETER = re.compile(r"^\s*@[\w.]+:?\s+")
DRAWING = re.compile(r"[|+]--|--[>+|]|[─│┌┐└┘├┤▶▼]")
# A name, a gap and the text that explains it.
ROW = re.compile(r"^ {0,3}\S.*?(\t+| {3,})(?=\S)")


def paragraphs_of_text(lines):
    """Yields (line number, text) for each paragraph of (number, text) lines of a comment."""
    start, words, column = 0, [], None

    def flush():
        nonlocal words
        if words:
            yield start, " ".join(words)
        words = []

    for number, line in lines:
        text = line.rstrip()
        indent = len(text) - len(text.lstrip())
        if not text or DRAWING.search(text):
            yield from flush()
            column = None
            continue
        row = ROW.match(text)
        if column is not None and abs(indent - column) <= 1:
            pass
        elif row:
            yield from flush()
            column = row.end()
            text = text[column:]
        elif text.startswith(("\t", "    ")):
            # Code.
            yield from flush()
            column = None
            continue
        else:
            if column is not None or LIST_ITEM.match(text) or PARAMETER.match(text):
                yield from flush()
                text = PARAMETER.sub("", LIST_ITEM.sub("", text))
            column = None
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
            in_list = False
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
            lines.append((number, re.sub(r"\s+", " ", stripped).removeprefix("> ")))
        previous_blank = not line.strip()
    yield from paragraphs_of_text(lines)


def c_tokens(text):
    """Yields (line number, kind, text): comments, and strings with neighbours joined."""
    token = re.compile(
        r"/\*(?P<block>.*?)\*/|//(?P<line>[^\n]*)|\"(?P<string>(?:\\.|[^\"\\\n])*)\"|'(?:\\.|[^'\\])+'"
        r"|(?P<code>[^\s\"'/]+|/)",
        re.S,
    )
    pending, pending_line, macro = None, 0, ""
    for match in token.finditer(text):
        number = text.count("\n", 0, match.start()) + 1
        if match["string"] is not None:
            if pending is None:
                pending, pending_line = "", number
            pending += macro + match["string"]
            macro = ""
            continue
        # PRIu32, VERSION and the like stand between the parts of one string.
        if pending is not None and match["code"] and re.fullmatch(r"PRI\w+|[A-Z][A-Z0-9_]+", match["code"]):
            macro += "N"
            continue
        if pending is not None:
            yield pending_line, "string", pending
            pending, macro = None, ""
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
            text_of = token.replace('\\"', '"').replace("\\t", "\t").replace("\\r", "")
            yield from paragraphs_of_text([(number, line) for line in text_of.split("\\n")])
    yield from paragraphs_of_text(lines)


SAID = re.compile(
    r"^.*?(?:(?P<title>^@test)|\b(?:echo|printf|say|die|fail|skip|bed_fail|bed_needs_linux \S+)) +(?:'%s\\n' +)?"
    r"(?:\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>[^']*)')"
)
# A function's comment begins with its name and its arguments.
SIGNATURE = re.compile(r"^[a-z_][\w./]*(?:,? (?:/ )?[a-z_]\w*)*(?: (?:\[.*?\]|[A-Z][\w/:=.-]*)(?:\.\.\.)?)* - ")

# A comment behind a command. Each character fits one alternative, so that the search takes linear time.
TRAILING = re.compile(r"^(?:[^\s\"'#]|\s(?!#)|(?<=\S)#|\"(?:\\.|[^\"\\])*\"|'[^']*')+\s#\s(.*)")


def paragraphs_of_shell(text):
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        said = SAID.match(line)
        if said:
            words = said["double"] or said["single"] or ""
            if said["title"]:
                words = words[:1].upper() + words[1:]
            yield from paragraphs_of_text([(number, words)])
        comment = re.match(r"^\s*#(?!!) ?(.*)", line)
        if comment:
            lines.append((number, SIGNATURE.sub("", comment[1])))
            continue
        yield from paragraphs_of_text(lines)
        lines = []
        trailing = TRAILING.match(line)
        if trailing:
            yield number, trailing[1]
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


READERS = {
    "md": paragraphs_of_markdown,
    **dict.fromkeys(("c", "h", "js", "mjs", "jsonc"), paragraphs_of_c),
    "py": paragraphs_of_python,
    **dict.fromkeys(("sh", "bash", "bats", "awk", "capnp", "yaml"), paragraphs_of_shell),
    **dict.fromkeys(("Makefile", "Dockerfile", "LAYERS"), paragraphs_of_shell),
    **dict.fromkeys((".clang-format", ".clang-tidy", ".dockerignore", ".gitignore"), paragraphs_of_shell),
}


def reader_of(path):
    """Returns the reader for a file's name or, for a script without a suffix, for its first line."""
    reader = READERS.get(path.name) or READERS.get(path.suffix.removeprefix("."))
    if reader or path.suffix or not path.is_file():
        return reader
    with path.open("rb") as file:
        first = file.readline()
    if first.startswith(b"#!"):
        return paragraphs_of_python if b"python" in first else paragraphs_of_shell
    return None


def sentences(paragraph):
    text = re.sub(r"``.*?``|`[^`]*`", "CODE", paragraph)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = ABBREVIATION.sub("etc", text)
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
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = [name for name in listed.stdout.split("\0") if name and not SKIPPED.match(name)]
    found = 0
    read = 0
    for name in names:
        path = pathlib.Path(name) if arguments else ROOT / name
        if path.is_symlink() or not path.is_file() or reader_of(path) is None:
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
