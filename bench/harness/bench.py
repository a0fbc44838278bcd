# SPDX-License-Identifier: Apache-2.0
"""The tools of a case: competitors, rounds, samples, ratios, claims."""

import importlib
import os
import pkgutil
import sys
import time
import traceback

from harness import plot, statistics
from harness.claims import Claims
from harness.place import Box, HarnessError, Unavailable, REPO, wait_quiet


def log(text):
    print(text, file=sys.stderr, flush=True)


def load_modules(folder):
    """Returns the modules of bench/FOLDER in the order of their ORDER, then name."""
    path = os.path.join(REPO, "bench", folder)
    names = sorted(module.name for module in pkgutil.iter_modules([path]))
    modules = [importlib.import_module(f"{folder}.{name}") for name in names]
    return sorted(modules, key=lambda module: (getattr(module, "ORDER", 50), module.__name__))


class Bench:
    """One run. Cases should use @rounds and @seconds (of one sample)."""

    def __init__(self, quick, rounds, seconds, only=()):
        self.quick = quick
        self.rounds = rounds
        self.seconds = seconds
        self.only = only
        # The modes to run. Claims are made of pinned figures, and unpinned ones stand beside them.
        self.modes = ("pinned",) if quick else ("pinned", "unpinned")
        self.competitors = load_modules("competitors")
        self.samples = []
        self.claims = Claims()
        self.unavailable = {}
        self.seconds_used = {}
        self.facts = {}
        self.plots = []

    # Subjects -------------------------------------------------------------------------------

    def competitor(self, key):
        """Returns the competitor in the file of this name."""
        return next(module for module in self.competitors if module.__name__.endswith("." + key))

    def with_role(self, role):
        """Returns the competitors that can play a role. "steer" hands connections to a receiver in
        the container, "relay" carries them to the gateway or the destination on the host. A quick
        run has only those that claims need."""
        return [module for module in self.competitors
                if role in module.ROLES and (not self.quick or getattr(module, "QUICK", False))]

    def start(self, module, role, pinned):
        """Returns a box in which the competitor plays the role. None, with the reason kept, if that
        is not possible here."""
        box = Box(f"{module.NAME}/{role}", pinned)
        try:
            getattr(module, f"start_{role}")(box)
            # The first connection is not measured. It also shows that the box works.
            box.client("http", seconds=0.01)
            return box
        except (Unavailable, HarnessError) as error:
            self.unavailable[f"{module.NAME} ({role})"] = str(error)
            log(f"  without {module.NAME} ({role}): {error}")
            box.close()
            return None
        except BaseException:
            box.close()
            raise

    # Samples --------------------------------------------------------------------------------

    def record(self, case, workload, subject, mode, number, values):
        """Keeps the figures of one sample. @values is a dictionary of them."""
        self.samples.append({"case": case, "workload": workload, "subject": subject, "mode": mode,
                             "round": number, **values})
        if values.get("errors"):
            log(f"  {subject}, {workload}: {values['errors']} errors")

    def sample(self, case, workload, subject, mode, number, box, load, **options):
        """Runs a load in a box and keeps the result. A failed run is kept as its error."""
        options.setdefault("seconds", self.seconds)
        try:
            values = box.client(load, **options)
        except HarnessError as error:
            values = {"error": str(error), "errors": 1}
        self.record(case, workload, subject, mode, number, values)
        return values

    def interleave(self, case, subjects, workloads, mode, rounds=None):
        """Runs each workload on each subject once in each round: A B C A B C ...
        @subjects: [(name, box)]; @workloads: [(name, load, options)]."""
        for number in range(rounds or self.rounds):
            for workload, load, options in workloads:
                for name, box in subjects:
                    self.sample(case, workload, name, mode, number, box, load, **options)

    def values(self, case, workload, subject, mode, metric):
        """{round: value}"""
        return {sample["round"]: sample[metric] for sample in self.samples
                if (sample["case"], sample["workload"], sample["subject"], sample["mode"]) ==
                (case, workload, subject, mode) and metric in sample}

    def median(self, case, workload, subject, mode, metric):
        found = list(self.values(case, workload, subject, mode, metric).values())
        return statistics.quantile(found, 0.5) if found else None

    def ratio(self, case, workload, metric, subject, base, mode="pinned"):
        """Returns the median of the rounds' ratios. None if one was not measured."""
        found = statistics.ratios(self.values(case, workload, subject, mode, metric),
                                  self.values(case, workload, base, mode, metric))
        return statistics.quantile(found, 0.5) if found else None

    def spread_of_ratio(self, case, workload, metric, subject, base, mode="pinned"):
        """Returns half the distance between the quartiles of the rounds' ratios."""
        found = statistics.ratios(self.values(case, workload, subject, mode, metric),
                                  self.values(case, workload, base, mode, metric))
        _, low, high = statistics.spread(found)
        return (high - low) / 2

    def subjects(self, case, workload, mode, metric):
        """Returns the subjects that were measured, in the order of the first round."""
        return list(dict.fromkeys(sample["subject"] for sample in self.samples
                                  if (sample["case"], sample["workload"], sample["mode"]) ==
                                  (case, workload, mode) and metric in sample))

    def floor(self, case, workload, metric, mode="pinned"):
        """Returns the noise floor: the worst ratio of a subject to its twin ("NAME again"). None if
        no twin ran."""
        floors = []
        for twin in self.subjects(case, workload, mode, metric):
            if " again" in twin:
                found = statistics.ratios(
                    self.values(case, workload, twin, mode, metric),
                    self.values(case, workload, twin.replace(" again", ""), mode, metric))
                floors += [statistics.noise_floor(found)] if found else []
        return max(floors, default=None)

    # Plots ----------------------------------------------------------------------------------

    def bars(self, case, workload, metric, mode, title):
        """Plots a bar for each subject: the median, with the quartiles as a whisker."""
        rows = [(name, statistics.spread(list(self.values(case, workload, name, mode,
                                                          metric).values())))
                for name in self.subjects(case, workload, mode, metric)]
        if rows:
            self.plots.append((f"{case}-{workload}-{metric}-{mode}", plot.bars(
                title, f"{mode}; medians and quartiles of {self.rounds} interleaved rounds", rows)))

    def lines(self, case, title, x_title, series):
        """@series: {name: [(x, value of each round)]}; x on a logarithmic scale."""
        rows = {name: [(x, statistics.spread(values)) for x, values in points if values]
                for name, points in series.items()}
        if any(rows.values()):
            self.plots.append((case, plot.lines(
                title, f"medians and quartiles of {self.rounds} interleaved rounds", x_title,
                rows)))

    def claim(self, key, measured, noise=None, **also):
        if measured is None:
            also.setdefault("reason", "no sample succeeded; the errors are among the raw samples")
        self.claims.set(key, measured, noise, **also)

    # Running --------------------------------------------------------------------------------

    def run_case(self, module):
        """Runs one file of bench/cases. A failure becomes the reason that its claims were not
        measured, and stops nothing else. True if the case came to its end."""
        name = module.__name__.split(".")[-1]
        if self.only and name not in self.only:
            return True
        log(f"{name}: {module.TITLE}")
        wait_quiet()
        start = time.monotonic()
        reason = None
        try:
            module.run(self)
        except Unavailable as error:
            reason = str(error)
        except HarnessError as error:
            reason = f"the case failed: {error}"
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            reason = f"the case failed: {error!r}"
        self.seconds_used[name] = round(time.monotonic() - start, 1)
        if reason:
            log(f"  not measured: {reason}")
            self.unavailable[f"case {name}"] = reason
            for key in module.CLAIMS:
                self.claims.reasons[key] = reason
        return reason is None
