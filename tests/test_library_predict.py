"""The bar below which an album gets no genre: given, or read off the model's coverage."""

import numpy as np
import pytest

from matt.calibration.coverage import Coverage
from matt.errors import ConfigError, DataError
from matt.library.predict import bar_of
from matt.models.baselines import BaselineClassifier


@pytest.fixture
def model():
    model = BaselineClassifier()
    model.coverage = Coverage(np.array([0.9, 0.6, 0.3]), np.array([9, 14, 20]), np.array([9, 12, 13]), 20)  # fmt: skip
    return model


def test_a_bar_is_given_or_follows_from_an_accuracy(model):
    assert bar_of(model, below=None, accuracy=None, prior="uniform") is None
    assert bar_of(model, below=0.7, accuracy=None, prior="uniform") == 0.7
    assert bar_of(model, below=None, accuracy=0.8, prior=None) == 0.6  # 12 of 14 + 1
    assert bar_of(model, below=None, accuracy=0.6, prior=None) == 0.3  # 13 of 20 + 1


def test_what_gives_no_bar_is_refused(model):
    with pytest.raises(ConfigError, match="give abstain_below or accuracy"):
        bar_of(model, below=0.7, accuracy=0.8, prior=None)
    with pytest.raises(ConfigError, match="leave prior out, or give abstain_below"):
        bar_of(model, below=None, accuracy=0.8, prior="uniform")
    with pytest.raises(ConfigError, match=r"must be above 0 and below 1, got 1\.2"):
        bar_of(model, below=1.2, accuracy=None, prior=None)
    with pytest.raises(DataError, match=r"0.95 is not reached .*: 0.90 can be counted on"):
        bar_of(model, below=None, accuracy=0.95, prior=None)
    model.coverage = None
    with pytest.raises(DataError, match="not tried on validation albums"):
        bar_of(model, below=None, accuracy=0.8, prior=None)
