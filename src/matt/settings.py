"""What a setting is: its type says what it may be, and the text below it what it means.

Settings are frozen dataclasses beside the code that they configure. Those that derive from
`Checked` cannot hold a value that their types do not allow. Pydantic reads the types, once; what is
told of settings, on the command line, in a TOML file and in the documentation, comes from the same
reading::

    @dataclass(frozen=True, kw_only=True)
    class StepSettings(Checked):
        lr: Positive = 2e-3
        \"\"\"Learning rate; 0.1 suits SGD.\"\"\"
        schedule: Literal["constant", "cosine"] = "constant"
        \"\"\"How it goes on.\"\"\"

`read` makes such a dataclass of what a file says, or tells everything that is wrong with it.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Bound

from .errors import ConfigError, did_you_mean

Fraction = Annotated[float, Bound(ge=0, lt=1)]
NonNegative = Annotated[float, Bound(ge=0)]
Positive = Annotated[float, Bound(gt=0)]
Share = Annotated[float, Bound(gt=0, le=1)]
Ratio = Annotated[float, Bound(ge=1)]
AtLeastOne = Annotated[int, Bound(ge=1)]
AtLeastTwo = Annotated[int, Bound(ge=2)]
Whole = Annotated[int, Bound(ge=0)]
Many = Bound(strict=False)
"""Beside the type of a tuple: a list will do."""
Sizes = Annotated[tuple[AtLeastOne, ...], Many]
OneOrMany = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
"""Beside the type of a tuple of texts: one of them will do."""
Texts = Annotated[tuple[str, ...], Many, OneOrMany]
"""Several texts, or one."""


T = TypeVar("T")
TOP = "run"
"""What the settings of a run outside of any section are called."""
_KINDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array of integer": "list of whole numbers",
    "array of string": "list of texts",
    "array of section": "list of sections",
    "object": "table of texts",
    "section": "section of settings",
}
_CLAUSE = re.compile(r"(.{15,}?)[.;:](?=\s|$)", re.DOTALL)
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_SAID = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}


def spelled(values: str, *, pattern: str | None = None) -> Any:
    """Beside the type of a text: how what it may be is told, and what it has to look like."""
    return Bound(json_schema_extra={"values": values}, pattern=pattern)


class UnknownName(ConfigError):
    """A name that stands for nothing, and those that would do."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.known = tuple(known)
        super().__init__(f"unknown {kind} {name!r}; {did_you_mean(name, self.known)}")


def checked_by(check: Callable[[Any], None]) -> Any:
    """Beside a type: what raises a `ConfigError` at a wrong value."""

    def same(value: Any) -> Any:
        check(value)
        return value

    return BeforeValidator(same)


