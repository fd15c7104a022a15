"""Models under protocols: what the paper says, what its code did, what is right."""

from dataclasses import replace

import pytest

from matt.errors import ConfigError
from matt.models.settings import BaselineSettings
from matt.recipes import PLAIN
from matt.reproduce.plan import AVERAGED, CONTROLS, MODELS, TRACK, make_model, protocol_models


@pytest.mark.parametrize("protocol", ["corrected", "paper", "released"])
def test_every_protocol_has_all_models(protocol):
    models = protocol_models(protocol, (*MODELS, *CONTROLS))
    assert [model.name for model in models] == [*MODELS, *CONTROLS]
    for model in models:
        assert model.logmel == ("CRNN" in model.name)
        assert model.row.lone == ("+" not in model.name)
        assert model.row.average == (model.name == AVERAGED)
        assert model.random == (model.name not in ("LR", "KNN", "SVM"))


@pytest.mark.parametrize(("protocol", "theirs"), [("corrected", False), ("paper", True)])
def test_whose_mlp_it_is(protocol, theirs):
    row = make_model("MLP", protocol).row
    assert isinstance(row.model, BaselineSettings) == theirs


def test_corrected_has_no_fault_and_a_plain_loss():
    row = make_model("MLP+MATT").row
    assert (row.model.pooling, row.model.query, row.model.scale) == ("dot", "all", "learned")
    assert row.training == PLAIN.training
    assert row.model == replace(PLAIN.model, pooling="dot")
    assert not row.genre_in_training_key
    assert not row.test_selection


def test_the_paper_scores_by_a_scalar_and_reads_with_the_true_query():
    row = make_model("CRNN+MATT", "paper").row
    assert (row.model.pooling, row.model.query) == ("scalar", "true")
    assert make_model("MLP+MIL", "paper").row == make_model("MLP+MIL").row


def test_released_is_sgd_on_the_features_themselves():
    row = make_model("MLP+MATT", "released").row
    assert (row.training.optimizer, row.training.lr) == ("sgd", 0.2)
    assert (row.training.weight_decay, row.training.max_bags) == (1e-5, 160)
    assert (row.model.encoder, row.model.pooled_dropout) == ("identity", 0.5)
    assert row.model.frozen_queries
    assert row.model.tanh_pooled
    assert row.genre_in_training_key
    assert row.test_selection
    assert make_model("CRNN+MIL", "released").row.training.max_bags == 14
    assert make_model("KNN", "released").row.model.unscaled


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_have_no_faults(name):
    assert make_model(name, "released") == make_model(name)


def test_the_control_beside_mlp_is_mlp():
    assert make_model("MLP").row == make_model(TRACK, called="MLP").row


def test_a_fault_alone_changes_only_itself():
    plain, faulty = make_model("MLP+MATT").row, make_model("MLP+MATT", ["test_selection"]).row
    assert faulty.test_selection
    assert faulty.model == plain.model
    assert faulty.training == plain.training


def test_epochs_are_at_most_what_is_asked_for():
    assert make_model("MLP+MIL", epochs=3).row.training.epochs == 3
    crnn, mlp = protocol_models("corrected", ("CRNN", "MLP"), epochs=7, crnn_epochs=2)
    assert (crnn.row.training.epochs, mlp.row.training.epochs) == (2, 7)


def test_unknown_models_are_refused():
    with pytest.raises(ConfigError, match=r"unknown model 'MATT'; did you mean 'MLP\+MATT'"):
        make_model("MATT")
