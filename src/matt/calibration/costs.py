"""Costs: what it costs to answer one genre where another is true, and the answer that costs least.

With the probabilities p_i of a bag, the answer j is expected to cost the sum of p_i c_ij. Where
every wrong answer costs 1 and the right one nothing, the likely genre costs least; so a file or a
mapping names what else something costs, and says nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, check_arguments, did_you_mean
from ..files import read_toml
from ..predictions import Predictions

DECISION = "own cost"
"""What answers of least expected cost are called, beside the likely and the balanced ones."""
MOST = 1e12  # a sum of such is finite
Costs = NDArray[np.float64] | Mapping[str, Mapping[str, float]]


def costs_of(costs: Costs, genres: Sequence[str], *, place: str = "the costs") -> NDArray[Any]:
    """What it costs to answer each genre (columns) where each is true (rows), shape (G, G).

    Parameters
    ----------
    costs : array, shape (G, G), or mapping of true genre to a mapping of answer to cost
        Each in [0, 1e12]. What a mapping does not name costs 1, and the right answer nothing.
    genres : sequence of str
        In the order of the result.
    place : str
        What an error calls them.

    Raises
    ------
    ConfigError
        If a genre is unknown, a number is no cost, or an array has another shape.

    Examples
    --------
    >>> costs_of({"Folk": {"Rock": 5}}, ("Folk", "Rock"))
    array([[0., 5.],
           [1., 0.]])
    """
    n = len(genres)
    if not isinstance(costs, Mapping):
        try:
            table = np.asarray(costs)
        except ValueError:  # rows of several lengths
            table = np.array(None)
        if table.shape != (n, n) or table.dtype.kind not in "iuf":
            raise ConfigError(
                f"{place} have the shape {table.shape} and the type {table.dtype}; give numbers "
                f"of the shape ({n}, {n}): a row a true genre, a column an answer"
            )
        rows = (dict(zip(genres, row, strict=True)) for row in table)
        return costs_of(dict(zip(genres, rows, strict=True)), genres, place=place)
    table = 1.0 - np.eye(n)
    for true, answers in costs.items():
        if not isinstance(answers, Mapping):
            raise ConfigError(f"{place}: {true!r} is {answers!r:.40}; give it the costs of answers")
        for genre in (true, *answers):
            if genre not in genres:
                raise ConfigError(
                    f"{place} name the unknown genre {genre!r}; {did_you_mean(genre, genres)}"
                )
        for answer, cost in answers.items():
            number = isinstance(cost, (int, float, np.number)) and not isinstance(cost, bool)
            if not (number and 0 <= cost <= MOST):
                raise ConfigError(
                    f"{place}: answering {answer!r} where {true!r} is true costs {cost!r:.40}; "
                    f"give a number from 0 to {MOST:g}"
                )
            table[genres.index(true), genres.index(answer)] = cost
    return table


def read_costs(path: Path | str, genres: Sequence[str]) -> NDArray[np.float64]:
    """Costs of a TOML file: a section a true genre, a line an answer; see `costs_of`.

    Raises
    ------
    ConfigError
        If it cannot be read, or as in `costs_of`.
    """
    return costs_of(read_toml(path), genres, place=f"the costs of {path}")


def check_link(link: str) -> None:
    """Refuse predictions of which no cost can be expected.

    Raises
    ------
    DataError
    """
    if link == "sigmoid":
        raise DataError(
            "an album may have several genres here, and each is given by its threshold: no one "
            "answer could have a cost; leave the costs out, or train on one genre a track"
        )
    if link != "softmax":
        raise DataError(
            "these scores are no probabilities (link none), so no cost can be expected; leave the "
            "costs out, or give probabilities (of matt's own models: tanh_pooled=false)"
        )


def cheapest(predictions: Predictions, costs: Costs) -> NDArray[np.int64]:
    """Answer of least expected cost for each bag, shape (b,); of equal ones the likeliest.

    Parameters
    ----------
    predictions : Predictions
        With probabilities of one genre a bag.
    costs
        As in `costs_of`.

    Raises
    ------
    ConfigError
        As in `costs_of`.
    DataError
        If a bag may have several genres, or scores are no probabilities.

    Examples
    --------
    To miss Folk costs five times as much as to say it wrongly:

    >>> from matt import Bags, Tracks
    >>> bags = Bags([7], [0, 1], [-1], genres=("Folk", "Rock"))
    >>> logits = np.log([[0.2, 0.8]]).astype(np.float32)
    >>> said = Predictions(bags, Tracks([7], [-1], bags.genres), logits)
    >>> int(said.best[0]), int(cheapest(said, {"Folk": {"Rock": 5}})[0])
    (1, 0)
    """
    check_arguments(predictions=(predictions, Predictions))
    check_link(predictions.link)
    return decided(predictions.probabilities, costs_of(costs, predictions.genres))


def decided(probabilities: NDArray[np.floating], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rule of `cheapest`, of probabilities (b, G) and costs (G, G)."""
    expected = probabilities @ costs  # (b, G)
    least = expected <= expected.min(axis=1, keepdims=True) * (1 + _EQUAL)
    return np.asarray(np.where(least, probabilities, -1).argmax(axis=1))


_EQUAL = 1e-12  # costs that differ by less, as a share of them, do so by rounding
