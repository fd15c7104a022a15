"""Classifiers of bags; the only package that imports torch, where it trains.

What predicts does not, see `graph`. Encoders, poolings and losses of your own are made
known by `register`.
"""

from .registry import PlugIn as PlugIn
from .registry import register as register
