"""What networks are made of, by name: encoders, poolings and losses, ours and anybody's.

A name is looked for among ours, among what was registered in this process, and among the entry
points of installed packages. An entry point is imported when its name is asked for, and trusted as
any import is: whoever uses this machine installed it. Files are not trusted: a name in a model, in
settings or in a grid chooses among these, and nothing is imported because a file says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NewType, TypeVar, get_args

from ..errors import ConfigError, DataError
from ..settings import Checked, UnknownName, made

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind = Literal["encoder", "pooling", "loss"]
EncoderName = Literal["mlp", "identity", "crnn", "crnn_tf", "lstm"]
PoolingName = Literal["mean", "max", "shared", "abmil", "dot", "additive", "scalar"]
LossName = Literal["cross_entropy", "class_balanced", "focal"]
PlugIn = NewType("PlugIn", str)
"""Name of what is not ours, for type checkers: ``ModelSettings(pooling=PlugIn("top_k"))``."""
T = TypeVar("T")
_HOMES = {"encoder": "encoders", "pooling": "pooling", "loss": "losses"}


@dataclass(frozen=True)
class Member:
    """What a name stands for.

    Attributes
    ----------
    kind, name : str
    make : callable
        A class or function, called with the arguments of its kind (`register`).
    settings : type or None
        Dataclass of its own settings, which come last. Ours have those of their whole section.
    """

    kind: Kind
    name: str
    make: Callable[..., Any]
    settings: type | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Call it with the arguments of its kind and, last, the section that it is chosen in."""
        *others, section = arguments
        if self.settings is None:
            return self.make(*others)
        is_ours = isinstance(section, self.settings)
        return self.make(*others, section if is_ours else getattr(section, f"{self.kind}_settings"))

    @property
    def source(self) -> str:
        """Where it is defined, ``module:name``."""
        return f"{self.make.__module__}:{getattr(self.make, '__qualname__', self.name)}"


