"""What a tag says of who made a track: who leads, and who else is named.

A credit is one text, as "Ann feat. Bob" or "Ann; Bob". Some of its joints are *sure*: what follows
"feat." is a guest in any library. Others may be part of a name ("Simon & Garfunkel", "Sleeping with
Sirens"), so they only say where a credit might be cut; `matt.datasets.identity` cuts there if the
rest of the library says that who stands before is an artist. Nobody in particular is no part of a
name, so "Various Artists & Ann" is cut at once. Which words these are stands in ``words.toml``.

Names are compared by `same_name`, titles of albums by `same_album`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from .words import Words, plain_word, without_accents

# Signs that are written in several ways; before NFKC, which makes an accent of some.
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bb\u02bc\u02b9\u00b4`\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02", '"'),
        "\u301c": "~",
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff"),
    }
)
_TURKISH = str.maketrans({"\u0131": "i"})
_DOT = re.compile("(?<=i)\u0307")  # what "\u0130" leaves when its case is folded
_ARTICLES = "the|an?|der|die|das|las?|les?|el|los|il|lo|gli|de|het|os|as"
_TURNED = re.compile(rf"(.+?)\s*,\s*({_ARTICLES})", re.IGNORECASE)
_SPACES = re.compile(r"[\s,/]+")
_LITTLE = ("", "the", "and")
_AND = re.compile(r"(?<=\w)&(?=\w)"), re.compile(r"(?<=\s)&(?=\s)")  # A&B, A & B


def normalise(text: str) -> str:
    r"""Form of a name in which equal means the same: case, spaces and Unicode forms are gone.

    Examples
    --------
    >>> normalise("  SIGUR   R\u00d3S ") == normalise("Sigur Ro\u0301s")
    True
    """
    folded = text.casefold()
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


@lru_cache(maxsize=2**17)
def same_name(text: str) -> str:
    r"""Form of a name in which equal means the same, however it is written.

    On top of `normalise`, dashes, apostrophes and quotes are one of each, "Beatles, The" is "The
    Beatles", "&" is "and", and the dotted and the dotless i are one letter. Accents stay: they
    tell names apart.

    Examples
    --------
    >>> same_name("Guns N\u2019 Roses") == same_name("GUNS N' ROSES")
    True
    >>> same_name("Beatles, The"), same_name("I\u015eIK"), same_name("\u0130zel")
    ('the beatles', 'i\u015fik', 'izel')
    """
    name = normalise(text if text.isascii() else _in_usual_signs(text)).replace("`", "'")
    if not name.isascii():
        name = unicodedata.normalize("NFC", _DOT.sub("", name.translate(_TURKISH)))
    if name.count(",") == 1 and (found := _TURNED.fullmatch(name)):
        name = f"{found[2]} {found[1]}"
    if "&" in name:
        name = _AND[1].sub("and", _AND[0].sub(" and ", name))
    return name


@lru_cache(maxsize=2**17)
def like_names(text: str) -> tuple[str, ...]:
    """Forms of which one is equal in names that may well be the same.

    Accents, signs, spaces and "the" do not matter in the first, nor the order of words in the
    second.

    >>> like_names("AC/DC")[0] == like_names("The ACDC")[0], like_names("!!!")
    (True, ())
    >>> like_names("Bach, Johann Sebastian")[1] == like_names("Johann Sebastian Bach")[1]
    True
    """
    name = without_accents(same_name(text))
    words = [word for part in _SPACES.split(name) if (word := plain_word(part)) not in _LITTLE]
    if not words:
        return ()
    together = ("".join(words),)
    return together if len(words) == 1 else (*together, " ".join(sorted(words)))


def same_genre(text: str) -> str:
    """Form of a genre in which equal means the same: letters and digits, without "and".

    >>> same_genre("Hip-Hop") == same_genre("HIP HOP"), same_genre("Drum & Bass")
    (True, 'drumbass')
    """
    name = same_name(text)
    return plain_word(re.sub(r"\band\b", "", name)) or name


# ---- albums ----

_DISC = (
    r"(?:cds?|dis[ck]s?|disco|disque|p\u0142yta|levy|skiva|schijf"
    r"|\u0434\u0438\u0441\u043a|\u30c7\u30a3\u30b9\u30af|\u789f)"
)
_OTHER = r"(?:dvd|lp|vinyl|side|seite|face|kassette|cassette|tape|mc)"
_NUMBER = (
    r"(?:\d{1,2}|one|two|three|four|five|six|eins|zwei|drei|un|deux|uno|due|dos|tres"
    r"|i{1,3}|iv|vi{0,3})"
)
_OF = r"(?:\s*(?:of|von|de|di|av|/)\s*\d{1,2})?"
_BETWEEN = r"[\s#.:_-]*(?:no\.?|nr\.?)?\s*"
_EDITION = (
    r"(?:\b(?:remaster|deluxe|luxe|[e\u00e9]dition|edici\u00f3n|edizione|edi\u00e7\u00e3o|expanded|limited|anniversary"
    r"|collector|reissue|mono\b|stereo\b|\u0438\u0437\u0434\u0430\u043d\u0438)|ausgabe|auflage|\u7248|\u76e4)"
)
_WORDS = rf"\s(?=[^()\[\]]{{0,60}}?{_EDITION})[^()\[\]]{{1,60}}?"
_BRACKETS = re.compile(r"\s*[(\[{<][^()\[\]{}<>]*[)\]}>]")
_DISCS = (
    # (CD1), [Disc 2 of 3], (Disc 1: Dawn to Dusk), (CD1 Remastered), (Bonus CD)
    re.compile(
        rf"\s*[-:,]?\s*(?P<open>[(\[{{<])\s*(?:(?:bonus\s+)?(?:{_DISC}|{_OTHER}){_BETWEEN}(?:{_NUMBER}|[ab])"
        rf"{_OF}(?P<title>\s*[-:,][^()\[\]]*)?(?P<words>{_WORDS})?|bonus\s+{_DISC}"
        rf"|\d{{1,2}}\.?\s*{_DISC})\s*(?P<close>[)\]}}>])"
    ),
    # (Limited Edition CD1), [Deluxe, Disc 2]
    re.compile(
        rf"(?P<open>\s*[(\[{{<])\s*(?P<before>[^()\[\]{{}}<>]{{1,60}}?)(?:\s*[-:,]\s*|(?<!compact)\s+(?!disco))"
        rf"(?:bonus\s+{_DISC}|{_DISC}{_BETWEEN}{_NUMBER}{_OF})\s*(?P<close>[)\]}}>])"
    ),
    # - Disc 1, CD 2, Disc One: Dawn to Dusk, CD1 (Remastered)
    re.compile(
        rf"(?:\s*[-:,/_]\s*{_DISC}|(?<!compact)\s+(?!disco){_DISC}){_BETWEEN}{_NUMBER}{_OF}"
        rf"(?:(?P<title>\s*[-:]\s.*?)|(?P<words>{_WORDS}))?"
        rf"(?P<more>(?:{_BRACKETS.pattern}){{0,4}})\s*$"
    ),
    # CD 1 - Title
    re.compile(rf"^{_DISC}{_BETWEEN}{_NUMBER}{_OF}\s*[-:]\s+"),
)


def _but_the_disc(found: re.Match[str]) -> str:
    """What a title says of the edition beside the number of a disc; the disc's own title goes."""
    said = {name: text or "" for name, text in found.groupdict().items()}
    title, words, more = (said.get(name, "") for name in ("title", "words", "more"))
    if title and not re.search(_EDITION, title):
        title, more = "", "".join(p for p in _BRACKETS.findall(more) if re.search(_EDITION, p))
    kept = " ".join(f"{said.get('before', '')} {title.strip(' -:,')} {words}".split())
    if kept and "open" in said:
        kept = said["open"].strip() + kept + said["close"]
    return f" {kept}{more}"


