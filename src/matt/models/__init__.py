"""Classifiers of bags; the only package that imports torch.

`settings`, `registry` and `classifier` do not. Encoders, poolings and losses of your own are made
known by `register`.
"""

from .registry import PlugIn as PlugIn
from .registry import register as register
