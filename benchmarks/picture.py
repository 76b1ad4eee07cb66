"""A run of the benchmarks as a picture: the share of each bare application's requests, for light and dark pages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True)
class Style:
    """Colours; ``paper`` is that of the page in the manual."""

    paper: str
    ink: str
    faint: str
    bar: str
    missed: str


STYLES: Final[Mapping[str, Style]] = {
    "light": Style("#ffffff", "#1f2328", "#d0d7de", "#2f6f8f", "#b35900"),
    "dark": Style("#1e2129", "#e6e8ec", "#454a54", "#6fb3d2", "#e39a4d"),
}
_INCHES: Final = (9.0, 0.52)  # width, and height of each bar
_DOTS_PER_INCH: Final = 120
_EDGE_INCHES: Final = 1.2
# What the numbers behind a bar take, on the axis.
_NUMBERS: Final = 0.7


def draw(result: Mapping[str, Any], kind: str, file: Path) -> None:
    """Draw the ratios of a run in the style ``kind`` as a PNG.

    A bar is the median of the pairs, the line on it reaches from the lowest to the highest, the mark is the target.
    """
    # Of the manual's dependencies, which who only measures does not have.
    figures: Any = importlib.import_module("matplotlib.figure")
    style, machine = STYLES[kind], result["machine"]
    bars = [
        (measured["sides"][0], other, ratio)
        for measured in result["in_turns"].values()
        for other, ratio in zip(measured["sides"][1:], measured["ratios"], strict=True)
    ]
    figure = figures.Figure(
        figsize=(_INCHES[0], _INCHES[1] * len(bars) + _EDGE_INCHES), dpi=_DOTS_PER_INCH, facecolor=style.paper
    )
    axes = figure.subplots()
    axes.set_facecolor(style.paper)
    for place, (ours, other, ratio) in enumerate(bars):
        median, lowest, highest = ratio["median"], min(ratio["pairs"]), max(ratio["pairs"])
        axes.barh(place, median, height=0.6, color=style.missed if ratio["missed"] else style.bar)
        axes.plot([lowest, highest], [place, place], color=style.ink, linewidth=1)
        if ratio["at_least"] is not None:
            axes.plot([ratio["at_least"]] * 2, [place - 0.42, place + 0.42], color=style.ink, linewidth=2.5)
        numbers = f" {median:.2f}   {ours['per_second']:,.0f} : {other['per_second']:,.0f} per second"
        axes.text(
            max(highest, ratio["at_least"] or 0), place, numbers, va="center", color=style.ink, fontsize=8
        )
    names = [f"{ours['name']}\nbeside {other['name']}" for ours, other, _ in bars]
    axes.set_yticks(range(len(bars)), names, color=style.ink, fontsize=8)
    # Beside the longest there is room for its numbers.
    axes.set_xlim(0, _NUMBERS + max(max(ratio["pairs"]) for _, _, ratio in bars))
    axes.invert_yaxis()
    axes.set_xlabel(
        "requests per second as a share of the other's; thick: a target, orange: missed\n"
        f"{machine['at'][:10]}, commit {machine['commit']}, {machine['cores']} cores of {machine['processor']}",
        color=style.ink,
        fontsize=8,
    )
    axes.tick_params(colors=style.ink, labelsize=8, length=0)
    axes.grid(visible=True, axis="x", color=style.faint, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.tight_layout()
    file.parent.mkdir(exist_ok=True)
    # Without the version of matplotlib: the same run makes the same file.
    figure.savefig(file, facecolor=style.paper, metadata={"Software": None})
