"""The study of faults: what each changes, on predictions and trainings made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from reproduced import GENRES, data_of, results_of, said, tracks_of

from matt import Bags, FeatureStore, Tracks
from matt.comparison import FittedRow, genre_keyed
from matt.datasets.fma.checking import TYPED_TAIL
from matt.evaluation.intervals import Repeated
from matt.faults import FAULTS, PROTOCOLS
from matt.reproduce import fault_study, measures
from matt.reproduce.data import SIMULATED, open_data
from matt.reproduce.fault_study import (
    ADDED,
    ALONE,
    CORRECTED,
    RELEASE,
    Step,
    effect_picture,
    effect_table,
    effects,
    steps_of,
)
from matt.reproduce.measures import Bench, difference
from matt.reproduce.plan import Request, make_row

ALL_GENRES = (*TYPED_TAIL, "Rock", "Country")
STEPS = steps_of("MLP+MATT (dot)", genres=ALL_GENRES, feature_set="1-9")


def hand_made(*, seed=0):
    """Tracks of two genres whose values say which, some of it noise; albums of one to four."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, 60)
    album = np.repeat(np.arange(60), sizes)
    n = len(album)
    labels = rng.integers(2, size=60)[album]
    mixed = rng.random(n) < 0.1
    labels[mixed] = 1 - labels[mixed]
    split = np.array(["training"] * 35 + ["validation"] * 10 + ["test"] * 15)[album]
    tracks = Tracks(
        np.arange(n), labels, ("Folk", "Rock"), artist_id=album, album_id=album, split=split
    )
    values = rng.normal(size=(n, 5)).astype(np.float32)
    values[:, 0] += 1.5 * labels
    values[:, 1] *= 300  # on a scale of its own
    return tracks, FeatureStore.from_arrays("made", tracks.track_id, values)


def fitted(name, faults, *, seed=3):
    row = make_row(name, faults, epochs=6)
    tracks, features = hand_made()
    test = Bags.from_tracks(tracks, by="album", split="test")
    return FittedRow.of(row, features, tracks, seed=seed).predict_row(test)


@pytest.fixture(scope="module")
def corrected():
    return {name: fitted(name, ()) for name in ("MLP+MATT (dot)", "LR")}


@pytest.mark.parametrize("fault", ["frozen_queries", "true_query", "scalar_score", "tanh_pooled"])
def test_a_fault_of_the_network_changes_its_predictions(fault, corrected):
    faulty = fitted("MLP+MATT (dot)", (fault,))
    assert np.abs(faulty.logits - corrected["MLP+MATT (dot)"].logits).max() > 1e-3


def test_raw_features_change_a_baseline(corrected):
    assert np.abs(fitted("LR", ("unscaled",)).logits - corrected["LR"].logits).max() > 1e-3


def test_a_dropped_batch_is_not_learned_from():
    """35 bags in batches of 20: with the fault, 15 of them, others each epoch, are left out."""
    made = {}
    tracks, features = hand_made()
    for faults in ((), ("dropped_batch",)):
        row = make_row("MLP+MATT (dot)", faults, epochs=3)
        row = replace(row, training=replace(row.training, max_bags=20))
        test = Bags.from_tracks(tracks, by="album", split="test")
        made[faults] = FittedRow.of(row, features, tracks, seed=3).predict_row(test).logits
    assert np.abs(made[()] - made["dropped_batch",]).max() > 1e-3


def test_a_tripled_chroma_has_fewer_distinct_columns():
    data = open_data(SIMULATED, n_tracks=150)
    distinct = {}
    for faults in ((), ("triple_chroma",)):
        store = data.features("1-9", faults)
        values, _ = store.read(data.tracks.track_id)
        distinct[faults] = len(np.unique(values, axis=1).T)
    assert distinct == {(): 518, ("triple_chroma",): 350}