class Checked:
    """Base of settings that are checked when they are made.

    Raises
    ------
    ConfigError
        Naming each setting that is wrong, its value and what would do.
    """

    __pydantic_config__ = ConfigDict(
        strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def __post_init__(self) -> None:
        schema: Any = type(self)
        problems: list[str] = []
        for name, adapter in _adapters(schema).items():
            try:
                value = adapter.validate_python(getattr(self, name))
            except ValidationError as error:
                problems += _told(schema, name, name, error)
            else:
                object.__setattr__(self, name, value)
        problems = problems or list(self.problems())
        if problems:
            raise ConfigError("; ".join(problems))

    def problems(self) -> Iterator[str]:
        """What is wrong with settings that are fine by themselves, but not together."""
        yield from ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        return dict(asdict(self))  # type: ignore[call-overload]


def read(
    schema: type[T], content: Mapping[str, Any], *, prefix: str = ""
) -> tuple[T | None, list[str]]:
    """Settings of a plain dictionary such as a file holds, or else everything that is wrong.

    TOML has no word for what may be absent, so "none" is; and ``model.query=true``, on a command
    line, is TOML's truth, where the word is asked.

    Parameters
    ----------
    schema : type
        A dataclass that derives from `Checked`.
    content : mapping
    prefix : str
        Of names in what is told, such as ``"model."``.

    Examples
    --------
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Example(Checked):
    ...     lr: Positive = 0.5
    ...     sizes: Sizes = ()
    >>> read(Example, {"lr": 1, "sizes": [3, 5]})
    (Example(lr=1.0, sizes=(3, 5)), [])
    >>> for problem in read(Example, {"lr": -1, "size": 3})[1]:
    ...     print(problem)
    lr must be finite and above 0, got -1; its default is 0.5
    unknown key 'size'; did you mean 'sizes'?
    """
    kind: Any = schema
    if not isinstance(content, Mapping):
        return None, [f"{content!r} are no settings; write them by name"]
    values: dict[str, Any] = {}
    problems = []
    for key, value in content.items():
        if key not in _adapters(kind):
            near = did_you_mean(key, _adapters(kind))
            problems.append(f"unknown key {prefix + key!r}; {near}")
            continue
        section, parts = section_of(kind, key), value if isinstance(value, list) else [value]
        several = section is not None and _kind(_shapes(kind)[key][0]) == "array of section"
        if several or (section is not None and isinstance(value, Mapping)):
            found = [read(section, part, prefix=f"{prefix}{key}.") for part in parts]
            problems += [problem for _, wrong in found for problem in wrong]
            values[key] = tuple(part for part, _ in found) if several else found[0][0]
            continue
        try:
            meant = _as_meant(kind, key, value)
            values[key] = _adapters(kind)[key].validate_python(meant, strict=False)
        except ValidationError as error:
            problems += _told(kind, key, prefix + key, error)
    needed = (f.name for f in fields(kind) if f.default is f.default_factory is MISSING)
    problems += [f"no {prefix}{name} is given; add it" for name in needed if name not in content]
    if problems:
        return None, problems
    try:
        return schema(**values), []
    except ConfigError as error:
        return None, [f"{prefix[:-1]}: {error}" if prefix else str(error)]


def check_values(**given: tuple[object, Any]) -> None:
    """Refuse arguments that are not what the type of a setting allows; scalars of numpy will do.

    Parameters
    ----------
    **given : (value, type)
        By name. The types are those of settings, such as `Whole`.

    Raises
    ------
    ConfigError
        Naming each that is wrong, its value and what would do.

    Examples
    --------
    >>> check_values(seed=(3, Whole), share=(0.5, Fraction))
    >>> check_values(seed=(3, Whole), share=(float("nan"), Fraction))
    Traceback (most recent call last):
    matt.errors.ConfigError: share must be in [0, 1), got nan; 0 switches it off
    """
    problems = []
    for name, (value, kind) in given.items():
        plain: Any = value.item() if getattr(value, "shape", None) == () else value  # type: ignore[attr-defined]
        adapter = _adapter(kind)
        try:
            adapter.validate_python(plain)
        except ValidationError:
            problems.append(_wrong(name, adapter.json_schema(), plain, None))
    if problems:
        raise ConfigError("; ".join(problems))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=Checked.__pydantic_config__)


def made(schema: type[T], content: Mapping[str, Any], *, where: str = "") -> T:
    """Settings of a plain dictionary; see `read`.

    Parameters
    ----------
    schema, content
        As in `read`.
    where : str
        Said first of what is wrong, such as the path of a file.

    Raises
    ------
    ConfigError
        Listing everything that is wrong at once, with the nearest known name.
    """
    found, problems = read(schema, content)
    if found is None:
        raise ConfigError(": ".join(filter(None, [where, "; ".join(problems)])))
    return found


@cache
def _adapters(schema: Any) -> dict[str, TypeAdapter[Any]]:
    """What checks each setting by itself."""
    kinds, strict = get_type_hints(schema, include_extras=True), Checked.__pydantic_config__
    return {
        f.name: TypeAdapter(kinds[f.name], config=None if is_dataclass(kinds[f.name]) else strict)
        for f in fields(schema)
    }


@cache
def _shapes(schema: Any) -> dict[str, tuple[dict[str, Any], bool]]:
    """What pydantic read of each setting, in the words of JSON Schema; and whether None will do."""
    found = {}
    for name, shape in TypeAdapter(schema).json_schema()["properties"].items():
        options = [each for each in shape.get("anyOf", [shape]) if each != {"type": "null"}]
        found[name] = {**shape, **options[0]}, {"type": "null"} in shape.get("anyOf", ())
    return found


def section_of(schema: Any, name: str) -> Any:
    """The dataclass that a setting is made of, if it is: its type, or what that is an option of."""
    kind = get_type_hints(schema)[name]
    return next(filter(is_dataclass, (kind, *get_args(kind))), None)


