"""Multiple-instance attention for long-tail music genre classification.

Few nouns, one direction: `Tracks` and a `FeatureStore` make `Bags`; a `GenreClassifier` turns them
into `Predictions`. Names are imported when they are first used, so ``import matt`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "ArgumentError": "errors",
    "AudioError": "errors",
    "BagClassifier": "models.flat",
    "Bags": "bags",
    "BaselineClassifier": "models.baselines",
    "BlendClassifier": "models.blend",
    "ConfigError": "errors",
    "DataError": "errors",
    "FeatureSpec": "features.spec",
    "FeatureStore": "features.store",
    "GenreClassifier": "models.classifier",
    "Library": "library.home",
    "MattError": "errors",
    "NeuralClassifier": "models.neural",
    "Predictions": "predictions",
    "Tracks": "tracks",
}

__version__ = "0.1.0"
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'matt' has no attribute {name!r}; it has {', '.join(_HOME)}")
    value = getattr(import_module(f"matt.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
