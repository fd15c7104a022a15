import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored import GENRES, catalogue, predictions

from matt.errors import ConfigError, DataError
from matt.evaluation.contrast import ON_TEST, contrast, contrast_table, difference_table, holm
from matt.evaluation.intervals import paired_bootstrap
from matt.evaluation.scores import majority, score
from matt.evaluation.summaries import pair_table

TRACKS = catalogue(5)


def made(**more):
    return {
        "weak": predictions(TRACKS, 1, skill=0.5),
        "strong": predictions(TRACKS, 2, skill=3),
        "alone": predictions(TRACKS, 3, by="track"),
        **more,
    }


def test_the_best_comes_first_and_is_compared_with_the_first_that_was_named():
    found = contrast(made(), rounds=49, seed=3)
    scores = [score(made()[row.name], unit="track_of_bag").macro_f1 for row in found]
    assert [row.scores.macro_f1 for row in found] == scores == sorted(scores, reverse=True)
    assert [row.rank for row in found] == [1, 2, 3]
    assert [row.name for row in found if row.difference is None] == ["weak"]
    strong = next(row for row in found if row.name == "strong")
    less = paired_bootstrap(made()["strong"], made()["weak"], rounds=49, seed=3)
    assert strong.difference.estimates["accuracy"] == pytest.approx(less.estimates["accuracy"])
    np.testing.assert_allclose(strong.difference.interval("macro_f1"), less.interval("macro_f1"))
    assert strong.difference.interval("macro_f1")[0] > 0
    assert strong.p["macro_f1"] == 1 / 50


def test_a_model_without_a_score_is_last():
    unknown = predictions(catalogue(5, unknown=1.0))
    (only,) = contrast({"x": unknown}, rounds=0)
    assert np.isnan(only.scores.macro_f1)


def test_another_baseline_turns_the_differences_round():
    one = {row.name: row for row in contrast(made(), rounds=29, baseline="strong")}
    two = {row.name: row for row in contrast(made(), rounds=29, baseline="weak")}
    low, high = two["strong"].difference.interval("accuracy")
    np.testing.assert_allclose(one["weak"].difference.interval("accuracy"), (-high, -low))
    assert one["weak"].p == pytest.approx(two["strong"].p, nan_ok=True)


def test_all_rows_have_the_tail_of_the_baseline():
    other = made()["strong"]
    swapped = replace(other, bags=replace(other.bags, train_counts=other.train_counts[::-1].copy()))
    found = contrast(made(swapped=swapped), rounds=9)
    by_name = {row.name: row for row in found}
    assert by_name["swapped"].scores.tail_recall == by_name["strong"].scores.tail_recall
    assert by_name["swapped"].difference.estimates == pytest.approx(
        by_name["strong"].difference.estimates, nan_ok=True
    )


def test_what_cannot_be_compared_is_named():
    other = predictions(TRACKS.take(np.arange(9)))
    with pytest.raises(DataError, match=r"few and weak cannot be compared: .* one of the two only"):
        contrast(made(few=other), rounds=9)
    with pytest.raises(ConfigError, match="did you mean 'strong'"):
        contrast(made(), baseline="strng")


def test_tables_say_that_this_is_the_test_and_keep_their_columns():
    rows = contrast(made(same=majority(made()["weak"])), rounds=19)
    ranking = contrast_table(rows, remarks={"weak": "partial: cut"}).to_json()
    assert ON_TEST in ranking["notes"]
    assert [c["name"] for c in ranking["columns"]] == [
        *("rank", "model", "n", "accuracy", "95 % of accuracy", "macro-F1", "95 % of macro-F1"),
        *("tail recall", "95 % of tail recall", "micro AP", "95 % of micro AP", "artists"),
        "remark",
    ]
    remarks = {row["model"]: row["remark"] for row in ranking["rows"]}
    assert remarks == dict.fromkeys(["strong", "alone", "same"], "") | {"weak": "partial: cut"}
    differences = json.loads(
        json.dumps(difference_table(rows, baseline="weak").to_json(), allow_nan=False)
    )
    assert [c["name"] for c in differences["columns"]] == [
        *("model", "macro-F1", "p of macro-F1", "p, Holm", "accuracy", "p of accuracy"),
        *("tail recall", "p of tail recall", "micro AP", "p of micro AP"),
    ]
    assert {row["model"] for row in differences["rows"]} == {"strong", "alone", "same"}
    assert "Baseline: weak" in differences["notes"][0]
    without = contrast(made(), rounds=0)
    assert difference_table(without, baseline="weak").rows == ()
    assert "remark" not in [c.name for c in contrast_table(without).columns]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
def test_holm_is_what_its_definition_says(values):
    p = {str(i): value for i, value in enumerate(values)}
    found = holm(p | {"nan": float("nan")})
    ranked = sorted(values)
    for name, value in p.items():
        place = ranked.index(value)
        steps = [min(1, ranked[i] * (len(ranked) - i)) for i in range(len(ranked))]
        last = max(i for i, other in enumerate(ranked) if other == value)
        assert max(steps[: place + 1]) <= found[name] <= max(steps[: last + 1])
        assert value <= found[name] <= 1
    assert np.isnan(found["nan"])


def test_confused_pairs_are_those_of_the_matrix():
    some = score(made()["weak"], unit="track_of_bag")
    table = pair_table(some, most=5)
    confusion = some.confusion.copy()
    np.fill_diagonal(confusion, 0)
    assert [row[2] for row in table.rows] == sorted(confusion.ravel(), reverse=True)[:5]
    for true, other, n, share, *_ in table.rows:
        g, h = GENRES.index(true), GENRES.index(other)
        assert (confusion[g, h], share) == (n, n / some.genres[g].n)
    assert f"of {confusion.sum()} mistakes" in table.notes[0]
