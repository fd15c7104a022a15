"""Own costs: what is answered when mistakes cost differently, and what is refused."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scored import GENRES, catalogue, predictions

from matt import ArgumentError, ConfigError, DataError
from matt.calibration.costs import cheapest, check_link, costs_of, read_costs
from matt.calibration.priors import TrainedPrior, reprior
from matt.evaluation.summaries import cost_table

G = len(GENRES)
COSTS = arrays(np.float64, (G, G), elements=st.sampled_from([0, 0.5, 1, 2, 5, 17.5]))
A, B = GENRES[:2]


def said(seed=0, by="album"):
    return predictions(catalogue(seed), seed, by=by)


@given(seed=st.integers(0, 99), costs=COSTS)
def test_no_other_answer_is_expected_to_cost_less(seed, costs):
    found = said(seed)
    for p, answer in zip(found.probabilities, cheapest(found, costs), strict=True):
        expected = [sum(p[i] * costs[i, j] for i in range(G)) for j in range(G)]
        assert expected[answer] <= min(expected) * (1 + 1e-9)
        equal = [j for j in range(G) if expected[j] == expected[answer]]
        assert p[answer] == max(p[equal])


def test_without_a_cost_of_its_own_it_is_the_likely_genre():
    found = said()
    np.testing.assert_array_equal(cheapest(found, {}), found.best)
    np.testing.assert_array_equal(cheapest(found, np.ones((G, G))), found.best)


@given(seed=st.integers(0, 99))
def test_a_genre_that_must_not_be_missed_is_answered_more_often(seed):
    """As if it were as many times more frequent: what a prior makes likely."""
    found = said(seed)
    times, even = 4.0, np.full(G, 1 / G)
    shares = np.array([times, *[1.0] * (G - 1)]) / (times + G - 1)
    moved = reprior(
        found, dict(zip(GENRES, shares, strict=True)), trained=TrainedPrior(*[even] * 3)
    )
    answers = cheapest(found, {A: dict.fromkeys(GENRES[1:], times)})
    np.testing.assert_array_equal(answers, moved.best)
    assert (answers == 0).sum() >= (found.best == 0).sum()


def test_costs_are_named_in_a_file_or_given_as_an_array(tmp_path):
    file = tmp_path / "costs.toml"
    file.write_text(f'["{A}"]\n"{B}" = 5\n["{B}"]\n"{A}" = 0.25\n"{B}" = 0.1\n')
    table = 1 - np.eye(G)
    table[0, 1], table[1, 0], table[1, 1] = 5, 0.25, 0.1
    np.testing.assert_array_equal(read_costs(file, GENRES), table)
    np.testing.assert_array_equal(costs_of(table, GENRES), table)
    np.testing.assert_array_equal(costs_of(table.tolist(), GENRES), table)
    np.testing.assert_array_equal(
        cheapest(said(), table), cheapest(said(), {A: {B: 5}, B: {A: 0.25, B: 0.1}})
    )


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({A[:-1]: {B: 1}}, f"name the unknown genre '{A[:-1]}'; did you mean '{A}'"),
        ({A: {B[:-1]: 1}}, f"name the unknown genre '{B[:-1]}'; did you mean '{B}'"),
        ({A: 3}, f"'{A}' is 3; give it the costs of answers"),
        *(
            ({A: {B: wrong}}, f"answering '{B}' where '{A}' is true costs .*; give a number from 0")
            for wrong in (-1, np.nan, np.inf, 10**400, True, "1", [1], None)
        ),
        (np.ones((G, G + 1)), rf"have the shape \({G}, {G + 1}\) .*; give numbers of the shape"),
        (np.ones(G), "a row a true genre, a column an answer"),
        ([[1], [1, 2]], "a row a true genre, a column an answer"),
        (np.full((G, G), "1"), "and the type <U1; give numbers"),
        (np.full((G, G), -1), f"answering '{A}' where '{A}' is true costs"),
        (np.full((G, G), np.nan), "costs .*nan.*; give a number from 0"),
    ],
    ids=str,
)
def test_what_is_no_cost_is_refused(costs, message):
    with pytest.raises(ConfigError, match=message):
        cheapest(said(), costs)


def test_a_file_is_named_where_it_is_wrong(tmp_path):
    file = tmp_path / "costs.toml"
    for text, message in (
        (f'["{A}"]\n"{B}" = nan', "the costs of .*costs.toml: answering"),
        ("Jazzz = 3", "costs.toml: 'Jazzz' is 3"),
        ("[a", "costs.toml is not TOML"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_costs(file, GENRES)
    with pytest.raises(ConfigError, match=r"does not exist|cannot read"):
        read_costs(tmp_path / "none.toml", GENRES)


def test_only_probabilities_of_one_genre_a_bag_have_a_cost():
    found = said()
    with pytest.raises(DataError, match=r"given by its threshold.*leave the costs out"):
        cheapest(replace(found, link="sigmoid"), {})
    with pytest.raises(DataError, match=r"link none.*leave the costs out"):
        cheapest(replace(found, link="none"), {})
    with pytest.raises(ArgumentError, match="predictions"):
        cheapest(found.logits, {})
    check_link("softmax")
    with pytest.raises(DataError, match="link none"):
        cost_table({"a": replace(found, link="none")}, 1 - np.eye(G))


def test_the_table_has_the_mean_cost_of_every_decision():
    costs = np.random.default_rng(0).uniform(0, 9, (G, G))
    found = said()
    table = cost_table({"model": found}, costs)
    rows = {(row[1], row[2]): row for row in table.rows}
    assert set(rows) == set(product(("bag", "bag over tracks"), ("likely", "balanced", "own cost")))
    for unit, some in (("bag", found), ("bag over tracks", found.per_track())):
        known = some.bags.known
        for decision, answers in (("likely", some.best), ("own cost", cheapest(some, costs))):
            n, mean, right, _ = rows[unit, decision][3:]
            assert n == known.sum()
            paid = costs[some.labels[known], answers[known]]
            np.testing.assert_allclose(mean, paid.mean())
            np.testing.assert_allclose(right, (answers == some.labels)[known].mean())
    nothing = found.take(np.flatnonzero(~found.bags.known))
    assert all(row[4] is None for row in cost_table({"model": nothing}, costs).rows)
