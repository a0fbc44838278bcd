#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks Kubernetes manifests against the API's types, with Debian's python3-kubernetes.

tests/distros/manifests.py FILE... prints one line for each fault. Status 1 if there is one.
"""

import json
import sys
import types

import yaml
from kubernetes import client

# Fields that are newer than Debian 12's client (Kubernetes 1.22).
NEWER = {("initContainers", "restartPolicy")}


def known(kind, value, where, parent=""):
    """Yields a fault for each field that the type does not have."""
    if kind.startswith("list["):
        for index, item in enumerate(value):
            yield from known(kind[5:-1], item, f"{where}[{index}]", parent)
    elif hasattr(client, kind):
        if not isinstance(value, dict):
            yield f"{where}: not an object"
            return
        model = getattr(client, kind)
        fields = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
        for name, item in value.items():
            if name in fields:
                yield from known(fields[name], item, f"{where}.{name}", name)
            elif (parent, name) not in NEWER:
                yield f"{where}.{name}: {kind} has no such field"
    elif kind == "str" and not isinstance(value, str) or kind == "int" and type(value) is not int:
        yield f"{where}: {value!r} is no {kind}"
    elif kind == "bool" and not isinstance(value, bool):
        yield f"{where}: {value!r} is no {kind}"


def faults(path):
    api = client.ApiClient()
    with open(path, encoding="utf-8") as file:
        for manifest in yaml.safe_load_all(file):
            kind = f"V1{manifest['kind']}"
            where = f"{path}: {manifest['kind']} {manifest['metadata']['name']}"
            if not hasattr(client, kind):
                yield f"{where}: unknown kind"
                continue
            yield from known(kind, manifest, where)
            try:
                # The models refuse an object without a required field.
                api.deserialize(types.SimpleNamespace(data=json.dumps(manifest)), kind)
            except ValueError as error:
                yield f"{where}: {error}"


def main():
    bad = False
    for path in sys.argv[1:]:
        for fault in faults(path):
            print(fault)
            bad = True
    return bad


if __name__ == "__main__":
    sys.exit(main())
