"""The palette is measured: every pair of cost centres is told apart by four kinds of sight, and stands out on its card.

Colour vision deficiencies are simulated with the matrices of Machado, Oliveira and Fernandes (2009) at full severity,
on linear light; distances are Euclidean in OKLab, times 100; contrast is WCAG 2's.
"""

from __future__ import annotations

import re
from importlib import resources
from itertools import combinations, pairwise

import numpy as np
import pytest

from outlay.core.centre import CostCentre

DISTANCE_MIN = 12.8
NEIGHBOUR_DISTANCE_MIN = 16.8
MARK_CONTRAST_MIN = 3.0
TEXT_CONTRAST_MIN = 4.5
STACK = [centre.value for centre in CostCentre]
THEMES = ("light", "dark")

SIGHTS = {
    "normal": np.eye(3),
    "protan": np.array([
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "deutan": np.array([
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "tritan": np.array([
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
}  # fmt: skip
TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
TO_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


def linear(colour: str) -> np.ndarray:
    """Linear light of `#rrggbb`."""
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def seen(colour: str, sight: str) -> np.ndarray:
    """OKLab, times 100, of a colour as that kind of sight has it."""
    return TO_LAB @ np.cbrt(TO_CONES @ np.clip(SIGHTS[sight] @ linear(colour), 0, 1)) * 100


def distance(one: str, other: str) -> float:
    """How far two colours are apart for the sight that tells them apart least."""
    return min(float(np.linalg.norm(seen(one, sight) - seen(other, sight))) for sight in SIGHTS)


def contrast(one: str, other: str) -> float:
    lights = sorted(float(linear(colour) @ np.array([0.2126, 0.7152, 0.0722])) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.fixture(scope="module")
def tokens() -> dict[str, dict[str, str]]:
    """Theme → token → colour, as the stylesheet says."""
    css = resources.files("outlay.faces.web").joinpath("static/outlay.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", css)
    assert len(found) == 20
    return {theme: {row[0]: row[1 + place] for row in found} for place, theme in enumerate(THEMES)}


@pytest.mark.parametrize("theme", THEMES)
def test_every_pair_of_cost_centres_is_told_apart(tokens: dict[str, dict[str, str]], theme: str) -> None:
    colours = tokens[theme]
    near = {pair: distance(colours[pair[0]], colours[pair[1]]) for pair in combinations(STACK, 2)}
    assert {pair: far for pair, far in near.items() if far < DISTANCE_MIN} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_neighbours_in_the_stack_are_further_apart(tokens: dict[str, dict[str, str]], theme: str) -> None:
    colours = tokens[theme]
    near = {pair: distance(colours[pair[0]], colours[pair[1]]) for pair in pairwise(STACK)}
    assert {pair: far for pair, far in near.items() if far < NEIGHBOUR_DISTANCE_MIN} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_marks_and_texts_stand_out(tokens: dict[str, dict[str, str]], theme: str) -> None:
    colours = tokens[theme]
    for mark in STACK:
        assert contrast(colours[mark], colours["card"]) >= MARK_CONTRAST_MIN, mark
    for ground in ("card", "paper"):
        for text in ("ink", "ink-2", "ink-3", "accent", "ok", "warn", "crit"):
            assert contrast(colours[text], colours[ground]) >= TEXT_CONTRAST_MIN, (text, ground)
    for verdict in ("ok", "warn", "crit"):
        assert contrast(colours[verdict], colours[f"{verdict}-soft"]) >= TEXT_CONTRAST_MIN, verdict


def test_the_measure_can_fail() -> None:
    """A palette picked by hand: retries and orchestration that deuteranopes cannot tell apart."""
    assert distance("#b2552a", "#7e6b1d") < DISTANCE_MIN
    assert distance("#3065a7", "#3065a7") == 0


@pytest.mark.parametrize("theme", THEMES)
def test_no_lighter_hue_was_left_for_tools(tokens: dict[str, dict[str, str]], theme: str) -> None:
    """Tools take the ink of the theme because nothing of middling lightness keeps the neighbours' distance."""
    colours = tokens[theme]
    others = [colours[centre] for centre in STACK if centre != "tools"]
    beside = [colours["guardrails"], colours["orchestration"]]
    grid = [f"#{red:02x}{green:02x}{blue:02x}" for red in STEPS for green in STEPS for blue in STEPS]
    fit = [
        colour
        for colour in grid
        if contrast(colour, colours["card"]) >= MARK_CONTRAST_MIN
        and min(distance(colour, other) for other in beside) >= NEIGHBOUR_DISTANCE_MIN
        and min(distance(colour, other) for other in others) >= DISTANCE_MIN
    ]
    lightness = [float(seen(colour, "normal")[0]) for colour in fit]
    assert all(value < 35 for value in lightness) if theme == "light" else all(value > 75 for value in lightness)


STEPS = range(0, 256, 51)
"""The search of the test is coarse: 216 colours a theme; the fine one found nothing else either."""


def test_colour_lives_in_the_tokens_only() -> None:
    css = resources.files("outlay.faces.web").joinpath("static/outlay.css").read_text(encoding="utf-8")
    rules = css.split("}", 1)[1]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rules)