def _as_meant(schema: Any, name: str, value: Any) -> Any:
    shape, may_be_absent = _shapes(schema)[name]
    if value == "none" and may_be_absent:
        return None
    if isinstance(value, bool) and str(value).lower() in shape.get("enum", ()):
        return str(value).lower()
    return value


def _told(schema: Any, key: str, name: str, error: ValidationError) -> Iterator[str]:
    """What pydantic found wrong with a setting, in our words."""
    shape, _ = _shapes(schema)[key]
    (field,) = (field for field in fields(schema) if field.name == key)
    for found in error.errors():
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, UnknownName):
            yield str(UnknownName(name, found["input"], cause.known))
            continue
        if isinstance(cause, ConfigError):
            yield str(cause)
            continue
        place = shape["items"] if found["loc"] and "items" in shape else shape
        yield _wrong(name, place, found["input"], default_of(field))


def _wrong(name: str, shape: Mapping[str, Any], value: Any, default: Any) -> str:
    if "enum" in shape:
        return f"unknown {name} {value!r}; {did_you_mean(value, shape['enum'])}"
    if "values" in shape:
        return f"unknown {name} {value!r}; use one of {shape['values']}"
    must, remedy = _must(shape, value), "correct it"
    if must == "true or false":
        remedy = "choose one"
    elif must == "in [0, 1)":
        remedy = "0 switches it off"
    elif must == "a number" and isinstance(value, str) and value[:1].isdigit():
        remedy = "give it without quotes"
    elif isinstance(default, (int, float, str)) and default != "":
        remedy = f"its default is {toml_value(default)}"
    return f"{name} must be {must}, got {value!r}; {remedy}"


def _must(shape: Mapping[str, Any], value: Any) -> str:
    """What a value has to be, in words."""
    kind = _kind(shape)
    if kind == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _range(shape)
    article = "" if kind in ("boolean", "string") else "a "
    least = f" of at least {shape['minimum']}" if kind == "integer" and "minimum" in shape else ""
    return f"{article}{_KINDS.get(kind, kind)}{least}"


