"""Every setting with its type, values, default and meaning, read off the settings dataclasses.

The docstrings of the dataclasses are the only place where a setting is described. Their section
"Attributes" says, in the form of NumPy, what values a setting takes and what it means; types and
defaults are those of the fields. From this come ``matt settings``, a TOML file with comments, and
the page of settings in the documentation.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from .errors import ConfigError, did_you_mean
from .evaluation.tables import Column, Table
from .settings import Settings

TOP = "run"
"""What the settings outside of any section are called."""

_TOP_TEXT = (
    'They stand before all sections. So does a line `recipe = "plain"`, which takes the plain '
    "training of the paper's rows for the default, under whatever else is set."
)

_KINDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple[int, ...]: "list of whole numbers",
    tuple[str, ...]: "list of texts",
}
_OF_THE_RUN = ("training.seed", "baseline.seed")  # always the seed of the run
_TYPE = re.compile(r"^(?:tuple of (?:int|str)|bool|int|float|str)\b,? ?|,? ?optional$")
_CLAUSE = re.compile(r"(.{15,}?)[.;:](?=\s|$)", re.DOTALL)


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

        >>> find("training").settings[2].meaning
        'How the learning rate goes on from lr'
        """
        found = _CLAUSE.match(self.text)
        return (found[1] if found else self.text.rstrip(".")).replace("`", "")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = {"type": self.kind, "values": self.values, "default": self.default}
        return {"name": self.name, **names, "meaning": self.meaning, "text": self.text}


@dataclass(frozen=True, kw_only=True)
class Section:
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
    absent: bool
    settings: tuple[Setting, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        told = [setting.to_json() for setting in self.settings]
        return {"name": self.name, "text": self.text, "absent": self.absent, "settings": told}

    def table(self) -> Table:
        """Its settings, for a terminal."""
        columns = [Column(name) for name in ("setting", "type", "values", "default", "meaning")]
        rows = tuple(
            (s.name, s.kind, s.values, _shown(s.default), s.meaning) for s in self.settings
        )
        notes = (f"Without a section [{self.name}] there is none of it.",) if self.absent else ()
        return Table(_title(self), tuple(columns), rows, notes)


@cache
def sections() -> tuple[Section, ...]:
    """All settings of a run: those outside of any section first."""
    kinds, top, found = get_type_hints(Settings), [], []
    described = _attributes(Settings)
    for field in fields(Settings):
        kind = kinds[field.name]
        schema = next(filter(is_dataclass, (kind, *get_args(kind))), None)
        if schema is None:
            top.append(_setting("", field, kind, described))
        else:
            found.append(_section(field.name, schema, absent=_default(field) is None))
    return (
        Section(name=TOP, text=_TOP_TEXT, absent=False, settings=tuple(top)),
        *found,
    )


def find(name: str) -> Section:
    """The section of a name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    known = {section.name: section for section in sections()}
    if name not in known:
        raise ConfigError(f"unknown section {name!r}; {did_you_mean(name, known)}")
    return known[name]


def to_toml(settings: Settings | None = None) -> str:
    """Settings as a TOML file, which loads to the same settings.

    Parameters
    ----------
    settings : Settings, optional
        Without, the defaults, each with a comment that says what it means.
    """
    parts = [_toml(section, settings) for section in sections()]
    return "\n".join(filter(None, parts))


def _toml(section: Section, settings: Settings | None) -> str:
    place: Any = settings
    if settings is not None and section.name != TOP:
        place = getattr(settings, section.name)
        if place is None:
            return ""
    off = "# " if section.absent and settings is None else ""
    lines = [] if section.name == TOP else [f"{off}[{section.name}]"]
    for setting in section.settings:
        value = setting.default if place is None else getattr(place, setting.key)
        if place is not None and value is None and setting.default is None:
            continue
        if place is None:
            lines += _comment(setting)
        mark = off or ("# " if value is None and setting.default is None else "")
        lines.append(f"{mark}{setting.key} = {toml_value(value)}")
    if settings is None:
        about = [f"# {line}" for line in textwrap.wrap(_plain(section.text), 98)]
        lines = [*about, *lines]
    return "\n".join(lines) + "\n"


def commented(section: Section) -> str:
    """The defaults of a section as TOML, each with a comment that says what it means."""
    return _toml(section, None)


def toml_value(value: Any) -> str:
    r"""Write a value as TOML does; "none" is what `matt.config` takes for absent.

    >>> print(toml_value(True), toml_value((3, 5)), toml_value(1e-5), toml_value('a"b'))
    true [3, 5] 1e-05 "a\"b"
    """
    if value is None:
        return '"none"'
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def to_markdown() -> str:
    """All settings as a page of the documentation: a heading and a table for each section."""
    return "\n".join(part for section in sections() for part in _markdown(section))


def _markdown(section: Section) -> Iterator[str]:
    yield f"## {_title(section)}\n\n{section.text}\n"
    if section.absent:
        yield f"Without a section `[{section.name}]` there is none of it.\n"
    yield "| setting | values | default | meaning |\n|:---|:---|:---|:---|"
    for setting in section.settings:
        values = f"{setting.kind}: `{setting.values}`" if setting.values else setting.kind
        cells = (f"`{setting.key}`", values, f"`{_shown(setting.default)}`", setting.text)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _title(section: Section) -> str:
    return "Settings of a run" if section.name == TOP else f"[{section.name}]"


def _section(name: str, schema: Any, *, absent: bool) -> Section:
    kinds, described = get_type_hints(schema), _attributes(schema)
    text = (inspect.getdoc(schema) or "").split("\n\n")[0]
    made = (_setting(f"{name}.", field, kinds[field.name], described) for field in fields(schema))
    kept = tuple(setting for setting in made if setting.name not in _OF_THE_RUN)
    return Section(name=name, text=_markup(text), absent=absent, settings=kept)


def _setting(
    prefix: str, field: Field[Any], kind: Any, described: dict[str, tuple[str, str]]
) -> Setting:
    plain = next(k for k in (kind, *get_args(kind)) if k in _KINDS)
    values, text = described[field.name]
    return Setting(
        name=prefix + field.name,
        kind=f"{_KINDS[plain]} or none" if type(None) in get_args(kind) else _KINDS[plain],
        values=_TYPE.sub("", _TYPE.sub("", values)),
        default=_default(field),
        text=_markup(text),
    )


def _attributes(schema: type) -> dict[str, tuple[str, str]]:
    """Type and text that the docstring of a dataclass gives each attribute."""
    _, _, rest = (inspect.getdoc(schema) or "").partition("Attributes\n----------\n")
    body = re.split(r"^\w+\n-+$", rest, maxsplit=1, flags=re.MULTILINE)[0]
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for line in body.splitlines():
        if line and not line.startswith(" "):
            head, _, values = line.partition(" : ")
            names = head.split(", ")
            found |= {name: (values, "") for name in names}
        else:
            found |= {name: (found[name][0], f"{found[name][1]} {line.strip()}") for name in names}
    return {name: (values, text.strip()) for name, (values, text) in found.items()}


def _default(field: Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is MISSING else made()


def _markup(text: str) -> str:
    """Text of a docstring on one line, in Markdown."""
    return " ".join(text.split()).replace("``", "`")


def _shown(default: Any) -> str:
    return "none" if default is None else toml_value(default)


def _plain(text: str) -> str:
    return text.replace("`", "")


def _comment(setting: Setting) -> list[str]:
    of = f"{setting.kind}: {setting.values}" if setting.values else setting.kind
    told = textwrap.wrap(f"{_plain(setting.text)} ({of})".strip(), 98)
    return ["", *(f"# {line}" for line in told)]
