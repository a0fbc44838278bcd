#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the pages with the program, for tests/docs.bats.

tests/docs.py options PROGRAM   docs/OPTIONS.md against the --help of each command
tests/docs.py messages          docs/TROUBLESHOOTING.md against the strings in user/
tests/docs.py walks             the walks of docs/DEVELOPING.md against the functions in user/
tests/docs.py rooms             its table of rooms against user/LAYERS
tests/docs.py findings          docs/DOCTOR.md against the table of findings in user/doctor
tests/docs.py reasons           docs/EVENTS.md against the table of reasons in user/events, and that against the code and tests
tests/docs.py faults            the table of faults in docs/DOCTOR.md against findings, reasons and tests
tests/docs.py links             links between pages, and paths and functions of the source in them
tests/docs.py commands PROGRAM  the commands in the pages and in deploy/ and examples/ against the --help of each
tests/docs.py lines PAGE        prints the lines of commands of that page, without indentation and "sudo"
tests/docs.py block HEADING N   prints the Nth block of commands below that heading of README.md
tests/docs.py blocks            prints "HEADING<tab>N" for each block of commands in README.md

Prints one line for each difference. Status 1 if there is one.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [page for name in ("*.md", "docs/*.md", "bench/*.md", "deploy/*.md", "examples/*/*.md") for page in sorted(ROOT.glob(name))]
FILE_CHANGES_MAX = 12


def rows(text):
    """Yields the cells of each table row, without the head and the line below it."""
    previous = None
    for line in text.splitlines():
        if not line.startswith("|"):
            previous = None
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if previous and not all(re.fullmatch(r"-+", cell) for cell in cells):
            yield cells
        previous = line


def section(text, heading):
    """Returns the text below a heading, up to the next one of the same or a higher level."""
    match = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.S | re.M)
    return match[2] if match else None


# Options


def options_of_help(text):
    """Returns {option with its argument: (values, default)} of a --help text."""
    found = {}
    body = text.split("\nExamples\n")[0].split("\nExit status\n")[0]
    for match in re.finditer(r"^  (--\S+(?: \S+)?)(?:  +|\n)(.*(?:\n {4,}\S.*)*)", body, re.M):
        words = " ".join(match[2].split())
        facts = re.search(r"\[([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]$", words)
        values, default = "", ""
        for fact in facts[1].split("; ") if facts else ():
            if fact.startswith("default: "):
                default = fact.removeprefix("default: ")
            elif not fact.startswith("example: "):
                values = fact.removeprefix("one of ")
        found[match[1]] = (values, default)
    found.pop("--help", None)
    found.pop("--version", None)
    return found


def options_of_page(text):
    return {
        cells[0].strip("`"): (cells[1], cells[2].replace("`", ""))
        for cells in rows(text)
        if cells[0].startswith("`--") and len(cells) == 4
    }


def check_options(program):
    page = (ROOT / "docs/OPTIONS.md").read_text()

    def run(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout

    commands = re.findall(r"^  ([a-z]+) {2,}", run("--help"), re.M)
    described = re.findall(r"^## sidestep (\S+)$", page, re.M)
    for command in sorted(set(commands) ^ set(described)):
        yield f"sidestep {command}: only in {'the program' if command in commands else 'the page'}"
    for command in sorted(set(commands) & set(described)):
        ours = options_of_page(section(page, f"sidestep {command}"))
        theirs = options_of_help(run(command, "--help"))
        for option in sorted(set(ours) | set(theirs)):
            if ours.get(option) != theirs.get(option):
                yield f"sidestep {command} {option}: page {ours.get(option)}, program {theirs.get(option)}"


# Messages

TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"((?:\\.|[^\"\\\n])*)\"|'(?:\\.|[^'\\])+'|([;{}])", re.S)
# These messages answer a command line or a request, name the fault, and exit or return at once.
SELF_EVIDENT = re.compile(r"user/(lib/options|gateway/|commands/demo)")


def statements(text):
    """Yields (line number, code, joined string literals) for each statement of a C file."""
    begin, strings, code = 0, "", ""
    position = 0
    for match in TOKEN.finditer(text):
        code += text[position : match.start()]
        position = match.end()
        if match[1] is not None:
            strings += match[1].replace('\\"', '"')
        elif match[2]:
            if strings:
                yield text.count("\n", 0, begin) + 1, code, strings
            begin, strings, code = match.end(), "", ""


