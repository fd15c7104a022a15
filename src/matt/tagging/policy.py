"""Which values a field gets, of those that it has and those that were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..datasets.genres import Vocabulary, folded
from ..errors import ConfigError, check_arguments, did_you_mean
from .families import FIELDS, Values

Mode = Literal["fill-empty", "append", "replace"]
_MOST = 10  # values of one field


@dataclass(frozen=True)
class Policy:
    """What may be changed in a file.

    Attributes
    ----------
    mode : {"fill-empty", "append", "replace"}
        Whether a field that says something is left alone, gets further values, or other ones.
    protected : tuple of str
        Genres that stay, whatever the mode.
    min_sure : float or None
        Probability below which nothing is written, in [0, 1]; by default whatever the prediction
        itself calls unsure is not written.
    fields : tuple of {"genre", "mood", "grouping"}
    most : int
        Genres an album gets at most, 1 to 10.

    Raises
    ------
    ConfigError
        If one of these is out of its range.
    """

    mode: Mode = "fill-empty"
    protected: tuple[str, ...] = ()
    min_sure: float | None = None
    fields: tuple[str, ...] = ("genre",)
    most: int = 1

    def __post_init__(self) -> None:
        check_arguments(min_sure=(self.min_sure, float | int | None), most=(self.most, int))
        modes = get_args(Mode)
        if self.mode not in modes:
            raise ConfigError(f"mode is {self.mode!r}; {did_you_mean(self.mode, modes)}")
        for name in self.fields:
            if name not in FIELDS:
                raise ConfigError(f"fields has {name!r}; {did_you_mean(name, FIELDS)}")
        if not self.fields:
            raise ConfigError(f"fields is empty; name some of {', '.join(FIELDS)}")
        if self.min_sure is not None and not 0 <= self.min_sure <= 1:
            raise ConfigError(f"min_sure is {self.min_sure}; give a probability from 0 to 1")
        if not 1 <= self.most <= _MOST:
            raise ConfigError(f"most is {self.most}; give a number from 1 to {_MOST}")

    def values(
        self, old: Sequence[str], given: Sequence[str], vocabulary: Vocabulary
    ) -> Values | None:
        """Say what a field gets.

        What the vocabulary takes for no genre, such as *Other*, counts as nothing. Two spellings of
        one genre are one, and the one that is there stays. What is new is called as the vocabulary
        has it.

        Parameters
        ----------
        old : sequence of str
            What the field says.
        given : sequence of str
            What was found; nothing leaves the field as it is.
        vocabulary : Vocabulary

        Returns
        -------
        tuple of str or None
            None where the field stays as it is.

        Examples
        --------
        >>> from matt.datasets.genres import vocabulary
        >>> known = vocabulary()
        >>> Policy().values(["Rock"], ["Folk"], known) is None, Policy().values([], ["Folk"], known)
        (True, ('Folk',))
        >>> Policy("append").values(["Hip Hop"], ["Hip-Hop", "Soul"], known)
        ('Hip Hop', 'Soul')
        >>> Policy("replace", ("Live",)).values(["Rock", "Live"], ["Folk"], known)
        ('Live', 'Folk')
        """
        given = [name for text in given for name in vocabulary.read(text)]
        said = [text for text in old if text.strip() and vocabulary.read(text)]
        if not given or (said and self.mode == "fill-empty"):
            return None
        if self.mode == "replace":
            kept = {one for name in self.protected for one in _meant(name, vocabulary)}
            said = [text for text in said if _meant(text, vocabulary) & kept]
        new = _once([*said, *given], vocabulary)
        return None if _once(old, vocabulary) == new and tuple(old) == new else new


def _meant(text: str, vocabulary: Vocabulary) -> set[str]:
    """What a text means, in a form in which equal means the same."""
    return {folded(name) for name in vocabulary.read(text) or (text,)}


def _once(texts: Iterable[str], vocabulary: Vocabulary) -> Values:
    """Texts of which none says only what those before it say."""
    found: list[str] = []
    said: set[str] = set()
    for text in texts:
        meant = _meant(text, vocabulary)
        if not meant <= said:
            found.append(text)
            said |= meant
    return tuple(found)
