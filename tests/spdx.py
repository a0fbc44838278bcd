#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks SPDX documents in JSON against the rules of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/).

tests/spdx.py FILE... prints one line for each fault. Status 1 if there is one.
"""

import json
import re
import sys

IDENTIFIER = r"SPDXRef-[A-Za-z0-9.-]+"
RELATIONS = {"DESCRIBES", "CONTAINS", "STATIC_LINK", "DYNAMIC_LINK"}
LICENCES = {
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-or-later",
    "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MIT", "X11-distribute-modifications-variant",
    "Zlib",
}  # fmt: skip
# Each name, whether it must be there, and the pattern of the whole value.
DOCUMENT = {
    "spdxVersion": "SPDX-2[.]3",
    "dataLicense": "CC0-1[.]0",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": ".+",
    "documentNamespace": r"[a-z]+:[^#\s]+",
}
PACKAGE = {
    "SPDXID": IDENTIFIER,
    "name": ".+",
    "versionInfo": ".+",
    "downloadLocation": r"NOASSERTION|NONE|https?://\S+",
    "copyrightText": ".+",
}


def licence_fault(expression):
    words = re.findall(r"[()]|[^\s()]+", expression)
    names = [word for word in words if word not in ("AND", "OR", "(", ")")]
    if expression == "NOASSERTION" or (names and all(name in LICENCES for name in names)):
        return None
    return f"licence expression {expression!r}"


def field_faults(where, fields, entry):
    for name, pattern in fields.items():
        if not isinstance(entry.get(name), str) or not re.fullmatch(pattern, entry[name]):
            yield f"{where}: {name} is {entry.get(name)!r}"


def package_faults(package):
    where = package.get("name", "a package")
    yield from field_faults(where, PACKAGE, package)
    if package.get("filesAnalyzed") is not False:
        yield f"{where}: filesAnalyzed without a verification code"
    for name in ("licenseConcluded", "licenseDeclared"):
        fault = licence_fault(package.get(name, ""))
        if fault:
            yield f"{where}: {fault}"
    for checksum in package.get("checksums", ()):
        if checksum["algorithm"] != "SHA256" or not re.fullmatch("[0-9a-f]{64}", checksum["checksumValue"]):
            yield f"{where}: checksum {checksum}"
    for reference in package.get("externalRefs", ()):
        if reference["referenceCategory"] != "PACKAGE-MANAGER" or reference["referenceType"] != "purl":
            yield f"{where}: reference {reference}"
        if not re.fullmatch(r"pkg:deb/debian/[a-z0-9.+-]+@[^@\s]+\?arch=[a-z0-9]+", reference["referenceLocator"]):
            yield f"{where}: purl {reference['referenceLocator']}"


def faults(document):
    yield from field_faults("document", DOCUMENT, document)
    creation = document.get("creationInfo", {})
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", creation.get("created", "")):
        yield f"created is {creation.get('created')!r}"
    if not all(re.match("(Tool|Person|Organization): .", creator) for creator in creation.get("creators", [""])):
        yield f"creators are {creation.get('creators')!r}"
    packages = document.get("packages", [])
    for package in packages:
        yield from package_faults(package)
    known = [document.get("SPDXID")] + [package.get("SPDXID") for package in packages]
    for name in {name for name in known if known.count(name) > 1}:
        yield f"{name} is there more than once"
    relationships = document.get("relationships", [])
    for relationship in relationships:
        if relationship["relationshipType"] not in RELATIONS:
            yield f"relation {relationship['relationshipType']}"
        for end in ("spdxElementId", "relatedSpdxElement"):
            if relationship[end] not in known:
                yield f"{relationship[end]} does not exist"
    for name in set(known[1:]) - {relationship["relatedSpdxElement"] for relationship in relationships}:
        yield f"{name} stands in no relation"


def main():
    bad = False
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for fault in faults(json.load(file)):
                print(f"{path}: {fault}")
                bad = True
    return bad


if __name__ == "__main__":
    sys.exit(main())