def program_messages():
    for path in sorted((ROOT / "user").rglob("*.c")):
        name = str(path.relative_to(ROOT))
        for line, code, strings in statements(path.read_text()):
            yield name, line, code, re.sub(r"%[-+ #0-9.*]*(?:l{1,2}|z|h{1,2})?[a-zA-Z]", "\0", strings)


def quoted_messages(page):
    """Yields (quote, its fixed parts) for each message in the tables with a remedy."""
    for cells in rows(page):
        if len(cells) != 3:
            continue
        for quote in re.findall(r"`([^`]+)`", cells[0]):
            parts = [part.strip() for part in re.split(r"\.\.\.|\b(?:N|M|DIR|NAME)\b", quote)]
            if max(len(part) for part in parts) >= 12:
                yield quote, [part for part in parts if re.search(r"\w", part)]


def in_order(parts, text):
    position = 0
    for part in parts:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return True


def says(text, quote, parts):
    """Tells whether a statement with these strings prints the quoted message.

    Either all fixed parts of the quote stand in it, or the quote fills its format.
    """
    if in_order(parts, text):
        return True
    fixed = [part.strip() for part in text.split("\0") if re.search(r"\w", part)]
    if sum(len(part) for part in fixed) < 20:
        return False
    return in_order([*fixed[:-1], fixed[-1][:20]], quote)


def check_messages():
    quotes = list(quoted_messages((ROOT / "docs/TROUBLESHOOTING.md").read_text()))
    program = list(program_messages())
    for quote, parts in quotes:
        if not any(says(text, quote, parts) for _, _, _, text in program):
            yield f"docs/TROUBLESHOOTING.md quotes what no statement says: {quote}"
    for name, line, code, text in program:
        # A message that gives advice or a consequence behind the fault belongs into the page.
        message = re.sub(r"^(?:\0|docker|control|network namespace \0): ", "", text)
        advice = re.search(r"(?:[:;] |\()\w[^\0]{12,}", message)
        if not re.search(r"\blog_(error|errno|warning)\(|_fail\(", code) or not advice:
            continue
        if not SELF_EVIDENT.match(name) and not any(says(text, *quote) for quote in quotes):
            yield f"{name}:{line}: not in docs/TROUBLESHOOTING.md: {text.replace(chr(0), '%')}"


# Walks


def check_walks():
    """Each step is "N. `function()` in `user/ROOM/file.c` ...". Behind "*Loop ..." any file may be entered."""
    page = (ROOT / "docs/DEVELOPING.md").read_text()
    walks = re.findall(r"^### (Walk: [^\n]*)\n(.*?)(?=^#|\Z)", page, re.S | re.M)
    if len(walks) < 2:
        yield f"docs/DEVELOPING.md has {len(walks)} walks"
    for title, text in walks:
        current, left, looped, changes, steps = None, set(), True, 0, 0
        for line in text.splitlines():
            if line.startswith("*Loop"):
                left, looped = set(), True
                continue
            step = re.match(r"^\d+\. `([a-z_0-9]+)\(\)` in `([^`]+)`", line)
            if not step:
                if re.match(r"^\d+\. ", line):
                    yield f"{title}: cannot read: {line}"
                continue
            function, name = step[1], step[2]
            steps += 1
            path = ROOT / name
            # A definition: its name begins a word, and a brace follows the parameters.
            pattern = rf"^[a-z_].*\b{function}\([^;{{}}]*\)\n\{{"
            if not path.is_file() or not re.search(pattern, path.read_text(), re.M):
                yield f"{title}: {function}() is not defined in {name}"
            if name != current:
                changes += current is not None
                if name in left:
                    yield f"{title}: {name} is entered again at {function}()"
                if not looped:
                    left.add(current)
            current, looped = name, False
        if changes > FILE_CHANGES_MAX:
            yield f"{title}: {changes} changes of file"
        if not steps:
            yield f"{title}: no steps"


# Rooms


def check_rooms():
    """The table of rooms in docs/DEVELOPING.md against user/LAYERS."""
    lines = (ROOT / "user/LAYERS").read_text().splitlines()
    layers = [tuple(part.strip() for part in line.split(":")) for line in lines if line and line[0] != "#"]
    page = section((ROOT / "docs/DEVELOPING.md").read_text(), "The rooms of `user/`")
    table = [(cells[0].strip("`"), cells[1]) for cells in rows(page)]
    for room in sorted(set(layers) ^ set(table)):
        yield f"{room[0]}: {room[1]}: only in {'user/LAYERS' if room in layers else 'the page'}"


