# SPDX-License-Identifier: Apache-2.0
"""Draws SVG plots in large type, for a page or a talk. A plot is a few rectangles, so no library is
needed."""

import math
from html import escape

FONT = "DejaVu Sans, Verdana, sans-serif"
INK, FAINT, PAPER = "#1b1f24", "#d0d7de", "#ffffff"
OURS, LIMIT, THEIRS = "#0969da", "#8c959f", "#bf8700"
SERIES = ("#0969da", "#bf8700", "#1a7f37", "#cf222e")


def colour(name):
    if name.startswith("sidestep"):
        return OURS
    return LIMIT if "loopback" in name or name.startswith("without") else THEIRS


def number(value):
    """Returns the number with at most three significant digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - int(math.floor(math.log10(abs(value)))))}f}"


def ticks(most):
    """Returns about five round numbers from 0 on. The last is @most or more."""
    power = 10 ** math.floor(math.log10(most / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * 4 >= most)
    return [step * count for count in range(math.ceil(most / step) + 1)]


class Canvas:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.parts = []

    def text(self, x, y, words, size=20, anchor="start", fill=INK, weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                          f'fill="{fill}" font-weight="{weight}">{escape(words)}</text>')

    def rectangle(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                          f'height="{height:.1f}" fill="{fill}"/>')

    def line(self, x1, y1, x2, y2, stroke=INK, width=2.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{stroke}" stroke-width="{width}"/>')

    def circle(self, x, y, radius, fill):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}"/>')

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
                f'width="{self.width}" height="{self.height}" font-family="{FONT}">\n'
                f'<rect width="100%" height="100%" fill="{PAPER}"/>\n' + "\n".join(self.parts) +
                "\n</svg>\n")


def heading(canvas, title, subtitle):
    canvas.text(32, 52, title, 30, weight="bold")
    canvas.text(32, 84, subtitle, 18, fill="#57606a")


def bars(title, subtitle, rows):
    """@rows: [(name, (median, lower quartile, upper quartile))]"""
    left, right, top, step = 330, 120, 112, 46
    canvas = Canvas(1120, top + step * len(rows) + 24)
    heading(canvas, title, subtitle)
    most = max(high for _, (_, _, high) in rows) or 1
    scale = (canvas.width - left - right) / most
    for index, (name, (median, low, high)) in enumerate(rows):
        y = top + index * step
        canvas.text(left - 14, y + 25, name, 20, "end")
        canvas.rectangle(left, y + 4, max(1.0, median * scale), step - 16, colour(name))
        middle = y + 4 + (step - 16) / 2
        canvas.line(left + low * scale, middle, left + high * scale, middle)
        for end in (low, high):
            canvas.line(left + end * scale, middle - 6, left + end * scale, middle + 6)
        canvas.text(left + max(median, high) * scale + 12, y + 26, number(median), 20)
    canvas.line(left, top - 4, left, top + step * len(rows), FAINT)
    return canvas.svg()


def lines(title, subtitle, x_title, series):
    """@series: {name: [(x, (median, lower quartile, upper quartile))]}; x logarithmic."""
    left, right, top, bottom = 120, 40, 120, 80
    canvas = Canvas(1120, 560)
    heading(canvas, title, subtitle)
    points = [point for line in series.values() for point in line]
    marks = sorted({x for x, _ in points})
    steps = ticks(max(high for _, (_, _, high) in points) * 1.02 or 1)
    most = steps[-1]
    first, last = math.log10(marks[0]), math.log10(marks[-1])
    width, height = canvas.width - left - right, canvas.height - top - bottom

    def place(x, value):
        share = (math.log10(x) - first) / (last - first) if last > first else 0.5
        return left + 30 + share * (width - 60), top + height - value / most * height

    for value in steps:
        y = top + height - height * value / most
        canvas.line(left, y, left + width, y, FAINT, 1)
        canvas.text(left - 12, y + 7, number(value), 18, "end")
    for x in marks:
        canvas.text(place(x, 0)[0], top + height + 30, f"{x:,}", 18, "middle")
    canvas.text(left + width / 2, canvas.height - 16, x_title, 20, "middle")
    for index, (name, line) in enumerate(series.items()):
        fill = SERIES[index % len(SERIES)]
        spots = [place(x, median) for x, (median, _, _) in line]
        for (x1, y1), (x2, y2) in zip(spots, spots[1:]):
            canvas.line(x1, y1, x2, y2, fill, 3)
        for (x, (_, low, high)), (spot_x, spot_y) in zip(line, spots):
            canvas.line(spot_x, place(x, low)[1], spot_x, place(x, high)[1], fill, 2)
            canvas.circle(spot_x, spot_y, 6, fill)
        canvas.text(left + width - 10, top - 12 + index * 26, name, 20, "end", fill)
    return canvas.svg()
