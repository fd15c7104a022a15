"""The feature sets of the MATT paper by name, as descriptors of FMA's features.csv."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...errors import ConfigError, did_you_mean
from ...features.kernels.frames import SIZES

ALL = "1-9"
NAMES = {
    "chroma": "chroma_stft",  # what FMA's paper calls chroma
    "tonnetz": "tonnetz",
    "mfcc": "mfcc",
    "centroid": "spectral_centroid",
    "bandwidth": "spectral_bandwidth",
    "contrast": "spectral_contrast",
    "rolloff": "spectral_rolloff",
    "rms": "rmse",
    "zcr": "zcr",
}
"""The nine single sets, in the order of their numbers 1 to 9."""

PAPER = (*NAMES, "3+6", "3+6+4", ALL)
"""The twelve sets of the paper's first table."""

FAULTS = ("triple_chroma",)
_CHROMAS = ("chroma_cens", "chroma_cqt", "chroma_stft")


def descriptors(
    groups: str | Sequence[str] = ALL, *, faults: Collection[str] = ()
) -> tuple[str, ...]:
    """Descriptors of a feature set, in the order of their columns.

    Parameters
    ----------
    groups : str or sequence of str
        A name of `NAMES` or of a descriptor, a number from 1 to 9, several of these joined by
        ``"+"`` or as a sequence, or ``"1-9"``: all 11 descriptors, 518 columns.
    faults : collection of str
        ``"triple_chroma"``: in ``"1-9"`` chroma_cens stands in for the other two chromas as well,
        as in the released code of the paper: 518 columns, 350 of them distinct.

    Raises
    ------
    ConfigError
        If a name is unknown or occurs twice, or a fault does not concern the set.

    Examples
    --------
    >>> descriptors("3+6+4")
    ('mfcc', 'spectral_contrast', 'spectral_centroid')
    >>> len(descriptors("1-9")), descriptors("chroma")
    (11, ('chroma_stft',))
    """
    parts = groups.split("+") if isinstance(groups, str) else list(groups)
    found = tuple(SIZES) if parts == [ALL] else tuple(_one(part.strip()) for part in parts)
    if len(set(found)) < len(found) or not found:
        raise ConfigError(f"features {groups!r} name a descriptor twice, or none; name each once")
    for fault in faults:
        if fault not in FAULTS:
            raise ConfigError(f"unknown fault {fault!r}; {did_you_mean(fault, FAULTS)}")
        if not set(_CHROMAS) <= set(found):
            raise ConfigError(
                f"the fault {fault!r} concerns all three chromas, features {groups!r} do not hold "
                f"them; use {ALL!r} or leave the fault out"
            )
        found = tuple(_CHROMAS[0] if name in _CHROMAS else name for name in found)
    return found


def set_name(groups: str | Sequence[str], faults: Collection[str] = ()) -> str:
    """Name of a feature, part of its identity: equal where, and only where, the columns are equal.

    >>> set_name("3+6"), set_name(("mfcc", "contrast")), set_name("1-9", ["triple_chroma"])
    ('fma:mfcc+spectral_contrast', 'fma:mfcc+spectral_contrast', 'fma:1-9 triple_chroma')
    """
    found = descriptors(groups)
    name = ALL if found == tuple(SIZES) else "+".join(found)
    return " ".join([f"fma:{name}", *sorted(set(faults))])


def _one(name: str) -> str:
    if name in SIZES:
        return name
    numbers = {str(i): long for i, long in enumerate(NAMES.values(), start=1)}
    if name in NAMES or name in numbers:
        return NAMES.get(name) or numbers[name]
    raise ConfigError(f"unknown features {name!r}; {did_you_mean(name, [*PAPER, *SIZES])}")