# Findings


def check_findings():
    """The ids, subjects and severities of docs/DOCTOR.md against user/doctor/finding.c."""
    source = (ROOT / "user/doctor/finding.c").read_text()
    table = {match[1]: (match[2], match[3].lower()) for match in re.finditer(
        r'^\t\[FINDING_\w+\] =\s*\{\s*"([^"]+)",\s*"([^"]+)",\s*([A-Z]+),', source, re.M)}
    page = section((ROOT / "docs/DOCTOR.md").read_text(), "Findings")
    described = {cells[0].strip("`"): (cells[1], cells[2]) for cells in rows(page)}
    if len(table) != len(re.findall(r"^\t\[FINDING_", source, re.M)):
        yield "user/doctor/finding.c: cannot read all rows"
    for name in sorted(set(table) | set(described)):
        if table.get(name) != described.get(name):
            yield f"{name}: page {described.get(name)}, program {table.get(name)}"


# Reasons and faults

# These files give an event its reason. Most reasons have an underscore.
PRODUCERS = ["proxy/connection*.c", "proxy/worker.c", "proxy/intercept.c", "proxy/dns_*.c", "events/event_denial.c"]


def reasons_of_program():
    """Returns {reason: its remedy or ""} of user/events/reason.c."""
    source = (ROOT / "user/events/reason.c").read_text()
    entries = re.findall(r'\{"(\w+)",\s*((?:NULL|"[^"]*"\s*)+)\}', source)
    return {name: "".join(re.findall(r'"([^"]*)"', remedy)) for name, remedy in entries}


def check_reasons():
    table = reasons_of_program()
    page = section((ROOT / "docs/EVENTS.md").read_text(), "Reasons")
    described = {cells[0].strip("`"): cells[2] for cells in rows(page)}
    for name in sorted(set(table) | set(described)):
        if table.get(name) != described.get(name):
            yield f"{name}: page {described.get(name)!r}, program {table.get(name)!r}"
    source = "".join(path.read_text() for name in PRODUCERS for path in ROOT.glob(f"user/{name}"))
    used = set(re.findall(r'(?:[{,:?]|=|return)\s*"([a-z0-9]+(?:_[a-z0-9]+)+)"', source))
    for name in sorted(used - set(table)):
        yield f"{name}: not in user/events/reason.c"
    quoted = set(re.findall(r'"(\w+)"', source))
    for name in sorted(set(table) - quoted):
        yield f"{name}: nothing gives this reason"
    tested = set(re.findall(r"\w+", "".join(path.read_text() for path in ROOT.glob("tests/*.bats"))))
    for name in sorted(set(table) - tested):
        yield f"{name}: no .bats test names this reason"


def tests_of(path):
    """Returns {title: text} for the tests of a .bats file, each with the functions of the file that it calls."""
    source = path.read_text() if path.is_file() else ""
    functions = dict(re.findall(r"^(\w+)\(\) \{(.*?)^\}", source, re.S | re.M))
    tests = dict(re.findall(r'^@test "([^"]*)" \{(.*?)^\}', source, re.S | re.M))
    for title, text in tests.items():
        called = [text]
        for body in called:
            words = set(re.findall(r"\b\w+\b", body))
            called += [functions[name] for name in sorted(words & set(functions)) if functions[name] not in called]
        tests[title] = "".join(called)
    return tests


def check_faults():
    """A row is: fault, findings and reasons, tests that plant it as "FILE: beginning of the title"."""
    page = (ROOT / "docs/DOCTOR.md").read_text()
    known = {cells[0].strip("`") for cells in rows(section(page, "Findings"))} | set(reasons_of_program())
    faults = list(rows(section(page, "Faults")))
    if len(faults) < 20:
        yield f"docs/DOCTOR.md has {len(faults)} faults"
    for fault, found, planted in faults:
        names = re.findall(r"`([\w-]+)`", found)
        titles = re.findall(r"`(\w+): ([^`]+)`", planted)
        bodies = ""
        if not titles:
            yield f"{fault}: no test"
        for file, title in titles:
            tests = [text for name, text in tests_of(ROOT / f"tests/{file}.bats").items() if name.startswith(title)]
            if len(tests) != 1:
                yield f"{fault}: {len(tests)} tests begin so in tests/{file}.bats: {title}"
            bodies += "".join(tests)
        for name in names:
            if name not in known:
                yield f"{fault}: {name} is neither a finding nor a reason"
            elif titles and not re.search(rf"(?<![\w-]){name}(?![\w-])", bodies):
                yield f"{fault}: its tests do not name {name}"
        if not names:
            yield f"{fault}: nothing finds it"


