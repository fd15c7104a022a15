"""Classifiers of bags; the only package that imports torch. `settings` and `classifier` do not."""
