"""Settings of a run: the dataclasses beside the code that they configure, composed.

They are the only schema there is. A TOML file and overrides come in, checked settings come out, and
what is told of them, on the command line and in the documentation, is read off them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from . import faults as known_faults
from . import recipes
from .errors import ConfigError, did_you_mean, first_few
from .features.spec import FeatureSettings
from .files import read_toml
from .models.registry import LOSSES, REGISTRIES, Registry
from .models.settings import (
    BLEND,
    BaselineSettings,
    BlendName,
    ModelSettings,
    TrainingSettings,
)
from .settings import (
    TOP,
    Checked,
    Many,
    NonNegative,
    OneOrMany,
    Positive,
    SettingsSection,
    Texts,
    Whole,
    about,
    default_of,
    read,
    section_of,
    spelled,
    told,
)

_TOP_TEXT = (
    'They stand before all sections. So does a line `recipe = "single"`, which leaves one network '
    'of the default, or `recipe = "plain"`, which takes the plain training of the paper\'s rows, '
    "under whatever else is set."
)
_PLACES = "'matt settings model' or 'matt settings training'"
_OF_THE_RUN = ("training.seed", "baseline.seed")  # always the seed of the run


@dataclass(frozen=True, kw_only=True)
class SplitSettings(Checked):
    """Shares of the artists of each genre that are kept from training."""

    validation: NonNegative = 0.1
    """Share by which the best epoch is chosen; less than 1 together with the next."""
    test: Positive = 0.2
    """Share that is scored; without test artists nothing could be said of a model."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if self.validation + self.test >= 1:
            yield (
                f"shares must sum to less than 1, got validation={self.validation} and "
                f"test={self.test}; the rest is for training"
            )


@dataclass(frozen=True, kw_only=True)
class Settings(Checked):
    """Everything that decides a run, besides the data.

    Raises
    ------
    ConfigError
        If the seed is negative, or given for the training or the baseline alone, or a fault is
        unknown.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    bags: Annotated[str, spelled('{"album", "track"}, or the name of a column')] = "album"
    """What is classified together: albums of an artist, lone tracks, or rows of equal values."""
    splits: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: Whole = 0
    """Of the split, of the training and of the baseline."""
    faults: Texts = ()
    """Mistakes of the paper or its release that are switched on, by the names of
    `matt.faults.FAULTS`; in a file also ``"paper"`` or ``"released"``, for a whole protocol. They
    overrule other settings.
    """
    blend: Annotated[tuple[BlendName, ...], Many, OneOrMany] = BLEND
    """What is fitted beside the network and averaged with it, by weights that validation chooses,
    see `matt.models.blend`: networks from other seeds, and classifiers of other kinds. What cannot
    read the data is left out with a note. With faults, without validation artists, and where the
    largest output is taken as it is, the network is alone.
    """
    baseline: BaselineSettings | None = None
    """A baseline of scikit-learn instead of the network; `model` and `training` are then those of
    the control, the track model.
    """

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        kinds = [name for name in self.blend if name != "network"]
        if len({*kinds}) < len(kinds):
            yield f"blend names a classifier twice: {first_few(self.blend)}; name it once"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_seed()
        self._set(faults=known_faults.check_names(self.faults))
        parts = known_faults.switched(self._parts, self.faults)
        self._set(model=parts.model, training=parts.training, baseline=parts.baseline)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_seed(self) -> None:
        for name in ("training", "baseline"):
            part = getattr(self, name)
            if part is None or part.seed == self.seed:
                continue
            if part.seed != type(part)().seed:
                raise ConfigError(
                    f"{name}.seed is {part.seed}, but a run has one seed, of its split and "
                    "its training; set seed instead"
                )
            self._set(**{name: replace(part, seed=self.seed)})

    @property
    def _parts(self) -> known_faults.Parts:
        return known_faults.Parts(self.model, self.training, self.baseline, self.bags)

    @property
    def present_faults(self) -> tuple[str, ...]:
        """Faults of a run with these settings: those that are named, and those set by hand."""
        return known_faults.present(self._parts, self.faults)

    @property
    def blended(self) -> tuple[BlendName, ...]:
        """What is averaged with the network of such a run: nothing with faults."""
        return () if self.faults or self.present_faults else self.blend

    @property
    def inert_faults(self) -> tuple[str, ...]:
        """What is to be told of named faults that such a run cannot have."""
        return known_faults.inert(self._parts, self.faults)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        parts = {name: getattr(self, name).to_json() for name in ("model", "training")}
        return {**asdict(self), **parts}


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


def load(path: Path | str | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Read settings from a TOML file and ``section.key=value`` overrides.

    Parameters
    ----------
    path : path, optional
        Without one, the defaults.
    overrides : iterable of str
        Values as in TOML; text may go without quotes. ``none`` takes what may be absent away.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        Listing everything that is wrong at once, with the nearest known name.

    Examples
    --------
    >>> load(overrides=["training.lr=0.1", "model.pooling=dot"]).model.pooling
    'dot'
    """
    where = str(path) if path is not None else "settings"
    content = {} if path is None else read_toml(path)
    for text in overrides:
        override(content, text)
    return parse(content, where=where)