@lru_cache(maxsize=2**17)
def same_album(title: str) -> str:
    """Form of a title in which equal means the same album: as `same_name`, without the disc.

    >>> same_album("Mellon (Disc 1: Dawn)") == same_album("MELLON [CD2]") == same_album("Mellon")
    True
    >>> same_album("CD 2"), same_album("Greatest Hits, Vol. 2"), same_album("Hits CD1 (Remastered)")
    ('cd 2', 'greatest hits, vol. 2', 'hits (remastered)')
    """
    name, before = same_name(title), ""
    while name != before:
        before = name
        for disc in _DISCS:
            if rest := disc.sub(_but_the_disc, name).strip(" -:,"):
                name = rest if rest == name else same_name(rest)
    return name


# ---- credits ----

_SEVERAL = re.compile(r"\s*(?:;|\\\\|//)\s*")  # several values of one field, written as one
_OPENING, _CLOSING = "([{<", ")]}>"
_BRACKET = re.compile(r"\s*[(\[]")
_ARTICLE_ALONE = re.compile(rf"(?:{_ARTICLES})(?=\s*(?:$|[&+,;/(]))", re.IGNORECASE)
_TRIM = " \t-,:;&+/" + _OPENING
_OWN = re.compile(r"(?:his|her|their|its|sein|seine|ihr|ihre|sa|ses|su|sus|sua|seu|suo|suoi)\s.*")


