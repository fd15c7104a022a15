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
from ..settings import Checked, Whole

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".parquet")
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
NO_NUMBER = ("", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#NA", "null", "NULL")
"""Cells that stand for no number, whatever else the settings name; a text may well be "NA"."""
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 2**16  # bytes looked at
_ROWS = 200
_MOST = 0.9  # share of rows that a delimiter parts alike
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of each script the usual ones; those of one script often differ in few signs.
_POSSIBLE = (
    "cp1252", "cp1250", "iso8859-2", "cp1251", "koi8-r", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp1257", "cp932", "euc-jp", "gb18030", "big5", "cp949",
)  # fmt: skip
_SIGNS = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u20ac\u00a0\u00b4\u00b7\u00ab\u00bb\u00b0\u00bf\u00a1\u3001\u3002\u30fb\u30fc"
)
_SAID_DELIMITER = re.compile(r"sep=(.)\r?(?:\n|$)", re.IGNORECASE)  # Excel's first line
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
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
        if len(self.delimiter) > 1:
            yield f"delimiter is {self.delimiter!r}; use one character"
        if self.decimal and self.decimal == self.delimiter:
            yield f"delimiter and decimal are both {self.decimal!r}; they have to differ"
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            yield f"encoding is {self.encoding!r}, which is unknown; try 'utf-8' or 'cp1252'"


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
    """
    if kind_of(path) == ".parquet":
        return layout, ()
    usual = "\t" if kind_of(path) in (".tsv", ".tab") else ","
    head = _head(path)
    encoding = layout.encoding or _encoding(head)
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


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a cell reads as a number."""
    try:
        float(text.replace(",", ".") if decimal == "," and "." not in text else text)
    except ValueError:
        return False
    return True


def what_it_may_be(text: str) -> str:
    """How to mend a cell that is no number; nothing where there is no way.

    >>> what_it_may_be("0,143")
    "if that is a decimal comma, say decimal = ','"
    """
    if _COMMA.fullmatch(text):
        return "if that is a decimal comma, say decimal = ','"
    return ""


def decoding(encoding: str) -> str:
    """What to decode with: UTF-8 may begin with a mark."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def not_written_in(path: Path, encoding: str) -> str:
    """End of a message about bytes that are no text: what they are in the encodings that fit."""
    wrong, sample = f"is not written in {encoding}", _foreign(path, encoding)
    readings: dict[str, str] = {}
    for name in _POSSIBLE:
        if (read := _read_in(sample, name)) and read not in readings.values():
            readings[name] = read
    if not readings:
        return f"{wrong}; say encoding = '...' if you know it, or save the file as UTF-8"
    name, first = next(iter(readings.items()))
    if len(readings) == 1:
        return f"{wrong}; say encoding = {name!r}, in which it says {first}, or save it as UTF-8"
    told = first_few((f"{read} in {name!r}" for name, read in readings.items()), most=4)
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


def _read_in(words: Iterable[bytes], encoding: str) -> str:
    """What some words are in an encoding; nothing if they would be no words."""
    read = []
    for word in words:
        try:
            text = word.decode(encoding)
        except UnicodeError:
            return ""
        strange = [char for char in text if char > "\x7f"]
        if any(not char.isalpha() and char not in _SIGNS for char in strange):
            return ""
        scripts = {
            unicodedata.name(char, " ").split()[0].split("-")[0] for char in text if char.isalpha()
        }
        if len(
            scripts - {"MODIFIER", "FULLWIDTH", "HALFWIDTH", "HIRAGANA", "KATAKANA", "CJK"}
        ) > 1 or ("LATIN" in scripts and scripts & {"CJK", "HIRAGANA", "KATAKANA"}):
            return ""  # letters of two scripts in one word
        read.append(text)
    return ", ".join(read[:3])
