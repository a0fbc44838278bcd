# SPDX-License-Identifier: Apache-2.0
"""The environment of the figures: kernel, processor, programs, settings."""

import os
import platform
import re
import subprocess

from harness.place import ALL_CPUS, CONGESTION_CONTROL, REPO, Unavailable


def first_line(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    lines = (result.stdout + result.stderr).strip().splitlines()
    return lines[0] if lines else None


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def cpu_model():
    text = read("/proc/cpuinfo") or ""
    match = re.search(r"^model name\s*: (.*)$", text, re.M)
    return match.group(1) if match else platform.machine()


def hypervisor():
    return "hypervisor" in (read("/proc/cpuinfo") or "")


def competitor_versions(competitors):
    found = {}
    for module in competitors:
        try:
            found.update(module.versions())
        except (Unavailable, OSError, IndexError) as error:
            found[module.NAME] = f"not there: {error}"
    return found


def describe(competitors):
    return {
        "kernel": platform.release(),
        "kernel_build": platform.version(),
        "cpu": cpu_model(),
        "cpus": len(ALL_CPUS),
        "virtual_machine": hypervisor(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1000000,
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_at_start": os.getloadavg(),
        "congestion_control": CONGESTION_CONTROL,
        "congestion_control_of_the_machine": read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "tcp_rmem": read("/proc/sys/net/ipv4/tcp_rmem"),
        "tcp_wmem": read("/proc/sys/net/ipv4/tcp_wmem"),
        "bpf_jit": read("/proc/sys/net/core/bpf_jit_enable"),
        "commit": first_line("git", "-C", REPO, "describe", "--always", "--dirty"),
        "versions": {
            **competitor_versions(competitors),
            "compiler": first_line("gcc", "--version"),
            "clang": first_line("clang", "--version"),
            "openssl": first_line("openssl", "version"),
            "wrk": first_line("wrk", "-v"),
            "iperf3": first_line("iperf3", "--version"),
            "python": platform.python_version(),
        },
    }