@dataclass(frozen=True)
class Joint:
    """Where a credit may be cut.

    Attributes
    ----------
    lead : str
        What stands before.
    rest : str
        What stands behind.
    joint : {"with", "and", "list"}
        What stands between; the last is a comma or a slash.
    """

    lead: str
    rest: str
    joint: str


@dataclass(frozen=True)
class Credit:
    """One text, taken apart.

    Attributes
    ----------
    lead : str
        Whoever stands first, as it is written.
    guests : tuple of str
        Who else is surely named.
    cuts : tuple of Joint
        Where the lead may be cut further, if it is several; the longest lead comes first.
    """

    lead: str
    guests: tuple[str, ...] = ()
    cuts: tuple[Joint, ...] = ()


class Credits:
    """Takes credits apart, by the words of some languages."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._known: dict[str, Credit] = {}
        guest, with_, and_ = (words.joints[name] for name in ("guest", "with", "and"))
        start = rf"(?:^|(?<=[\s{re.escape(_OPENING)}]))"
        follows = r"(?=[^\s&+,;/.:()\[\]])"
        self._guest = re.compile(
            rf"\s*(?P<open>[(\[{{<]?)\s*{start}(?:{_any(guest)})(?:\s*[.:]\s*|\s+|(?<=[./])){follows}"
            rf"|\s*(?P<bracket>[(\[{{<])\s*(?:{_any([*with_, *and_])})\s+{follows}",
            re.IGNORECASE,
        )
        self._again = re.compile(rf"(?:{_any([*guest, *with_, *and_])})[.:]?\s", re.IGNORECASE)
        self._joint = re.compile(
            rf"\s+(?P<with>{_any(with_)})\s+|\s+(?P<and>{_any(and_)}|-)\s+|(?P<tight>\s*[&+\u00d7]\s*)"
            r"|(?P<list>\s*[,/|\u3001\u30fb\u00b7\uff0f]\s*)",
            re.IGNORECASE,
        )
        self._title = re.compile(
            rf"(?:[(\[]|\s)(?:{_any(guest)})(?:\s*[.:]\s*|\s+|(?<=[./])){follows}([^()\[\]]+)",
            re.IGNORECASE,
        )

    def read(self, text: str) -> Credit:
        """Take a text apart.

        >>> from .words import known_words
        >>> read = Credits(known_words()).read
        >>> read("Ann [feat. Bob & Cleo]").lead, read("Ann [feat. Bob & Cleo]").guests
        ('Ann', ('Bob & Cleo', 'Bob', 'Cleo'))
        >>> [(cut.lead, cut.joint) for cut in read("Simon & Garfunkel").cuts]
        [('Simon', 'and')]
        >>> read("Little Feat")
        Credit(lead='Little Feat', guests=(), cuts=())
        >>> read("Various Artists & Ann").lead, read("? & The Mysterians").lead
        ('Various Artists', '? & The Mysterians')
        """
        if text not in self._known:
            self._known[text] = self._read(text)
        return self._known[text]

    def is_unknown(self, text: str) -> bool:
        """Whether it is unknown who leads a credit, whoever else is named.

        >>> from .words import known_words
        >>> Credits(known_words()).is_unknown("Unknown Artist feat. Bob")
        True
        """
        return self.words.is_unknown(text) or self.words.is_unknown(self.read(text).lead)

    def is_various(self, text: str) -> bool:
        """Whether several artists lead a credit, and nobody in particular."""
        return self.words.is_various(text) or self.words.is_various(self.read(text).lead)

    def _read(self, text: str) -> Credit:
        plain = _usual(text)
        if self.words.is_name(plain):
            return Credit(text.strip())
        head, *values = [part for part in _SEVERAL.split(plain) if part] or [plain]
        lead, tail = self._without_guests(head)
        guests = [*self.parts(tail)]
        for value in values:
            first, more = self._without_guests(value)
            guests += [first, *self.parts(first), *self.parts(more)]
        cuts = tuple(self._cuts(lead))
        if nobody := next(filter(self._leads_nobody, cuts), None):
            lead, cuts = nobody.lead, ()
            guests += self.parts(nobody.rest)
        kept = text.strip() if lead == plain else lead
        return Credit(kept, tuple(dict.fromkeys(guest for guest in guests if guest)), cuts)

    def _without_guests(self, text: str) -> tuple[str, str]:
        """Lead, and what is said of guests."""
        for found in self._guest.finditer(text):
            before, tail = text[: found.start()], text[found.end() :]
            lead = before.rstrip(_TRIM) or before.strip(" ,;:")  # "- feat. Ann"
            # "Little Feat feat. Ann", "20 ft. Deep", "The Ft. Worth Five"
            article = _ARTICLE_ALONE.fullmatch(lead)
            if not lead or lead.isdigit() or article or self._again.match(tail.lstrip(_TRIM)):
                continue
            opening = found["open"] or found["bracket"]
            if opening:
                tail = tail.partition(_CLOSING[_OPENING.index(opening)])[0]
            return lead, _BRACKET.split(tail)[0].strip()
        return text, ""

    def _cuts(self, lead: str) -> Iterable[Joint]:
        cuts = []
        for found in self._joint.finditer(lead):
            before, after = lead[: found.start()].rstrip(_TRIM), lead[found.end() :].strip()
            if not before or not after or _inside(before):
                continue
            if found["list"] and _ARTICLE_ALONE.match(after):  # "Beatles, The"
                continue
            joint = "with" if found["with"] else "list" if found["list"] else "and"
            cuts.append(Joint(before, after, joint))
        return reversed(cuts)

    def _leads_nobody(self, cut: Joint) -> bool:
        """Whether nobody in particular stands before a joint; one short word may be half a name."""
        if not (self.words.is_unknown(cut.lead) or self.words.is_various(cut.lead)):
            return False
        return " " in cut.lead or not self.parts(cut.rest)

    def parts(self, text: str) -> list[str]:
        """Everybody whom a list of guests may name: the whole, and its parts.

        >>> from .words import known_words
        >>> Credits(known_words()).parts("Bob, Cleo & Friends")
        ['Bob, Cleo & Friends', 'Bob', 'Cleo']
        """
        if not text:
            return []
        split = [text, *self._joint.split(text)[:: self._joint.groups + 1]]
        cleaned = (part.strip(" ()[]{}<>.,;:\"'-") for part in split)
        return [*dict.fromkeys(part for part in cleaned if part and not self._is_nobody(part))]

    def in_title(self, title: str) -> list[str]:
        """Guests whom a title names.

        >>> from .words import known_words
        >>> Credits(known_words()).in_title("Song (feat. Bob) [Live]")
        ['Bob']
        """
        return [
            part for found in self._title.finditer(_usual(title)) for part in self.parts(found[1])
        ]

    def _is_nobody(self, part: str) -> bool:
        words = self.words
        word = plain_word(part)
        own = _OWN.fullmatch(part.casefold()) is not None
        return (
            not word
            or own
            or word in words.nobody
            or words.is_unknown(part)
            or words.is_various(part)
        )


def _in_usual_signs(text: str) -> str:
    return text.translate(_SIGNS).replace(" \u0301", "'")  # what NFKC makes of an acute accent


def _usual(text: str) -> str:
    """Text in usual signs and single spaces; letters stay as they are."""
    if not text.isascii() or "`" in text:
        text = unicodedata.normalize("NFKC", _in_usual_signs(text))
    return " ".join(text.split())


def _any(words: Iterable[str]) -> str:
    """One of some words, the longest first."""
    return "|".join(
        r"\s+".join(map(re.escape, word.split()))
        for word in sorted(words, key=lambda w: (-len(w), w))
    )


def _inside(before: str) -> bool:
    """Whether what follows lies between brackets."""
    return any(before.count(a) > before.count(b) for a, b in zip(_OPENING, _CLOSING, strict=True))
