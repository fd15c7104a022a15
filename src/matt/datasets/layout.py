"""How a CSV is written: encoding, delimiter and decimal sign, by its settings or from its bytes.

What a file settles is used: marks and zero bytes of UTF-16, the one delimiter that parts all rows
alike, commas inside of numbers. What it does not settle is not guessed: which 8-bit encoding some
bytes are in is asked, with what they read as in those that are possible.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import DataError, first_few
from ..files import not_text
from ..settings import Checked, Whole

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".parquet")
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
NO_NUMBER = ("", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#NA", "null", "NULL")
"""Cells that stand for no number, whatever else the settings name; a text may well be "NA"."""
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 2**16  # bytes looked at
_PARTS = re.compile(r'[^\r\n"\0\x80-\U0010ffff]')  # what CSV and Arrow can part columns with
_ROWS = 200
_MOST = 0.9  # share of rows that a delimiter parts alike
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of each script the usual ones; those of one script often differ in few signs. Of those that two
# bytes may be in, the one with fewer usual characters comes first.
_POSSIBLE = (
    "cp1252", "cp1250", "iso8859-2", "cp1251", "koi8-r", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp1257", "cp932", "euc-jp", "cp949", "gb18030", "big5",
)  # fmt: skip
# Where the usual characters lie: their first byte in some encoding, and how surely they are meant.
# Japanese is seldom without kana.
_USUAL = {
    "cp932": (
        "euc-jp",
        {**dict.fromkeys((0xA4, 0xA5), 1.0), **dict.fromkeys(range(0xB0, 0xD0), 0.9)},
    ),
    "cp949": ("euc-kr", dict.fromkeys(range(0xB0, 0xC9), 1.0)),
    "gb18030": ("gb2312", dict.fromkeys(range(0xB0, 0xD8), 1.0)),
    "big5": ("big5", dict.fromkeys(range(0xA4, 0xC7), 0.9)),
}
_USUAL["euc-jp"] = _USUAL["cp932"]
_CYRILLIC = frozenset([*map(chr, range(0x430, 0x450)), *"\u0451\u0456\u0457\u0454\u0491\u045e"])
_SIGNS = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u20ac\u00a0\u00b4\u00b7\u00ab\u00bb\u00b0\u00bf\u00a1\u3001\u3002\u30fb\u30fc"
)
_STRANGE = re.compile("[\x80-\U0010ffff]+")
_SAID_DELIMITER = re.compile(r"sep=(.)\r?(?:\n|$)", re.IGNORECASE)  # Excel's first line
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}([., '\u00a0\u2019\u202f])\d{3}(?:\1\d{3})*(?:[.,]\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True, kw_only=True)
class Layout(Checked):
    """How a CSV is written; Parquet says so itself."""

    header_rows: int = 1
    """Rows of a CSV that together name the columns, joined with ``_``. With several, a row below
    them that names nothing but the first column belongs to them, as pandas writes it.
    """
    delimiter: str = ""
    """Of a CSV; by default the one of comma, semicolon, tab and ``|`` that its rows have in common.
    """
    decimal: Literal["", ".", ","] = ""
    """Sign before the decimals of a CSV; by default a comma if the numbers have one that parts no
    columns, else a point.
    """
    encoding: str = ""
    """Of a CSV; by default UTF-8, or UTF-16 and UTF-32 where the bytes say so."""
    skip: Whole = 0
    """Lines of a CSV above the names of its columns."""

    def problems(self) -> Iterator[str]:
        """See `Checked.problems`."""
        if self.header_rows < 1:
            yield f"header_rows is {self.header_rows}; columns need at least one row"
        if self.delimiter and not _PARTS.fullmatch(self.delimiter):
            yield f"delimiter is {self.delimiter!r}; use one character such as ',' or ';'"
        if self.decimal and self.decimal == self.delimiter:
            yield f"delimiter and decimal are both {self.decimal!r}; they have to differ"
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            yield f"encoding is {self.encoding!r}, which is unknown; try 'utf-8' or 'cp1252'"


def may_part(sign: str) -> bool:
    """Whether a sign could stand between columns, and is no part of names."""
    return _PARTS.fullmatch(sign) is not None and not (sign.isalnum() or sign in "_-. ")


def kind_of(path: Path) -> str:
    """Suffix that tells the format, without that of a compression.

    Raises
    ------
    DataError
        If it is none that can be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise DataError(f"{path} is no table; its name must end in {', '.join(SUFFIXES)} (or .gz)")
    return suffixes[-1]


