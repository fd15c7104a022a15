"""Models under protocols: what the paper says, what its code did, what is right."""

from dataclasses import replace

import pytest

from matt.errors import ConfigError
from matt.faults import PROTOCOLS
from matt.models.settings import BaselineSettings
from matt.recipes import PLAIN
from matt.reproduce.data import LOGMEL, SIMULATED, open_data
from matt.reproduce.plan import (
    AVERAGED,
    CONTROLS,
    MODELS,
    SCORES,
    TRACK,
    Request,
    make_row,
    matt,
    rows_on,
    score_of,
)


@pytest.mark.parametrize("protocol", ["corrected", "paper", "released"])
def test_every_protocol_has_all_models(protocol):
    data = open_data(SIMULATED, n_tracks=150, n_logmels=60)
    rows = rows_on(data, Request(protocol=protocol), (*MODELS, *CONTROLS))
    names = [name for name in (*MODELS, *CONTROLS) if "CRNN" not in name]
    assert [row.name for row in rows] == [*names, *(name for name in MODELS if "CRNN" in name)]
    for row in rows:
        assert (row.features == LOGMEL) == ("CRNN" in row.name)
        assert row.bags == data.bags
        assert row.lone == ("+" not in row.name)
        assert row.average == (row.name == AVERAGED)
        assert row.random == (row.name not in ("LR", "KNN", "SVM"))


@pytest.mark.parametrize(("protocol", "theirs"), [("corrected", False), ("paper", True)])
def test_whose_mlp_it_is(protocol, theirs):
    row = make_row("MLP", protocol)
    assert isinstance(row.model, BaselineSettings) == theirs


def test_corrected_has_no_fault_and_a_plain_loss():
    row = make_row("MLP+MATT (dot)")
    assert (row.model.pooling, row.model.query, row.model.scale) == ("dot", "all", "learned")
    assert row.training == PLAIN.training
    assert row.model == replace(PLAIN.model, pooling="dot")
    assert not row.genre_in_training_key
    assert not row.test_selection


@pytest.mark.parametrize("protocol", [*PROTOCOLS, ("true_query", "tanh_pooled")])
@pytest.mark.parametrize("score", SCORES)
def test_a_row_is_what_its_name_says_under_every_protocol(score, protocol):
    for base in ("MLP", "CRNN", "CRNN-TF"):
        row = make_row(matt(f"{base}+MATT", score), protocol)
        assert row.model.pooling == score_of(row.name) == score
        assert (row.model.query == "true") == (protocol != "corrected")


def test_the_letter_of_equation_1_is_the_fault_of_the_same_name():
    """So that cells of the study of faults serve the tables, and earlier cells of the paper's."""
    plain, letter = make_row("MLP+MATT (dot)", ["scalar_score"]), make_row("MLP+MATT (scalar)")
    assert plain.facts() == letter.facts()
    both = make_row("MLP+MATT (dot)", ["true_query", "scalar_score"])
    assert both.facts() == make_row("MLP+MATT (scalar)", "paper").facts()


def test_crnns_may_have_the_score_of_the_release_only():
    data = open_data(SIMULATED, n_tracks=150, n_logmels=60)
    names = [row.name for row in rows_on(data, Request(crnn_scores=False), MODELS)]
    left_out = [name for name in MODELS if "CRNN" in name and score_of(name) not in ("", "dot")]
    assert len(left_out) == 4
    assert sorted(names) == sorted(set(MODELS) - set(left_out))


def test_the_paper_reads_with_the_true_query():
    assert make_row("MLP+MIL", "paper") == make_row("MLP+MIL")


def test_released_is_sgd_on_the_features_themselves():
    row = make_row("MLP+MATT (dot)", "released")
    assert (row.training.optimizer, row.training.lr) == ("sgd", 0.2)
    assert (row.training.weight_decay, row.training.max_bags) == (1e-5, 160)
    assert (row.model.encoder, row.model.pooled_dropout) == ("identity", 0.5)
    assert row.model.frozen_queries
    assert row.model.tanh_pooled
    assert row.genre_in_training_key
    assert row.test_selection
    assert make_row("CRNN+MIL", "released").training.max_bags == 14
    assert make_row("KNN", "released").model.unscaled


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_have_no_faults(name):
    assert make_row(name, "released") == make_row(name)


def test_the_control_beside_mlp_is_mlp():
    assert make_row("MLP") == make_row(TRACK, called="MLP")


def test_a_fault_alone_changes_only_itself():
    plain, faulty = (make_row("MLP+MATT (dot)", some) for some in ((), ["test_selection"]))
    assert faulty.test_selection
    assert faulty.model == plain.model
    assert faulty.training == plain.training


def test_epochs_are_at_most_what_is_asked_for():
    assert make_row("MLP+MIL", epochs=3).training.epochs == 3
    data = open_data(SIMULATED, n_tracks=150, n_logmels=60)
    mlp, crnn = rows_on(data, Request(epochs=7, crnn_epochs=2), ("CRNN", "MLP"))
    assert (crnn.training.epochs, mlp.training.epochs) == (2, 7)


def test_unknown_models_are_refused():
    with pytest.raises(ConfigError, match=r"unknown model 'MLP\+MATT'; did you mean 'MLP\+MATT \("):
        make_row("MLP+MATT")
