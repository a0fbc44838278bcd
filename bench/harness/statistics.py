# SPDX-License-Identifier: Apache-2.0
"""Medians, quartiles and noise."""


def quantile(values, fraction):
    """Returns a quantile, linear between the neighbours (as spreadsheets do)."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * fraction
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def spread(values):
    """(median, lower quartile, upper quartile)"""
    return quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)


def ratios(numerators, denominators):
    """Returns the ratio of each round, paired by the round's number. A round that lacks one is left
    out."""
    return [numerators[number] / denominators[number]
            for number in sorted(set(numerators) & set(denominators)) if denominators[number]]


def together(metric, first, second):
    """Returns {round: value} of a job that does the first, then the second. Times and costs add up,
    and so do the inverses of rates."""
    rounds = set(first) & set(second)
    if metric in ("rate", "gbit_s"):
        return {number: 1 / (1 / first[number] + 1 / second[number]) for number in rounds}
    return {number: first[number] + second[number] for number in rounds}


def noise_floor(values):
    """Returns the distance from 1 of the ratio of a thing to itself. It is the median's distance or
    half the distance between the quartiles, whichever is larger."""
    median, low, high = spread(values)
    return max(abs(median - 1), (high - low) / 2)


def hidden(ratio, noise):
    """Returns a sentence if @noise hides the distance of @ratio from 1, else None."""
    difference = abs(ratio - 1)
    if noise is None or difference >= noise:
        return None
    return f"noise {noise * 100:.1f} % hides a difference of {difference * 100:.1f} %"