def _range(shape: Mapping[str, Any]) -> str:
    """The range of a number, in words.

    >>> _range({"minimum": 0, "exclusiveMaximum": 1}), _range({"exclusiveMinimum": 0})
    ('in [0, 1)', 'finite and above 0')
    """
    bounds = [(sign, shape[name]) for name, sign in _BOUNDS.items() if name in shape]
    if len(bounds) == 2:
        (low, least), (high, most) = bounds
        return f"in {'[' if low == '>=' else '('}{least:g}, {most:g}{']' if high == '<=' else ')'}"
    return " and ".join(["finite", *(f"{_SAID[sign]} {bound:g}" for sign, bound in bounds)])


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes
    ----------
    name : str
        With its section, ``"training.lr"``.
    kind : str
        Its type, in words.
    values : str
        What it may be: a range such as ``"> 0"``, or a choice in braces; may be empty.
    default : object
        None where it is absent.
    text : str
        What it means, in Markdown.
    """

    name: str
    kind: str
    values: str
    default: Any
    text: str

    @property
    def key(self) -> str:
        """Name inside its section."""
        return self.name.rpartition(".")[2]

    @property
    def meaning(self) -> str:
        """The first clause of what it means, on one line.

        >>> Setting(name="lr", kind="number", values="", default=1, text="A rate: `x`.").meaning
        'A rate: x'
        """
        found = _CLAUSE.match(self.text)
        return (found[1] if found else self.text.rstrip(".")).replace("`", "")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = {"type": self.kind, "values": self.values, "default": self.default}
        return {"name": self.name, **names, "meaning": self.meaning, "text": self.text}


@dataclass(frozen=True, kw_only=True)
class SettingsSection:
    """Settings that stand together in a file.

    Attributes
    ----------
    name : str
        `TOP`, or what stands in brackets.
    text : str
        What they are about.
    absent : bool
        Whether a file without the section has nothing of it, not its defaults.
    settings : tuple of Setting
    """

    name: str
    text: str
    absent: bool = False
    settings: tuple[Setting, ...]

    @property
    def title(self) -> str:
        """Heading of what is told of it."""
        return "Settings of a run" if self.name == TOP else f"[{self.name}]"

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        told = [setting.to_json() for setting in self.settings]
        return {"name": self.name, "text": self.text, "absent": self.absent, "settings": told}

    def to_toml(self, place: Any = None) -> str:
        """Its settings as TOML.

        Parameters
        ----------
        place : object, optional
            Whose attributes are the values; without, the defaults, each with a comment that says
            what it means.
        """
        off = "# " if self.absent and place is None else ""
        about = [] if place else [f"# {line}" for line in textwrap.wrap(_plain(self.text), 98)]
        lines = [*about, *([] if self.name == TOP else [f"{off}[{self.name}]"])]
        for setting in self.settings:
            value = setting.default if place is None else getattr(place, setting.key)
            unset = value is None and setting.default is None
            if place is None:
                lines += _comment(setting)
            elif unset:
                continue
            lines.append(f"{off or '# ' * unset}{setting.key} = {toml_value(value)}")
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """A heading and a table of its settings."""
        lines = [f"## {self.title}\n\n{self.text}\n"]
        if self.absent:
            lines.append(f"Without a section `[{self.name}]` there is none of it.\n")
        lines.append("| setting | values | default | meaning |\n|:---|:---|:---|:---|")
        for setting in self.settings:
            values = f"{setting.kind}: `{setting.values}`" if setting.values else setting.kind
            cells = (f"`{setting.key}`", values, f"`{shown(setting.default)}`", setting.text)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        return "\n".join([*lines, ""])


def told(schema: Any, *, prefix: str = "") -> tuple[Setting, ...]:
    """What can be told of the settings of a dataclass, but for those that are sections.

    Parameters
    ----------
    schema : type
        A dataclass that derives from `Checked`.
    prefix : str
        Of the names, such as ``"model."``.
    """
    return tuple(
        Setting(
            name=prefix + field.name,
            kind=_KINDS.get(_kind(shape), _kind(shape)) + " or none" * may_be_absent,
            values=_values(field.name, shape),
            default=default_of(field),
            text=_markup(_meaning(schema, field.name)),
        )
        for field in fields(schema)
        if section_of(schema, field.name) is None
        for shape, may_be_absent in [_shapes(schema)[field.name]]
    )


def _meaning(schema: Any, name: str) -> str:
    """Text below a setting, from the class that declares it: pydantic looks into one class only."""
    owner = next(base for base in schema.__mro__ if name in inspect.get_annotations(base))
    return str(_shapes(owner)[name][0].get("description", ""))


def about(schema: Any) -> str:
    """What the settings of a dataclass are about, in Markdown."""
    return _markup((inspect.getdoc(schema) or "").split("\n\n")[0])


def default_of(field: Field[Any]) -> Any:
    """Default of a field."""
    made = field.default_factory
    return field.default if made is MISSING else made()


def toml_value(value: Any) -> str:
    r"""Write a value as TOML does; "none" is what `read` takes for absent.

    >>> print(toml_value(True), toml_value((3, 5)), toml_value(1e-5), toml_value('a"b'))
    true [3, 5] 1e-05 "a\"b"
    """
    if value is None:
        return '"none"'
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {toml_value(one)}' for name, one in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def shown(value: Any) -> str:
    """A default, for people."""
    return "none" if value is None else toml_value(value)


def _values(name: str, shape: Mapping[str, Any]) -> str:
    """What a setting may be: a choice in braces, or a range."""
    if "values" in shape:
        return str(shape["values"])
    if "enum" in shape:
        return f"{{{', '.join(map(toml_value, shape['enum']))}}}"
    if shape.get("type") == "array":
        each = _values("", shape["items"])
        return f"each {each}" if each else ""
    bounds = [(sign, shape[key]) for key, sign in _BOUNDS.items() if key in shape]
    if len(bounds) < 2:
        return "".join(f"{sign} {bound:g}" for sign, bound in bounds)
    (low, least), (high, most) = bounds
    return f"{least:g} {low.replace('>', '<')} {name} {high} {most:g}"


def _kind(shape: Mapping[str, Any]) -> str:
    kind = str(shape.get("type", "section"))
    return f"{kind} of {_kind(shape['items'])}" if kind == "array" else kind


def _markup(text: str) -> str:
    """Text of a docstring on one line, in Markdown."""
    return " ".join(text.split()).replace("``", "`")


def _plain(text: str) -> str:
    return text.replace("`", "")


def _comment(setting: Setting) -> list[str]:
    of = f"{setting.kind}: {setting.values}" if setting.values else setting.kind
    told = textwrap.wrap(f"{_plain(setting.text)} ({of})".strip(), 98)
    return ["", *(f"# {line}" for line in told)]