def test_keys_with_the_genre_purify_training_bags():
    tracks, _ = hand_made()
    clean = Bags.from_tracks(tracks, by="album", split="training")
    keyed = genre_keyed(tracks, by="album")
    labels = tracks.labels[tracks.rows(keyed.track_ids)]
    assert len(keyed) > len(clean)
    assert (labels == np.repeat(keyed.labels, keyed.sizes)).all()


def test_selection_by_the_test_split_looks_at_it():
    """With test labels turned round, a corrected model stays as it is and the fault's does not."""
    tracks, features = hand_made()
    labels = tracks.labels.copy()
    labels[tracks.split == "test"] ^= 1
    turned = Tracks(
        tracks.track_id,
        labels,
        tracks.genres,
        artist_id=tracks.artist_id,
        album_id=tracks.album_id,
        split=tracks.split,
    )
    changed = {}
    for fault in ((), ("test_selection",)):
        row = make_row("MLP+MATT (dot)", fault, epochs=8)
        made = [
            FittedRow.of(row, features, some, seed=1).predict_row(
                Bags.from_tracks(some, by="album", split="test")
            )
            for some in (tracks, turned)
        ]
        changed[fault] = np.abs(made[0].logits - made[1].logits).max()
    assert changed[()] == 0
    assert changed[("test_selection",)] > 1e-3


def test_a_typed_tail_scores_other_genres():
    """Blues and Spoken are rare; the list adds International, of which all is found here."""
    blues, rock, international = (GENRES.index(g) for g in ("Blues", "Rock", "International"))
    labels = [blues, rock, international, international]
    tracks = tracks_of(labels, [0, 1, 2, 3])
    guesses = [[rock, blues], [rock, blues], [international, blues], [international, blues]]
    predictions = {"0": said(tracks, guesses, by="album")}
    counted = Repeated.of(predictions, rounds=20)
    typed = Repeated.of(predictions, rounds=20, tail=TYPED_TAIL)
    assert counted.mean("tail_recall").value == 0  # Blues is missed
    assert typed.mean("tail_recall").value == 0.5  # and International found: the mean of both
    assert typed.mean("accuracy").value == counted.mean("accuracy").value == 0.75
    less = difference(typed, counted)
    assert less.mean("tail_recall").value == 0.5
    assert less.mean("accuracy").value == 0


def test_every_fault_is_studied_alone_or_concerns_baselines():
    alone = {step.fault for step in STEPS if step.how == ALONE}
    others = {step.fault for step in steps_of("LR", genres=ALL_GENRES, feature_set="1-9")}
    assert alone | others - {""} == set(FAULTS)
    assert all(step.faults == (step.fault,) for step in STEPS if step.how == ALONE)


def test_faults_are_added_one_by_one_until_they_are_those_of_the_release():
    chain = [step for step in STEPS if step.how == ADDED]
    order = list(FAULTS)
    for n, step in enumerate(chain, start=1):
        assert len(step.faults) == n
        assert step.fault in step.faults
    assert [s.fault for s in chain] == sorted((s.fault for s in chain), key=order.index)
    released = set(PROTOCOLS["released"]) - {"unscaled"}  # which no network can have
    assert set(chain[-1].faults) == released
    assert (STEPS[0].how, STEPS[-1].how) == (CORRECTED, RELEASE)


def test_what_the_data_cannot_show_is_left_out():
    found = steps_of("MLP+MATT (dot)", genres=("Rock", "Folk"), feature_set="mfcc")
    told = {name for step in found for name in step.faults}
    assert not told & {"typed_tail", "triple_chroma"}
    assert {"true_query", "dropped_batch"} < told
    few = steps_of("MLP+MATT (dot)", genres=("Rock", "Folk"), feature_set="mfcc", n_bags=31)
    assert not any("dropped_batch" in step.faults for step in few)


