"""Every feature with every encoder, inputs, spread, pooling and policy: trained, or refused before."""

from contextlib import suppress
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from matt import Bags, ConfigError, FeatureStore, Tracks
from matt.comparison import check_rows, fitted_rows
from matt.config import Settings
from matt.features.spec import FeatureSettings
from matt.models.neural import NeuralClassifier
from matt.models.settings import (
    EncoderName,
    InputsName,
    ModelSettings,
    PoolingName,
    TrainingSettings,
)

SHAPES = ("summary", "logmel", "mfcc", "chroma", "contrast")  # of a rank and type each
KINDS = (*SHAPES, "musicnn", "combined")
CUTS = [
    {"policy": policy, "duration": duration, "short": short, "silence": silence}
    for policy, duration, short, silence in product(
        (None, "first", "middle", "spread", "all"),
        (None, 3.0, 0.5),
        (None, "keep", "pad"),
        (None, "keep"),
    )
]
SMALL = {"hidden": (5,), "recurrent_units": 3, "attention_dim": 3, "head_hidden": 3}
TRAINING = TrainingSettings(epochs=1)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_to_cut_is_a_spec_or_a_remedy(kind):
    specs = 0
    for cut in CUTS:
        with suppress(ConfigError):
            assert min(FeatureSettings(kind=kind, **cut).spec().shape) > 0
            specs += 1
    assert specs >= len(CUTS) // (6 if kind == "musicnn" else 3)  # whose windows have one length


def stored(kind, n_tracks=12):
    """A feature of a kind, short as it may be: in the type and with the rank that it has."""
    spec = FeatureSettings(kind=kind, **({} if kind == "summary" else {"duration": 3.0})).spec()
    shape = (23,) if kind == "summary" else spec.shape
    rng = np.random.default_rng(0)
    sizes = 1 + np.arange(n_tracks) % 3
    values = rng.normal(size=(sizes.sum(), *shape)).astype(spec.dtype)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return FeatureStore.from_arrays(kind, np.arange(n_tracks), values, offsets)


ALBUM = np.arange(12) // 3
TRACKS = Tracks(np.arange(12), ALBUM % 2, ("Folk", "Rock"), artist_id=ALBUM, album_id=ALBUM)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("encoder", get_args(EncoderName))
def test_what_is_not_refused_before_extraction_is_trained_and_predicts(kind, encoder):
    """Encoders that read maps are slow, so with them poolings vary only where inputs do not."""
    features, bags = stored(kind), Bags.from_tracks(TRACKS, by="album")
    heavy = encoder in ("crnn", "crnn_tf", "lstm")
    for inputs, spread, pooling in product(get_args(InputsName), (True, False), get_args(PoolingName)):  # fmt: skip
        if heavy and (inputs, spread) != ("auto", True) and pooling != "dot":
            continue
        settings = Settings(
            model=ModelSettings(
                encoder=encoder, inputs=inputs, spread=spread, pooling=pooling, **SMALL
            ),
            training=TRAINING,
        )
        rows, shapes = fitted_rows(settings, controls=True), {"": features.spec.shape}
        if heavy and kind == "summary":
            with pytest.raises(ConfigError, match=f"encoder='{encoder}' reads maps .*; use a map"):
                check_rows(rows, shapes)
            continue
        check_rows(rows, shapes)
        model = NeuralClassifier(settings.model, settings.training).fit(features, bags)
        assert np.isfinite(model.predict(features, TRACKS, bags).logits).all()