def parse(content: Mapping[str, Any], *, where: str = "settings") -> Settings:
    """Check a nested dictionary of settings; see `load`."""
    settings, problems = check(content)
    if settings is None:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    return settings


def check(content: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """Settings of a nested dictionary, or else everything that is wrong with it."""
    content, problems = dict(content), []
    if content.pop("grid", None) is not None:
        problems.append("[grid] makes many runs of one file; give it to 'matt compare --grid'")
    try:
        content = recipes.under(content)
    except ConfigError as error:
        problems.append(str(error))
        del content["recipe"]
    if isinstance(content.get("faults"), str):
        content["faults"] = named_faults(content["faults"])
    settings, wrong = read(Settings, content)
    problems += wrong
    if settings is not None:
        try:
            settings.features.spec()  # refuses what does not fit together before any work
        except ConfigError as error:
            problems.append(str(error))
    return (None if problems else settings), problems


def put(content: dict[str, Any], name: str, value: Any) -> None:
    """Set one value of a nested dictionary by its dotted name.

    Raises
    ------
    ConfigError
        If a section of the name is a value.

    Examples
    --------
    >>> content = {"model": {"encoder": "mlp"}}
    >>> put(content, "model.pooling", "dot")
    >>> content
    {'model': {'encoder': 'mlp', 'pooling': 'dot'}}
    """
    *sections, key = name.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{section!r} is a value and has no keys")
    content[key] = value


def override(content: dict[str, Any], text: str) -> None:
    """Change a nested dictionary by a text ``section.key=value``, see `load`.

    Raises
    ------
    ConfigError
        If there is no ``=``, or a section is a value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"override {text!r} has no '='; write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    try:
        put(content, name, parsed)
    except ConfigError as error:
        raise ConfigError(f"override {text!r}: {error}") from error


@cache
def sections() -> tuple[SettingsSection, ...]:
    """What can be told of all settings of a run: first of those outside of any section."""
    found = [SettingsSection(name=TOP, text=_TOP_TEXT, settings=told(Settings))]
    for part in fields(Settings):
        schema = section_of(Settings, part.name)
        if schema is not None:
            settings = told(schema, prefix=f"{part.name}.")
            kept = tuple(setting for setting in settings if setting.name not in _OF_THE_RUN)
            absent = default_of(part) is None
            found.append(
                SettingsSection(name=part.name, text=about(schema), absent=absent, settings=kept)
            )
    return tuple(found)


def find(name: str) -> SettingsSection:
    """The section of a name, or the own settings of a plug-in, such as ``"pooling.top_k"``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    kind, dot, member = name.partition(".")
    if dot and kind in REGISTRIES:
        return _own_section(REGISTRIES[kind], member)
    known = {section.name: section for section in sections()}
    if name not in known:
        raise ConfigError(f"unknown section {name!r}; {did_you_mean(name, known)}")
    return known[name]


def _own_section(registry: Registry, name: str) -> SettingsSection:
    schema = None if name in registry.ours else registry[name].settings
    if schema is None:
        raise ConfigError(f"{registry.kind} {name!r} has no settings of its own; see {_PLACES}")
    place = f"{'training' if registry is LOSSES else 'model'}.{registry.kind}_settings"
    return SettingsSection(
        name=place, text=about(schema), settings=told(schema, prefix=f"{place}.")
    )


def to_toml(settings: Settings | None = None) -> str:
    """Settings as a TOML file, which loads to the same settings.

    Parameters
    ----------
    settings : Settings, optional
        Without, the defaults, each with a comment that says what it means.
    """
    if settings is None:
        return "\n".join(section.to_toml() for section in sections())
    places = {section: getattr(settings, section.name, settings) for section in sections()}
    return "\n".join(s.to_toml(place) for s, place in places.items() if place is not None)


def to_markdown() -> str:
    """All settings as a page of the documentation: a heading and a table for each section."""
    return "\n".join(section.to_markdown() for section in sections())
