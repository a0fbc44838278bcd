# SPDX-License-Identifier: Apache-2.0
"""The parts of bench/run: place (namespaces, processes), bench (rounds, samples), claims,
statistics, report, plot, environment. Python's standard library only."""
