import json

import numpy as np
import pytest
from scored import GENRES, catalogue, predictions, several_genres

from matt.evaluation.scores import by_shot, by_size, reliability_of, score_with_intervals
from matt.evaluation.summaries import MAJORITY, overview

# What programs may rely on; further tables and columns may come, these stay.
COLUMNS = {
    "scores": [
        *("model", "unit", "n", "accuracy", "95 % of accuracy", "macro-F1", "95 % of macro-F1"),
        *("tail recall", "95 % of tail recall", "micro AP", "95 % of micro AP", "artists"),
        "n tail",
    ],
    "detail": [
        *("model", "unit", "n", "balanced accuracy", "macro AP", "Top@2", "Top@3", "Top@5"),
        *("tail Top@2", "tail Top@3", "tail Top@5", "log loss", "Brier", "calibration error"),
    ],
    "genres": [
        *("genre", "tail", "training tracks", "n", "predicted", "precision", "recall"),
        *("95 % of recall", "F1", "AP"),
    ],
    "sizes": [
        *("tracks in the bag", "model", "unit", "n", "accuracy", "95 % of accuracy", "macro-F1"),
        *("95 % of macro-F1", "tail recall", "95 % of tail recall", "micro AP"),
        *("95 % of micro AP", "artists"),
    ],
    "shots": [
        *("genres", "training tracks", "model", "unit", "number of genres", "n", "mean recall"),
        *("95 % of mean recall", "Top@2", "Top@3", "Top@5", "macro AP"),
    ],
    "calibration": [
        *("confidence from", "to", "forecasts", "mean confidence", "share right"),
        "right less confidence",
    ],
}


def made():
    tracks = catalogue(8)
    return {"bag model": predictions(tracks), "alone": predictions(tracks, by="track")}


def read(tables):
    return {
        name: json.loads(json.dumps(table.to_json(), allow_nan=False))
        for name, table in tables.items()
    }


def test_tables_and_columns_are_kept():
    tables = read(overview(made(), model="bag model", rounds=19))
    names = {name: [c["name"] for c in table["columns"]] for name, table in tables.items()}
    assert names == COLUMNS


def test_cells_are_what_was_scored():
    some = made()
    tables = read(overview(some, model="bag model", rounds=49, seed=2))
    scores = score_with_intervals(some["bag model"], rounds=49, seed=2)
    row = tables["scores"]["rows"][0]
    assert (row["model"], row["unit"], row["artists"]) == ("bag model", "bag", scores.n_artists)
    assert row["macro-F1"] == scores.macro_f1
    low, high = scores.intervals["macro_f1"]
    assert row["95 % of macro-F1"] == {"low": low, "high": high}
    assert tables["detail"]["rows"][0]["log loss"] == scores.log_loss
    assert tables["detail"]["rows"][0]["tail Top@3"] == scores.tail_top_3
    models = [row["model"] for row in tables["scores"]["rows"]]
    assert models == ["bag model"] * 2 + ["alone"] + [MAJORITY] * 2
    sizes = by_size(some["alone"], bags=some["bag model"].bags)
    cells = {(r["tracks in the bag"], r["model"]): r for r in tables["sizes"]["rows"]}
    assert len(cells) == 4 * 2
    for size, expected in sizes.items():
        assert cells[size, "alone"]["n"] == expected.n
    few = by_shot(some["bag model"], rounds=49, seed=2)[2]
    row = next(r for r in tables["shots"]["rows"] if r["genres"] == "few")
    assert row["mean recall"] == few.recall
    low, high = few.intervals["recall"]
    assert row["95 % of mean recall"] == {"low": low, "high": high}
    found = reliability_of(some["bag model"])
    assert sum(row["forecasts"] for row in tables["calibration"]["rows"]) == found.n.sum()
    assert f"Calibration error {found.error:.3f}" in tables["calibration"]["notes"][0]


def test_notes_say_what_intervals_are_and_that_the_split_is_small():
    some = made()
    with_, without = (overview(some, model="m", rounds=rounds) for rounds in (9, 0))
    notes = " ".join(with_["scores"].notes)
    assert "9 resamples of the artists (seed 0)" in notes
    assert "One split is too small here" in notes
    assert "resamples" not in " ".join(without["scores"].notes)
    assert not any("95" in column.name for column in without["scores"].columns)
    assert "resamples" not in " ".join(with_["genres"].notes)  # those are Wilson's
    unsplit = {"m": some["bag model"].take(np.arange(9))}
    tracks = unsplit["m"].tracks.with_split(np.full(len(unsplit["m"].tracks), ""))
    unsplit["m"] = type(unsplit["m"])(unsplit["m"].bags, tracks, unsplit["m"].logits)
    assert "too small" not in " ".join(overview(unsplit, model="m", rounds=0)["scores"].notes)


@pytest.mark.parametrize(
    ("some", "undefined", "reason"),
    [
        (predictions(catalogue(2), link="none"), "log loss", "scores are no probabilities"),
        (predictions(several_genres(), link="sigmoid"), "Top@3", "may have several genres"),
        (predictions(catalogue(2, unknown=1.0)), "macro AP", "no item has a known genre"),
        (
            predictions(catalogue(2, genres=GENRES[:3]), train=np.array([900, 40, 300])),
            "Top@5",
            "5 guesses leave none of 3 genres out",
        ),
    ],
    ids=["no probabilities", "several genres", "nothing known", "three genres"],
)
def test_what_is_undefined_is_a_dash_with_its_reason(some, undefined, reason):
    tables = overview({"m": some}, model="m", rounds=9)
    rows = read(tables)["detail"]["rows"]
    assert rows[0][undefined] is None
    notes = [note for note in tables["detail"].notes if reason in note]
    assert any(undefined.lower() in note.lower() for note in notes)
    for table in tables.values():
        assert table.to_markdown()


def test_calibration_of_what_is_no_probability_says_why():
    table = overview({"m": predictions(catalogue(2), link="none")}, model="m", rounds=0)
    assert table["calibration"].rows == ()
    assert "Undefined: scores are no probabilities" in table["calibration"].notes[0]