def recognised(path: Path, layout: Layout) -> tuple[Layout, tuple[str, ...]]:
    """Settings of a file with nothing left open, and notes on what was found by looking.

    A file that cannot be read is left to whoever reads it.

    Raises
    ------
    DataError
        If its first bytes say that it is no table in text.
    """
    if kind_of(path) == ".parquet":
        return layout, ()
    usual = "\t" if kind_of(path) in (".tsv", ".tab") else ","
    head = _head(path)
    encoding = layout.encoding or _encoding(head)
    if encoding == "utf-8" and (told := not_text(head)):
        raise DataError(f"{path} {told}")
    text = _text(head, encoding)
    skip, delimiter = layout.skip, layout.delimiter
    if said := _SAID_DELIMITER.match(text):
        skip, delimiter = max(skip, 1), delimiter or said[1]
    lines = "".join(text.splitlines(keepends=True)[skip:])
    delimiter = delimiter or _delimiter(lines, usual)
    decimal = layout.decimal or _decimal(_rows(lines, delimiter)[layout.header_rows :], delimiter)
    notes = []
    if not layout.encoding and encoding != "utf-8":
        notes.append(f"encoding = {encoding!r}")
    if not layout.delimiter and delimiter != usual:
        notes.append(f"delimiter = {delimiter!r}")
    if not layout.decimal and decimal != ".":
        notes.append(f"decimal = {decimal!r}")
    found = Layout(
        header_rows=layout.header_rows,
        delimiter=delimiter,
        decimal="," if decimal == "," else ".",
        encoding=encoding,
        skip=skip,
    )
    return found, (f"{path.name} is read with {', '.join(notes)}",) if notes else ()


def _head(path: Path) -> bytes:
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression="detect") as raw:
            return bytes(raw.read(_SAMPLE))
    except (OSError, pa.ArrowInvalid):
        return b""


def _encoding(head: bytes) -> str:
    """Encoding that marks or zero bytes settle, else UTF-8."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    first, second = head[0::2].count(0), head[1::2].count(0)
    if not first and not second:
        return "utf-8"
    name = "utf-16-le" if second > first else "utf-16-be"
    text = _text(head, name)
    return name if "\n" in text and "\0" not in text else "utf-8"


def _text(head: bytes, encoding: str) -> str:
    """What the head of a file says, but for a character that is cut."""
    try:
        return codecs.getincrementaldecoder(decoding(encoding))("replace").decode(head)
    except UnicodeError:  # UTF-16 without its mark
        return ""


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """Rows of a sample, the last left out if it may be cut."""
    cut = text.rpartition("\n")[0] if len(text) > _SAMPLE // 8 else text
    rows = []
    try:
        for row in csv.reader(io.StringIO(cut, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:  # whoever reads all of it says where
        pass
    return rows


def _delimiter(text: str, usual: str) -> str:
    """The delimiter that parts all rows alike; the usual one where none or several do."""
    parted: dict[str, tuple[float, int]] = {}
    for delimiter in dict.fromkeys((usual, *_DELIMITERS)):
        rows = _rows(text, delimiter)
        if rows and len(rows[0]) > 1:
            alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            parted[delimiter] = alike, len(rows[0])
    if parted.get(usual, (0.0, 0))[0] == 1 or not parted:
        return usual
    best = max(parted, key=lambda delimiter: parted[delimiter])
    return best if parted[best][0] >= _MOST else usual


def better_delimiter(names: Sequence[str], delimiter: str) -> str:
    """The usual delimiter that stands inside of names as often as they are many; else nothing.

    >>> better_delimiter(["track;genre;f_1"], ","), better_delimiter(["a, b", "c"], ";")
    (';', '')
    """
    times = {sign: "".join(names).count(sign) for sign in _DELIMITERS if sign != delimiter}
    best = max(times, key=lambda sign: times[sign])
    return best if times[best] >= len(names) else ""


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """A comma if there are columns of numbers with commas, and none with points."""
    if delimiter == ",":
        return "."
    commas = False
    for column in zip(*rows, strict=False):
        cells = [cell.strip() for cell in column if cell.strip() not in NO_NUMBER]
        if not cells:
            continue
        if any("." in cell for cell in cells) and all(map(is_number, cells)):
            return "."
        numbers = all(_COMMA.fullmatch(cell) or is_number(cell) for cell in cells)
        holding = [cell for cell in cells if "," in cell]
        # All of them thousands: nobody can tell 1,234 from 1.234.
        commas |= numbers and any(not _THOUSANDS.fullmatch(cell) for cell in holding)
    return "," if commas else "."


_SWAPPED = str.maketrans(",.", ".,")


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a cell reads as a number."""
    try:
        float(text.translate(_SWAPPED) if decimal == "," else text)
    except ValueError:
        return False
    return True