class Registry(Mapping[str, Member]):
    """All members of a kind by name; iteration has those that are there without an entry point.

    Parameters
    ----------
    kind : {"encoder", "pooling", "loss"}
    group : str
        Of entry points.
    ours : tuple of str
    """

    def __init__(self, kind: Kind, group: str, ours: tuple[str, ...]) -> None:
        self.kind, self.group, self.ours = kind, group, ours
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> Member:
        if name not in self._members and name in self.ours:
            import_module(f".{_HOMES[self.kind]}", __package__)  # which fills this registry
        elif name not in self._members:
            self._load(name)
        return self._members[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that can be chosen."""
        return tuple(dict.fromkeys([*self.ours, *self._members, *self._points()]))

    def check(self, name: object) -> None:
        """Refuse a name that stands for nothing."""
        if name not in self.ours and name not in self._members and name not in self._points():
            raise UnknownName(self.kind, name, self.names)

    def own(self, name: str, given: Any) -> Any:
        """Own settings of a member, checked: None where it has none.

        Parameters
        ----------
        name : str
        given : object
            Such settings, a mapping, or None for the defaults.

        Raises
        ------
        ConfigError
            If it has none, or they are wrong.
        """
        key = f"{self.kind}_settings"
        schema = None if name in self.ours else self[name].settings
        if schema is None:
            if given not in (None, {}):
                raise ConfigError(
                    f"{self.kind} {name!r} has no settings of its own, got {key}={given!r}; "
                    "leave them out"
                )
            return None
        if given is None or isinstance(given, Mapping):
            return made(schema, given or {}, where=key)
        if not isinstance(given, schema):
            raise ConfigError(
                f"{key} of {self.kind} {name!r} must be {schema.__name__} or a table of its "
                f"settings, got {given!r}; see 'matt settings {self.kind}.{name}'"
            )
        return given

    def trait(self, name: str, attribute: str) -> bool:
        """Whether the class of a member that is not ours says something true of itself."""
        return name not in self.ours and bool(getattr(self[name].make, attribute, False))

    def fill(self, settings: type, **ours: Callable[..., Any]) -> None:
        """Say what our names stand for; each is called with the settings of its section, too."""
        for name, make in ours.items():
            self.add(Member(self.kind, name, make, settings))

    def add(self, member: Member) -> None:
        """Add a member.

        Raises
        ------
        ConfigError
            If its name is taken, or it is no such member.
        """
        told = f"{self.kind} {member.name!r}"
        there, settings = self._members.get(member.name), member.settings
        if not callable(member.make):
            raise ConfigError(f"{told} is {member.make!r}; register a class or a function")
        if settings is not None and not (is_dataclass(settings) and issubclass(settings, Checked)):
            raise ConfigError(
                f"the settings of {told} are {settings!r}; give a frozen dataclass that derives "
                "from matt.settings.Checked"
            )
        # The same definition again is a cell of a notebook that was run again.
        if there is not None and there.source != member.source:
            raise ConfigError(f"{told} is registered already, {there.source}; choose another name")
        self._members[member.name] = member

    def _points(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points  # which takes as long as everything here

        return {point.name: point for point in entry_points(group=self.group)}

    def _load(self, name: str) -> None:
        point = self._points().get(name)
        if point is None:
            raise UnknownName(self.kind, name, self.names)
        try:
            found = point.load()
        except Exception as error:
            package = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
            raise ConfigError(
                f"{self.kind} {name!r}{package} ({point.value}) cannot be loaded "
                f"({type(error).__name__}: {error}); mend that package, or uninstall it"
            ) from error
        if name not in self._members:  # its module did not register it
            self.add(Member(self.kind, name, found))


ENCODERS = Registry("encoder", "matt.encoders", get_args(EncoderName))
POOLINGS = Registry("pooling", "matt.poolings", get_args(PoolingName))
LOSSES = Registry("loss", "matt.losses", get_args(LossName))
REGISTRIES: dict[str, Registry] = {one.kind: one for one in (ENCODERS, POOLINGS, LOSSES)}


def register(kind: Kind, name: str, *, settings: type | None = None) -> Callable[[T], T]:
    """Make an encoder, a pooling or a loss of your own known by a name.

    It can then be chosen wherever ours can: in Python, in a TOML file, with ``--set``, in a grid.
    `matt.testing` checks whether it keeps what its kind promises. So that it is known without an
    import, as on the command line, name it in an entry point of your package, of the group
    ``matt.encoders``, ``matt.poolings`` or ``matt.losses``.

    Parameters
    ----------
    kind : {"encoder", "pooling", "loss"}
        What is decorated is called as

        - ``encoder(feature_shape)``, for a module that makes (N, D) of (N, *feature_shape) and has
          the attribute ``embedding_dim``, D. Say ``reads_maps = True`` in the class if it reads
          maps: their inputs are standardised band by band;
        - ``pooling(embedding_dim, n_genres)``, for a `matt.models.pooling.Pooling` that makes
          scores (N, n_genres) or (N, 1) of (N, embedding_dim);
        - ``loss(logits, labels)``, for the loss (B,) of each bag, of logits (B, G) and genres (B,),
          or rows of booleans (B, G) where bags may have several.
    name : str
    settings : type, optional
        A frozen dataclass that derives from `matt.settings.Checked`: settings of its own, which it
        gets as the last argument. They are set as ``encoder_settings`` or ``pooling_settings`` of
        the model, ``loss_settings`` of the training.

    Raises
    ------
    ConfigError
        If the name is taken, or the kind or the settings are none.

    Examples
    --------
    >>> @register("loss", "hinge")
    ... def hinge(logits, labels):
    ...     own = logits.gather(1, labels[:, None])
    ...     return (1 + logits - own).clamp_min(0).sum(1)
    >>> REGISTRIES["loss"]["hinge"].source
    'matt.models.registry:hinge'
    """
    if kind not in REGISTRIES:
        raise UnknownName("kind", kind, REGISTRIES)

    def add(made: T) -> T:
        if name in REGISTRIES[kind].ours:
            raise ConfigError(f"{kind} {name!r} is one of ours; choose another name")
        REGISTRIES[kind].add(Member(kind, name, made, settings))  # type: ignore[arg-type]
        return made

    return add


class Choosing(Checked):
    """Base of settings that choose members, which may have settings of their own."""

    registries: ClassVar[tuple[Registry, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        for registry in self.registries:
            key = f"{registry.kind}_settings"
            own = registry.own(getattr(self, registry.kind), getattr(self, key))
            object.__setattr__(self, key, own)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, in which own settings are absent where a member has none."""
        content = asdict(self)  # type: ignore[call-overload]
        for registry in self.registries:
            if content[f"{registry.kind}_settings"] is None:
                del content[f"{registry.kind}_settings"]
        return dict(content)

    @property
    def plug_ins(self) -> dict[str, Member]:
        """Members that are not ours, by kind."""
        chosen = {one.kind: (one, getattr(self, one.kind)) for one in self.registries}
        return {kind: one[name] for kind, (one, name) in chosen.items() if name not in one.ours}

    def __getstate__(self) -> dict[str, Any]:
        """Take plug-ins along, by reference: another process imports them as it unpickles this."""
        return {**vars(self), "plug_ins": list(self.plug_ins.values())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for member in state.pop("plug_ins"):
            REGISTRIES[member.kind].add(member)
        vars(self).update(state)


def check_plug_ins(content: Mapping[str, Any], place: Path) -> None:
    """Refuse a saved model that needs a plug-in that is not here, by its name.

    What the file says of where that came from is told, not followed.

    Raises
    ------
    DataError
        If one is missing.
    ConfigError
        If one cannot be loaded.
    """
    sources = content.get("plug_ins")
    for kind, source in sources.items() if isinstance(sources, dict) else ():
        chosen = content.get("training" if kind == "loss" else "model")
        name = chosen.get(kind) if isinstance(chosen, dict) else None
        if kind not in REGISTRIES or not isinstance(name, str):
            continue
        try:
            REGISTRIES[kind][name]
        except UnknownName:
            raise DataError(
                f"{place} needs the {kind} {name!r}, which was {source!r} when it was saved and is "
                "not known here; import the module that registers it, or install the package that "
                "has it, and open the model again"
            ) from None
