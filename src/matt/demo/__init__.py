"""The demonstration: real features first, then the whole way from audio files to genres.

Part 1 trains on real tracks of the Free Music Archive that are shipped in the package. Part 2
writes a *synthetic* library of audio files and goes through scan, extraction, training and
explanation.
"""

from .steps import Demo as Demo
from .steps import run_demo as run_demo