def test_steps_that_are_fitted_alike_share_their_cells():
    scored = Step(model="MLP+MATT (dot)", how=ALONE, faults=("typed_tail",), fault="typed_tail")
    assert scored.called == STEPS[0].called == "MLP+MATT (dot) [corrected]"
    names = [step.called for step in STEPS if step.fitted == step.faults and step.how == ALONE]
    assert len(set(names)) == len(names)


def bench_of(made):
    return Bench(lambda feature_set, model, part: made.get(model, {}), rounds=30)


def predicted(tracks, right):
    """Predictions that are right on the named tracks, and say Rock else."""
    rock = GENRES.index("Rock")
    test = tracks.in_split("test")
    guesses = [[label if hit else rock] for label, hit in zip(test.labels, right, strict=True)]
    return said(tracks, guesses, by="album")


def made_by_hand():
    labels = [GENRES.index("Folk")] * 8
    tracks = tracks_of(labels, range(8))
    plain = {"0": predicted(tracks, [True] * 6 + [False] * 2)}
    worse = {"0": predicted(tracks, [True] * 2 + [False] * 6)}
    return plain, worse


def test_effects_are_differences_to_the_corrected_model():
    plain, worse = made_by_hand()
    steps = steps_of("MLP+MATT (dot)", genres=GENRES, feature_set="mfcc")
    made = {"MLP+MATT (dot) [corrected]": plain, "MLP+MATT (dot) [true_query]": worse}
    found = {
        (e.step.how, e.step.fault): e for e in effects(bench_of(made), steps, feature_set="mfcc")
    }
    effect = found[ALONE, "true_query"]
    assert effect.of("accuracy").value == pytest.approx(2 / 8 - 6 / 8)
    assert effect.of("accuracy").low <= -0.5 <= effect.of("accuracy").high
    missing = found[ALONE, "frozen_queries"]
    assert missing.differences is None
    assert "MLP+MATT (dot) [frozen_queries]" in missing.reason
    assert np.isnan(missing.of("accuracy").value)


def test_the_table_marks_what_is_chosen_on_the_test_split():
    plain, worse = made_by_hand()
    steps = steps_of("MLP+MATT (dot)", genres=GENRES, feature_set="mfcc")
    made = {step.called: worse if step.faults else plain for step in steps}
    some = effects(bench_of(made), steps, feature_set="mfcc")
    table = effect_table(some)
    place = [column.kind for column in table.columns].index("alarm")
    red = {row[:2]: row[place] for row in table.rows}
    assert red["test_selection", "alone"] is True
    assert red["true_query", "alone"] is False
    assert all(flag for (_, on), flag in red.items() if on.startswith("all"))
    names = [column.name for column in table.columns]
    told = {row[:2]: row[names.index("accuracy is")] for row in table.rows}
    assert told["true_query", "alone"] == "lower"
    tail = names.index("tail recall")
    assert all(row[tail] is None for row in table.rows)  # no rare genre is tested
    assert "n = 8 tracks, repeats: 1" in table.title
    assert effect_picture(some).axes


def test_a_study_is_made_from_saved_cells_and_says_what_failed(tmp_path):
    labels = [GENRES.index("Folk")] * 8
    tracks = tracks_of(labels, range(8))
    data = data_of(tracks, feature_sets=("mfcc",))
    rows = fault_study.needs(data, Request(epochs=1))
    bags = predicted(tracks, [True] * 6 + [False] * 2)
    parts = {"every": {"test": bags, "alone": bags}}  # every album holds one track
    failing = [("mfcc", "MLP+MATT (dot) [true_query]")]
    results = results_of(tmp_path, data, rows, parts, failing=failing)
    made = fault_study.make(results, measures.bench_of(results, rounds=20), tmp_path)
    assert made.pictures["faults"].read_bytes()[:4] == b"\x89PNG"
    told = " ".join(made.tables["faults"].notes)
    assert "no result of MLP+MATT (dot) [true_query]" in told
    assert "chosen on the test split" in told
    assert made.tables["faults_corrected"].rows[0][4] == 0.75
