"""Settings of a run: the dataclasses beside the code that they configure, composed.

They are the only schema there is: files are checked against it (`matt.config`), and what is told of
settings, on the command line and in the documentation, is made from it (`matt.schema`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import faults as known_faults
from .errors import ConfigError
from .features.spec import FeatureSettings
from .models.baseline_settings import BaselineSettings
from .models.settings import ModelSettings
from .models.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Shares of the artists of each genre that are kept from training.

    Attributes
    ----------
    validation : float >= 0
        Share by which the best epoch is chosen; less than 1 together with the next.
    test : float > 0
        Share that is scored; without test artists nothing could be said of a model.
    """

    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test <= 0 or self.validation + self.test >= 1:
            raise ConfigError(
                f"shares must be at least 0, that of the test above 0, and sum to less than 1, got "
                f"validation={self.validation} and test={self.test}; the rest is for training"
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run, besides the data.

    Attributes
    ----------
    bags : {"album", "track"}, or the name of a column
        What is classified together: albums of an artist, lone tracks, or rows of equal values.
    seed : int >= 0
        Of the split, of the training and of the baseline.
    faults : tuple of str
        Mistakes of the paper or its release that are switched on, by the names of
        `matt.faults.FAULTS`; in a file also ``"paper"`` or ``"released"``, for a whole protocol.
        They overrule other settings.
    baseline : BaselineSettings, optional
        A baseline of scikit-learn instead of the network; `model` and `training` are then those of
        the control, the track model.

    Raises
    ------
    ConfigError
        If the seed is negative, or given for the training or the baseline alone, or a fault is
        unknown.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    bags: str = "album"
    splits: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    faults: tuple[str, ...] = ()
    baseline: BaselineSettings | None = None

    def __post_init__(self) -> None:
        self._set_seed()
        self._set(faults=known_faults.check_names(self.faults))
        parts = known_faults.switched(self._parts, self.faults)
        self._set(model=parts.model, training=parts.training, baseline=parts.baseline)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_seed(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}; correct it")
        if self.training.seed not in (TrainingSettings().seed, self.seed):
            raise ConfigError(
                f"training.seed is {self.training.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        self._set(training=replace(self.training, seed=self.seed))
        if self.baseline is None:
            return
        if self.baseline.seed not in (BaselineSettings().seed, self.seed):
            raise ConfigError(
                f"baseline.seed is {self.baseline.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        self._set(baseline=replace(self.baseline, seed=self.seed))

    @property
    def _parts(self) -> known_faults.Parts:
        return known_faults.Parts(self.model, self.training, self.baseline, self.bags)

    @property
    def present_faults(self) -> tuple[str, ...]:
        """Faults of a run with these settings: those that are named, and those set by hand."""
        return known_faults.present(self._parts, self.faults)

    @property
    def inert_faults(self) -> tuple[str, ...]:
        """What is to be told of named faults that such a run cannot have."""
        return known_faults.inert(self._parts, self.faults)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        return asdict(self)


def with_faults(settings: Settings, faults: str | Iterable[str]) -> Settings:
    """Settings with more faults, or a protocol, switched on.

    Parameters
    ----------
    settings : Settings
    faults : str or iterable of str
        A protocol by name, a fault, or several faults.

    Raises
    ------
    ConfigError
        If a name is unknown.

    Examples
    --------
    >>> paper = with_faults(Settings(model=ModelSettings(pooling="dot")), "paper")
    >>> paper.model.pooling, paper.model.query, paper.present_faults
    ('scalar', 'true', ('true_query', 'scalar_score'))
    """
    return replace(settings, faults=(*settings.faults, *named_faults(faults)))


def named_faults(faults: str | Iterable[str]) -> tuple[str, ...]:
    """Names of faults: those of a protocol, one fault, or as they are.

    >>> named_faults("paper"), named_faults("unscaled")
    (('true_query', 'scalar_score'), ('unscaled',))
    """
    if isinstance(faults, str):
        return known_faults.PROTOCOLS.get(faults, (faults,))
    return tuple(faults)
