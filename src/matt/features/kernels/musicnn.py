"""musicnn: a network trained to tag music, as an encoder of excerpts of 3 s.

The weights [1]_ were learned from the Million Song Dataset and the tags of last.fm; they are those
of the package musicnn 0.1.0 (ISC licence, beside the weights). ``tools/make_musicnn.py`` arranges
them in the graph that onnxruntime runs here, with one thread. Excerpts go through it one by one, so
an excerpt has the same values whatever else is asked for, and little lies in memory.

References
----------
.. [1] Pons & Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
   ISMIR 2019 late-breaking demos.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray

from ...audio.segments import audible, spread
from ...errors import DataError
from ..spec import MUSICNN_SR, N_SAMPLES, Layer
from .runtime import open_session
from .spectra import mel_bank, spectra

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s"),
    *("alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists"),
    *("classic rock", "soul", "indie rock", "Mellow", "electronica", "80s", "folk", "90s"),
    *("chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic"),
    *("experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country"),
    *("easy listening", "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock"),
    *("60s", "rnb", "indie pop", "sad", "House", "happy"),
)
"""What the logits are of, in their order; each is given or not, whatever the others are."""
_N_EXCERPTS = 3  # of a segment of any length
N_FFT, HOP_LENGTH, N_MELS = 512, 256, 96
N_FRAMES = 1 + (N_SAMPLES - N_FFT) // HOP_LENGTH


def log_mel(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """``log10(1 + 10000 mel)`` of one excerpt, as the network wants it.

    Parameters
    ----------
    samples : float array, shape (48128,)
        Mono, at 16 kHz.

    Returns
    -------
    float32 array, shape (187, 96)
        Power in mel bands of frames that lie within the excerpt.

    Raises
    ------
    DataError
        If it is no excerpt.
    """
    y = np.asarray(samples, np.float32)
    if y.shape != (N_SAMPLES,):
        raise DataError(
            f"an excerpt of musicnn is {N_SAMPLES} samples of one channel at {MUSICNN_SR} Hz, got "
            f"the shape {y.shape}; cut and resample it so"
        )
    bank = mel_bank(MUSICNN_SR, N_FFT, N_MELS)
    mel = np.empty((N_FRAMES + 2, N_MELS), np.float32)  # centred frames: half of two lies outside
    for frames, power in spectra(y, n_fft=N_FFT, hop_length=HOP_LENGTH):
        bank.apply(power, mel[frames])
    return np.log10(1 + 10_000 * mel[1:-1])


def encoded(samples: NDArray[np.floating], *, layer: Layer = "penultimate") -> NDArray[np.float32]:
    """What a layer of the network makes of one excerpt, and the logits of the `TAGS` behind it.

    Parameters
    ----------
    samples : float array, shape (48128,)
        Mono, at 16 kHz.
    layer : {"penultimate", "pooled"}
        200 values; or the maximum and the mean over time of 753 channels in turn.

    Returns
    -------
    float32 array, shape (200 + 50,) or (1506 + 50,)

    Raises
    ------
    DataError
        If it is no excerpt.
    ConfigError
        If onnxruntime is missing or too old.

    Examples
    --------
    >>> encoded(np.zeros(48_128, "f4")).shape
    (250,)
    """
    found = session().run([layer, "logits"], {"mel": log_mel(samples)[None]})
    return np.concatenate([np.asarray(values)[0] for values in found])


def averaged(y: NDArray[np.float32], sr: int) -> NDArray[np.float32]:
    """Mean of what `encoded` gives of three excerpts of some audio, spread over it.

    Parameters
    ----------
    y : float32 array, shape (samples,)
        Mono; repeated where it is shorter than an excerpt, and of fewer excerpts where than three.
    sr : int > 0
        Its sampling rate in Hz.

    Returns
    -------
    float32 array, shape (250,)
        Of the excerpts in which anything can be heard, or of all.
    """
    samples = y if sr == MUSICNN_SR else soxr.resample(y, sr, MUSICNN_SR, quality="HQ")
    if len(samples) < N_SAMPLES:
        samples = np.resize(samples, N_SAMPLES)
    begin, hop, parts = spread(len(samples), N_SAMPLES, _N_EXCERPTS)
    excerpts = [samples[begin + part * hop :][:N_SAMPLES] for part in range(parts)]
    heard = [excerpt for excerpt in excerpts if audible(excerpt, MUSICNN_SR).any()]
    found: NDArray[np.float32] = np.mean(
        [encoded(excerpt) for excerpt in heard or excerpts], axis=0
    )
    return found


@lru_cache(maxsize=1)
def session() -> InferenceSession:
    """The network, ready to run on one thread; a ConfigError where onnxruntime is no help."""
    graph = resources.files(__package__).joinpath("musicnn.onnx").read_bytes()
    return open_session(graph, threads=1)
