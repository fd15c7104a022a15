"""Words that are no names: in many languages, whatever their case, accents and signs."""

import tomllib
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import ConfigError
from matt.datasets.words import known_words, plain_word, without_accents

LISTS = tomllib.loads((files("matt.datasets") / "words.toml").read_text(encoding="utf-8"))
WORDS = known_words()
SAYS = {"unknown": WORDS.is_unknown, "genre": WORDS.is_no_genre, "various": WORDS.is_various}
LISTED = [(section, text) for section in SAYS for some in LISTS[section].values() for text in some]


def test_there_are_words_in_many_languages():
    for section in ("unknown", "various"):
        assert len(LISTS[section].keys() - {"any"}) >= 25


@given(st.sampled_from(LISTED), st.data())
def test_how_a_word_is_written_does_not_matter(listed, data):
    section, text = listed
    case = data.draw(st.sampled_from([str, str.upper, str.lower, str.title]))
    form = data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    around = data.draw(st.sampled_from(["{}", "[{}]", "<{}>", "({})", " {} ", "*{}*", "{}."]))
    wide = data.draw(st.booleans())
    written = around.format(unicodedata.normalize(form, case(text)))
    if wide and form != "NFD":
        written = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in written)
    assert SAYS[section](written)


@given(st.sampled_from([text for section, text in LISTED if len(plain_word(text)) > 6]))
def test_a_number_or_a_date_behind_a_word_does_not_matter(text):
    for behind in (" 2", " (3)", " [12]", " (5/4/2008 3:12:45 PM)", "_01"):
        assert any(says(text + behind) for says in SAYS.values())


@pytest.mark.parametrize(
    "name",
    [
        "!!!",
        "+",
        "=",
        "\u00d7",
        "Unknown Pleasures",
        "Various Cruelties",
        "311",
        "Blink 182",
        "Nada Surf",
    ],
)
def test_names_are_names(name):
    assert not WORDS.is_unknown(name)
    assert not WORDS.is_various(name)


@pytest.mark.parametrize("word", ["VA", "V.A.", "Various Artists", "Sampler"])
@pytest.mark.parametrize(
    "title",
    [" - Summer", " (Ministry)", " [\u0441\u0431\u043e\u0440\u043d\u0438\u043a]", " \u2013 Topic"],
)
def test_a_title_behind_several_artists_does_not_matter(word, title):
    assert WORDS.is_various(word + title)
    assert not WORDS.is_various(f"The {word}{title}")
    assert not WORDS.is_unknown(word + title)
    assert not WORDS.is_various(f"Ann{title} - {word}")
    assert not WORDS.is_various(f"{word}{word}-{title.strip()}")


@pytest.mark.parametrize(
    "sign", ["", "-", "--", "?", "???", "...", "\u2014", "_", "*", " - ", "<>", "[?]"]
)
def test_signs_that_stand_for_nothing(sign):
    assert WORDS.is_unknown(sign)
    assert WORDS.is_no_genre(sign)


@pytest.mark.parametrize(
    "genre", ["Other", "255", "(255)", "Default", "NA", "N/A", "genre", "none"]
)
def test_no_genre(genre):
    assert WORDS.is_no_genre(genre)


def test_other_is_an_artist(tmp_path):
    assert not WORDS.is_unknown("Other")


@given(st.text(max_size=20))
def test_plain_words_stay_plain(text):
    word = plain_word(text)
    assert plain_word(word) == word
    assert plain_word(text.swapcase()) == plain_word(text.swapcase().swapcase())
    assert without_accents(unicodedata.normalize("NFD", text)) == without_accents(text)


def test_a_file_of_ones_own_adds_and_takes_away(tmp_path):
    path = tmp_path / "words.toml"
    path.write_text('unknown = ["Foo Bar"]\nnames = ["NA", "-"]\n[various]\nmine = ["Hits GmbH"]\n')
    words = known_words(path)
    assert words.is_unknown("foo-bar (2)")
    assert words.is_various("HITS GMBH")
    assert words.is_unknown("Unknown Artist")
    assert not words.is_unknown("NA")
    assert not words.is_no_genre("-")
    assert not WORDS.is_unknown("Foo Bar")  # whose words were read before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('unknwon = ["x"]', "'unknwon' is no list of words; did you mean 'unknown'"),
        ('unknown = "x"', "unknown holds 'x'; give a list of texts"),
        ("unknown = [1]", r"unknown holds \[1\]"),
        ("unknown = [", "is not TOML"),
    ],
)
def test_a_wrong_file_of_words_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        known_words(path)


def test_a_file_that_has_changed_is_read_again(tmp_path):
    own = tmp_path / "words.toml"
    own.write_text('unknown = ["Nobody Knows"]')
    assert known_words(own).is_unknown("nobody knows")
    own.write_text('unknown = ["Who Knows"]')
    assert not known_words(own).is_unknown("nobody knows")