def what_it_may_be(text: str, decimal: str = ".") -> str:
    """How to mend a cell that is no number; nothing where there is no way.

    >>> what_it_may_be("0,143")
    "if all have a decimal comma, say decimal = ','; else write them alike"
    >>> what_it_may_be("1.234,5", ",")
    'take out the signs between its thousands'
    """
    other = "," if decimal == "." else "."
    if is_number(text, other):
        sign = "comma" if other == "," else "point"
        return f"if all have a decimal {sign}, say decimal = {other!r}; else write them alike"
    if _GROUPED.fullmatch(text):
        return "take out the signs between its thousands"
    return ""


def decoding(encoding: str) -> str:
    """What to decode with: UTF-8 may begin with a mark."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def not_written_in(path: Path, encoding: str) -> str:
    """End of a message about bytes that are no text: what they are in the encodings that fit."""
    wrong, sample = f"is not written in {encoding}", _foreign(path, encoding)
    readings: dict[str, tuple[float, str]] = {}
    for name in _POSSIBLE:
        found = _read_in(sample, name)
        if found is not None and found[1] not in (text for _, text in readings.values()):
            readings[name] = found
    if not readings:
        return f"{wrong}; say encoding = '...' if you know it, or save the file as UTF-8"
    order = sorted(readings, key=lambda name: -readings[name][0])
    name, (best, first) = order[0], readings[order[0]]
    order = [name for name in order if readings[name][0] >= best / 2]
    if len(order) == 1:
        return f"{wrong}; say encoding = {name!r}, in which it says {first}, or save it as UTF-8"
    told = first_few((f"{readings[name][1]} in {name!r}" for name in order), most=4)
    return (
        f"{wrong}, and its bytes do not tell in what: they say {told}; say encoding = {name!r} or "
        "whichever reads right, or save the file as UTF-8"
    )


def _foreign(path: Path, encoding: str) -> list[bytes]:
    """Words of a file around bytes that an encoding does not have, at most a few dozen."""
    import pyarrow as pa

    found: dict[bytes, None] = {}
    ours = {codecs.lookup(encoding).name, "utf-8"}
    with pa.input_stream(str(path), compression="detect") as raw:
        while (block := bytes(raw.read(2**20))) and len(found) < 50:
            for word in re.findall(rb"[^\s,;|\"]*[\x80-\xff]+[^\s,;|\"]*", block):
                if any(_fails(word, name) for name in ours):
                    found[word[:60]] = None
                if len(found) >= 50:
                    break
    return list(found)


def _fails(word: bytes, encoding: str) -> bool:
    try:
        word.decode(encoding)
    except UnicodeError:
        return True
    return False


def _read_in(words: Iterable[bytes], encoding: str) -> tuple[float, str] | None:
    """How plausible some words are in an encoding, in [0, 1], and what they say.

    None if they would be no words.
    """
    read: list[str] = []
    plausible: list[float] = []
    for word in words:
        try:
            text = word.decode(encoding)
        except UnicodeError:
            return None
        strange = [char for char in text if char > "\x7f"]
        if any(not char.isalpha() and char not in _SIGNS for char in strange):
            return None
        scripts = {_script(char) for char in text if char.isalpha()}
        if len(
            scripts - {"MODIFIER", "FULLWIDTH", "HALFWIDTH", "HIRAGANA", "KATAKANA", "CJK"}
        ) > 1 or ("LATIN" in scripts and scripts & {"CJK", "HIRAGANA", "KATAKANA"}):
            return None  # letters of two scripts in one word
        read.append(text)
        plausible += _plausible(text, encoding)
    return sum(plausible) / max(len(plausible), 1), ", ".join(read[:3])


def _script(char: str) -> str:
    return unicodedata.name(char, " ").split()[0].split("-")[0]


def _plausible(text: str, encoding: str) -> Iterator[float]:
    """How usual each letter of a word is that is not in ASCII, where it stands, in [0, 1]."""
    for found in _STRANGE.finditer(text):
        run, before = found[0], text[: found.start()][-1:]
        # Of Latin letters most are in ASCII: a word is not made of the others.
        odd = _script(run[0]) == "LATIN" and (len(run) > 2 or 1 < len(run) == len(text))
        for char in run:
            if encoding in _USUAL:
                yield _usual(char, encoding)
            elif odd or char in "\u00b7\u00b0\u00b4" or (char.isupper() and before.islower()):
                yield 0.0
            elif _script(char) == "CYRILLIC" and char.lower() not in _CYRILLIC:
                yield 0.5
            else:
                yield 0.5 if char.isupper() and before.isupper() else 1.0
            before = char


def _usual(char: str, encoding: str) -> float:
    if _script(char) in ("HALFWIDTH", "FULLWIDTH"):
        return 0.5
    standard, usual = _USUAL[encoding]
    try:
        return usual.get(char.encode(standard)[0], 1.0 if char in _SIGNS else 0.0)
    except UnicodeError:
        return 0.0