# Links


def anchors(text):
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_links():
    sources = [path for suffix in ("[ch]", "py", "bash") for path in ROOT.glob(f"[!.b]*/**/*.{suffix}")]
    sources += [path for folder in ("bpf", "bench") for path in ROOT.glob(f"{folder}/**/*.[chp]*")]
    words = set(re.findall(r"\b\w+\b", "\n".join(path.read_text() for path in sources)))
    for page in PAGES:
        text = page.read_text()
        name = page.relative_to(ROOT)
        prose = re.sub(r"```.*?```", "", text, flags=re.S)
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (page.parent / file).resolve() if file else page
            if not path.exists():
                yield f"{name}: no {target}"
            elif anchor and anchor not in anchors(path.read_text()):
                yield f"{name}: no heading for {target}"
        for path in re.findall(r"`((?:user|bpf|include|tests|bench|image|examples|docs)/[\w./*-]+)`", prose):
            if not path.startswith("bench/out/") and not list(ROOT.glob(path.rstrip("/").replace("NAME", "*"))):
                yield f"{name}: no {path}"
        for function in re.findall(r"`([a-z]\w*)\(\)`", prose):
            if function not in words:
                yield f"{name}: the source has no {function}()"


# Commands


def command_lines(text):
    """Yields the lines of a page that are for a shell. A backslash has joined lines."""
    for line in re.findall(r"^(?: {4})?(?:sudo )?((?:(?:docker|sidestep|curl|nsenter)\b|pid=).*)", text.replace("\\\n", ""), re.M):
        yield re.sub(r"\s+#.*| +$", "", line)


def check_commands(program):
    sources = PAGES + [path for folder in ("deploy", "examples") for path in sorted(ROOT.glob(f"{folder}/**/*.[ys]*"))]
    known = {}
    for path in sources:
        text = path.read_text().replace("\\\n", "")
        if path.suffix != ".md":
            text = re.sub(r"[\[\]\",]", "", re.sub(r"^ *(?:args|command):", "sidestep", text, flags=re.M))
        for command, words in re.findall(r"(?<![\w./-])sidestep ([a-z]+)((?: [^`|;&\n]*)?)", text):
            for name in re.findall(r"(?<= )--([a-z][a-z0-9-]+)", words):
                if command not in known:
                    run = subprocess.run([program, "help", command], capture_output=True, text=True, check=False)
                    known[command] = re.findall(r"^  --([a-z0-9-]+)", run.stdout, re.M)
                if name not in known[command]:
                    yield f"{path.relative_to(ROOT)}: sidestep {command} has no --{name}"


def print_lines(page):
    for line in command_lines((ROOT / page).read_text()):
        print(line)
    return 0


# Blocks of commands


def blocks(text):
    """Yields (heading, number, commands) for each block that is marked as shell."""
    heading, number = "", 0
    for match in re.finditer(r"^#+ ([^\n]*)$|^```sh\n(.*?)^```$", text, re.S | re.M):
        if match[1] is not None:
            heading, number = match[1], 0
        else:
            number += 1
            yield heading, number, match[2]


def print_blocks(arguments):
    readme = (ROOT / "README.md").read_text()
    for heading, number, commands in blocks(readme):
        if not arguments:
            print(f"{heading}\t{number}")
        elif [heading, str(number)] == arguments:
            print(commands, end="")
            return 0
    return 1 if arguments else 0


CHECKS = {
    "options": check_options,
    "messages": check_messages,
    "walks": check_walks,
    "rooms": check_rooms,
    "findings": check_findings,
    "reasons": check_reasons,
    "faults": check_faults,
    "links": check_links,
    "commands": check_commands,
}


def main(arguments):
    if arguments[:1] in (["block"], ["blocks"]):
        return print_blocks(arguments[1:])
    if arguments[:1] == ["lines"]:
        return print_lines(*arguments[1:])
    if not arguments or arguments[0] not in CHECKS:
        print(__doc__)
        return 2
    status = 0
    for line in CHECKS[arguments[0]](*arguments[1:]):
        print(line)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
