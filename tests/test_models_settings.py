"""Settings hold no nonsense, and say which name, which value and what to do."""

import subprocess
import sys
from dataclasses import asdict
from typing import get_args

import pytest

from matt.datasets.table import JoinSettings, TableSettings
from matt.errors import ConfigError
from matt.models import settings
from matt.models.augmentation import POWERS
from matt.models.encoders import ENCODERS
from matt.models.losses import LOSSES
from matt.models.network import HEADS
from matt.models.pooling import POOLINGS
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings
from matt.settings import made, told


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoder": "mpl"}, "unknown encoder 'mpl'; did you mean 'mlp'"),
        ({"pooling": "dots"}, "unknown pooling 'dots'; did you mean 'dot'"),
        ({"query": "each"}, "unknown query 'each'; known: all, true"),
        ({"scale": 1.0}, "unknown scale 1.0; known: fixed, learned"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0; 0 switches it off"),
        ({"dropout": "0.3"}, "dropout must be a number, got '0.3'; give it without quotes"),
        ({"pooled_dropout": -0.1}, r"pooled_dropout must be in \[0, 1\), got -0.1"),
        ({"input_dropout": 1}, r"input_dropout must be in \[0, 1\), got 1"),
        ({"input_dropout": 0.1, "encoder": "crnn"}, "'crnn' reads maps; use input_dropout=0, or"),
        ({"block_dropout": 1}, r"block_dropout must be in \[0, 1\), got 1"),
        ({"channel_dropout": "yes"}, "channel_dropout must be true or false, got 'yes'"),
        ({"hidden": ()}, r"hidden must be a list .*, got \(\); .* use encoder='identity'"),
        ({"hidden": 128}, "hidden must be a list"),
        ({"recurrent_units": 0}, "recurrent_units must be a whole number of at least 1, got 0"),
        ({"hidden": (64, 0)}, "hidden must be a whole number of at least 1, got 0"),
        ({"query": "true"}, "pooling is 'mean'; use pooling='dot' or query='all'"),
        ({"head": "mpl"}, "unknown head 'mpl'; did you mean 'mlp'"),
        ({"attention_dim": 0}, "attention_dim must be a whole number of at least 1, got 0"),
        ({"head_hidden": 2.5}, "head_hidden must be a whole number of at least 1, got 2.5"),
        ({"tanh_pooled": 1}, "tanh_pooled must be true or false, got 1"),
        ({"frozen_queries": True, "scale": "fixed"}, "frozen_queries needs .* is 'mean'; use"),
        ({"frozen_queries": True, "pooling": "dot"}, "scale is 'learned'; use scale='fixed'"),
        (
            {"pooling": "dots", "dropout": 1, "head": ""},
            "dropout must .*; unknown pooling 'dots'; .*; unknown head",
        ),
        ({"query": "true", "frozen_queries": True}, "query='true' needs .*; frozen_queries needs"),
    ],
)
def test_an_impossible_model_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        ModelSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; did you mean 'adamw'"),
        ({"validate": "bag"}, "unknown validate 'bag'; did you mean 'bags'"),
        ({"lr": 0}, "lr must be finite and above 0, got 0; its default is 0.002"),
        ({"loss": "focl"}, "unknown loss 'focl'; did you mean 'focal'"),
        ({"loss": "balanced_softmax"}, "use loss='cross_entropy' and logit_adjustment=1"),
        ({"sampler": "root"}, "unknown sampler 'root'; known: balanced, natural, sqrt"),
        ({"head_tuning": "ctr"}, "unknown head_tuning 'ctr'; did you mean 'crt'"),
        ({"class_balanced_beta": 1}, r"class_balanced_beta must be in \[0, 1\), got 1"),
        ({"segment_dropout": 1.0}, r"segment_dropout must be in \[0, 1\), got 1.0"),
        ({"focal_gamma": -1}, "focal_gamma must be finite and at least 0, got -1"),
        ({"mix": "0.2"}, "mix must be a number, got '0.2'"),
        ({"attention_entropy": float("inf")}, "attention_entropy must be finite"),
        ({"agreement": -1}, "agreement must be finite and at least 0, got -1"),
        ({"weight_average": 1}, r"weight_average must be in \[0, 1\), got 1"),
        ({"lr": float("nan")}, "lr must be finite and above 0, got nan"),
        ({"weight_decay": -1}, "weight_decay must be finite and at least 0, got -1"),
        ({"logit_adjustment": True}, "logit_adjustment must be a number, got True"),
        ({"segment_loss": float("inf")}, "segment_loss must be finite"),
        ({"max_bags": 0}, "max_bags must be a whole number of at least 1, got 0"),
        ({"max_segments": 1.5}, "max_segments must be a whole number"),
        ({"epochs": 0}, "epochs must be"),
        ({"patience": 0}, "patience must be"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"threads": 0}, "threads must be"),
        ({"sub_bags": 1}, "sub_bags must be true or false, got 1"),
        ({"dropped_batch": "no"}, "dropped_batch must be true or false, got 'no'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'"),
        ({"step_epochs": 0}, "step_epochs must be a whole number of at least 1, got 0"),
        ({"step_factor": 0}, r"step_factor must be in \(0, 1\], got 0"),
        ({"step_factor": 1.5}, r"step_factor must be in \(0, 1\], got 1.5; its default is 0.1"),
        ({"clip_norm": -1}, "clip_norm must be finite and at least 0, got -1"),
        ({"max_segments": -1}, "max_segments must be a whole number of at least 0, got -1"),
        ({"precision": "bf16"}, "unknown precision 'bf16'; did you mean 'bfloat16'"),
        ({"deterministic": 1}, "deterministic must be true or false, got 1"),
        ({"device": "gpu"}, "unknown device 'gpu'; use one of {\"cpu\""),
    ],
)
def test_impossible_training_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**wrong)


@pytest.mark.parametrize("cls", [ModelSettings, TrainingSettings])
def test_settings_survive_a_plain_dictionary(cls):
    given = cls()
    plain = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(given).items()}
    assert made(cls, plain) == given


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match="unknown key 'dropuot'; did you mean 'dropout'"):
        made(ModelSettings, {"dropuot": 0.1})


def test_every_setting_says_what_it_means():
    for cls in (ModelSettings, TrainingSettings, BaselineSettings, TableSettings, JoinSettings):
        assert [setting.name for setting in told(cls) if not setting.text] == []


def test_names_are_those_that_exist():
    assert set(get_args(settings.Sampler)) == set(POWERS)
    assert set(get_args(settings.EncoderName)) == set(ENCODERS)
    assert set(get_args(settings.PoolingName)) == set(POOLINGS)
    assert set(get_args(settings.HeadName)) == set(HEADS)
    assert set(get_args(settings.LossName)) == set(LOSSES)


def test_settings_and_the_protocol_load_without_torch():
    code = (
        "import sys, matt.models.settings, matt.models.classifier; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
