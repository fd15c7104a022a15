import json
import re
import tomllib
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.id3 import TCON

from matt.datasets.genres import MAINS, Vocabulary, folded, joined, parted, vocabulary
from matt.datasets.meanings import (
    bags_of,
    look_alike,
    starting_file,
    too_few_left,
    understand,
    unmapped,
)
from matt.datasets.words import known_words
from matt.errors import ConfigError

SHIPPED = vocabulary()
NAMES = sorted(SHIPPED.genres)
genres = st.sampled_from(NAMES)
# What people write between genres; those of the second line may be part of a name, too.
SURE = (";", "; ", " ; ", "|", " | ", "\\", " > ", "---")
SIGNS = (*SURE, ",", ", ", "/", " / ", " & ", " and ", "+", " - ")


def own(tmp_path, text):
    path = tmp_path / "genres.toml"
    path.write_text(text, encoding="utf-8")
    return vocabulary(path)


def content():
    return tomllib.loads((files("matt.datasets") / "genres.toml").read_text(encoding="utf-8"))


# ---- the names that come with the package ----


def test_every_name_of_the_file_is_known_and_told_once():
    told = content()
    below = [name for some in told["parents"].values() for name in some]
    keys = [folded(name) for name in below]
    assert len(set(keys)) == len(keys)
    listed = {*keys, *map(folded, told["parents"])}
    assert len(listed) == len(SHIPPED.genres) > 1000
    aliases = [(folded(a), g) for g, some in told["aliases"].items() for a in some]
    assert len({key for key, _ in aliases}) == len(aliases)
    assert not listed & {key for key, _ in aliases}  # an alias is no genre
    assert all(folded(genre) in listed for genre in told["aliases"])
    assert all(SHIPPED.names[key] == genre for key, genre in aliases)


def test_no_name_is_a_word_for_unknown():
    words = known_words()
    assert [name for name in SHIPPED.names if words.is_no_genre(name)] == []


def test_a_genre_is_itself():
    assert [genre for genre in NAMES if SHIPPED.read(genre) != (genre,)] == []
    assert [genre for genre in NAMES if SHIPPED.path(genre)[-1] != genre] == []
    assert max(len(SHIPPED.path(genre)) for genre in NAMES) == 4


@given(genre=genres, data=st.data())
def test_case_dashes_and_spaces_do_not_matter(genre, data):
    written = data.draw(st.sampled_from([str.upper, str.lower, str.title]))(genre)
    for sign in data.draw(st.permutations([" ", "-"])):
        if " - " not in written:
            written = written.replace(sign, data.draw(st.sampled_from([" ", "-", "  ", " "])))
    written = data.draw(st.sampled_from(["", " ", "\t"])) + written
    if "&" in written:
        written = written.replace(" & ", data.draw(st.sampled_from([" and ", "&", " 'n' ", " + "])))
    assert SHIPPED.read(written) == (genre,)


@given(some=st.lists(genres, min_size=2, max_size=7), sign=st.sampled_from(SURE))
def test_known_genres_are_parted_at_what_is_never_in_a_name(some, sign):
    """An oracle that knows nothing of folding: the list that was joined."""
    assert SHIPPED.read(sign.join(some)) == tuple(dict.fromkeys(some))


@given(
    some=st.lists(genres, min_size=1, max_size=4),
    sign=st.sampled_from(SIGNS),
    place=st.integers(0, 4),
)
def test_with_one_unknown_part_a_text_stays_as_it_is(some, sign, place):
    parts = [*some[:place], "Qwxzy", *some[place:]]
    written = sign.join(parts)
    assert SHIPPED.read(written) == (" ".join(written.split()),)


@given(st.text(max_size=60))
def test_any_text_is_read_as_something(text):
    once = SHIPPED.read(text)
    assert once == SHIPPED.read(text) == vocabulary(words=known_words()).read(text)
    for genre in once:  # what was read is read as itself
        assert SHIPPED.read(genre) == (genre,) or not SHIPPED.knows(genre)
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((text, ("Hip-Hop",)) for text in ("Hip-Hop", "hip hop", "Hip Hop/Rap", "Rap; Hip-Hop")),
        *((text, ("Hip-Hop",)) for text in ("HIPHOP", "Rap", "Hip-Hop & Rap", "Hip\u2010Hop")),
        *((text, ("Drum & Bass",)) for text in ("Drum'n'Bass", "drum and bass", "DnB", "D&B")),
        *((text, ("Drum & Bass",)) for text in ("Drum n Bass", "Drum-n-Bass", "drum+bass")),
        *((text, ("R&B",)) for text in ("RnB", "Rhythm and Blues", "R'n'B", "r & b", "Soul-RnB")),
        *((text, ("Rock & Roll",)) for text in ("Rock'n'Roll", "Rock N Roll", "Rock \u2019n\u2019 Roll")),
        ("Drum & Bass & Jungle", ("Drum & Bass", "Jungle")),
        ("Blues, Rock & Roll", ("Blues", "Rock & Roll")),
        ("Blues & Rock & Roll", ("Blues", "Rock & Roll")),
        ("Pop/R&B/Hip-Hop", ("Pop", "R&B", "Hip-Hop")),
        ("Rock/Pop", ("Rock", "Pop")),
        ("Rock; Pop", ("Rock", "Pop")),
        ("Soul; Jazz", ("Soul", "Jazz")),
        ("Soul Jazz", ("Soul Jazz",)),
        ("Jazz+Funk", ("Jazz-Funk",)),
        ("Alternative & Punk", ("Alternative Rock", "Punk")),
        ("Electronica/Dance", ("Electronic", "Dance")),
        ("Electronic - House", ("Electronic", "House")),
        ("Folk, World, & Country", ("World",)),
        ("Singer/Songwriter", ("Singer-Songwriter",)),
        ("Klassik", ("Classical",)),
        ("Rock; Other", ("Rock",)),
        *((text, ()) for text in ("Other", "Unknown", "misc.", "", " ", "Other; Unknown", "---")),
        ("Compilation", ()),
        ("Gabba  Folk", ("Gabba Folk",)),
        ("Foo & Bar", ("Foo & Bar",)),
    ],
)  # fmt: skip
def test_what_people_write(written, meant):
    assert SHIPPED.read(written) == meant


def test_the_genres_of_id3_are_known():
    strange = {name for name in TCON.GENRES if not SHIPPED.knows(name)}
    assert strange == {"Other", "Pop/Funk"}
    assert SHIPPED.read("Pop/Funk") == ("Pop", "Funk")


def test_the_tagger_and_the_embedded_tracks_are_known():
    from matt.datasets.embedded import fma_mfcc
    from matt.models.tagger import Tagger

    for genre in Tagger().genres:
        assert SHIPPED.knows(genre)
        assert SHIPPED.related(genre, genre)
    for genre in fma_mfcc()[0].genres:
        assert SHIPPED.knows(genre), genre
        assert len(SHIPPED.read(genre)) == 1


# ---- the tree ----


@given(a=genres, b=genres)
def test_related_is_one_path_in_the_other(a, b):
    one, other = SHIPPED.path(a), SHIPPED.path(b)
    shorter = min(len(one), len(other))
    assert SHIPPED.related(a, b) == SHIPPED.related(b, a) == (one[:shorter] == other[:shorter])


def test_paths_and_relations():
    assert SHIPPED.path("indie rock") == ("Rock", "Indie Rock")
    assert SHIPPED.path("Qwxzy") == ("Qwxzy",)
    assert SHIPPED.related("Metal", "Rock")
    assert not SHIPPED.related("Metal", "Punk")  # both below Rock, neither above the other
    assert SHIPPED.related("Gabba Folk", "gabba-folk")
    assert SHIPPED.related("Rap", "Hip-Hop")
    assert not SHIPPED.related("Qwxzy", "Rock")


# ---- a file of one's own ----


def test_an_alias_takes_the_genre_with_all_that_it_has(tmp_path):
    mine = own(tmp_path, '[aliases]\nElectronic = ["House", "Qwxzy"]\n')
    assert mine.read("House Music") == mine.read("qwxzy") == mine.read("house") == ("Electronic",)
    assert mine.path("Deep House") == ("Electronic", "Deep House")
    assert "House" not in mine.genres
    assert SHIPPED.read("House") == ("House",)  # the shipped one stays


def test_aliases_may_follow_each_other(tmp_path):
    mine = own(tmp_path, '[aliases]\nA1 = ["B2"]\nB2 = ["C3"]\n"C3" = ["Techno"]\n')
    assert mine.read("techno") == mine.read("C3") == mine.read("B2; C3") == ("A1",)
    assert mine.path("Schranz") == ("Electronic", "A1", "Schranz")


def test_a_genre_may_be_spelled_otherwise(tmp_path):
    mine = own(tmp_path, '[aliases]\n"Hip Hop" = ["Hip-Hop"]\nALTERNATIVE = []\n')
    assert mine.read("HIP-HOP") == mine.read("Rap") == ("Hip Hop",)
    assert mine.path("Drill") == ("Hip Hop", "Drill")
    assert mine.path("alternative") == ("Rock", "Alternative Rock", "ALTERNATIVE")


def test_a_genre_may_be_called_by_what_was_its_alias(tmp_path):
    mine = own(tmp_path, '[aliases]\nIndie = ["Indie Rock"]\n')
    assert mine.read("Indie Rock") == mine.read("indie") == ("Indie",)
    assert mine.path("Emo") == ("Rock", "Indie", "Emo")


def test_the_top_may_become_what_lies_below_it(tmp_path):
    mine = own(tmp_path, '[aliases]\n"Midwest Emo" = ["Rock"]\n')
    assert mine.path("Rock") == ("Midwest Emo",)
    assert mine.path("Metal") == ("Midwest Emo", "Metal")
    turned = own(tmp_path, '[parents]\n"College Rock" = ["Rock"]\n')
    assert turned.path("Rock") == ("College Rock", "Rock")
    assert turned.path("Alternative Rock") == ("College Rock", "Rock", "Alternative Rock")


def test_what_is_kept_stays_as_it_is_written_here(tmp_path):
    mine = own(tmp_path, 'keep = ["Rap", "Rock; Pop", "Other", "compilation"]\n')
    assert mine.read("RAP") == ("Rap",)
    assert mine.read("rock;pop") == ("Rock; Pop",)
    assert mine.read("Pop; Rock") == ("Pop", "Rock")
    assert mine.read("other") == ("Other",)
    assert mine.read("Compilation") == ("compilation",)
    assert mine.path("Rap") == ("Hip-Hop", "Rap")
    assert mine.read("Jazz; rap") == ("Jazz", "Rap")


def test_what_is_ignored_is_no_genre_nor_what_means_it(tmp_path):
    mine = own(tmp_path, 'ignore = ["Soundtrack", "qwxzy"]\n')
    assert mine.read("OST") == mine.read("Soundtrack") == mine.read("Qwxzy") == ()
    assert mine.read("Soundtrack; Rock") == ("Rock",)
    assert mine.read("Film Score") == ("Film Score",)


def test_genres_of_ones_own_have_a_place_and_are_parted(tmp_path):
    mine = own(tmp_path, '[parents]\nFolk = ["Gabba Folk"]\n"Gabba Folk" = ["Speed Gabba Folk"]\n')
    assert mine.path("speed gabba folk") == ("Folk", "Gabba Folk", "Speed Gabba Folk")
    assert mine.read("Gabba Folk/Rock") == ("Gabba Folk", "Rock")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[aliases]\nRock = ["Rock"]\n', "'Rock' is an alias of itself; take it out"),
        ('[aliases]\nA = ["B"]\nB = ["C"]\nC = ["A"]\n', "'A' is an alias of .*a circle"),
        ('[parents]\nRock = ["Rock"]\n', "'Rock' is below itself"),
        ('[parents]\nA = ["B"]\nB = ["a"]\n', "'a' is below 'B' is below|a circle; take one"),
        ('[parents]\nRock = ["Foo"]\nPop = ["foo"]\n', "'foo' is below two genres, 'Rock' and"),
        ('[aliases]\nRock = ["Foo"]\nPop = ["FOO"]\n', "'FOO' is an alias of two genres"),
        ('alias = ["A"]\n', "'alias' is no key; did you mean 'aliases'"),
        ('aliases = ["A"]\n', r"aliases is \['A'\]; make it a section"),
        ('[aliases]\nRock = "Rawk"\n', "aliases, 'Rock', holds 'Rawk'; give a list"),
        ("[parents]\nRock = [1]\n", "give a list of names"),
        ("keep = 1\n", "keep holds 1; give a list"),
        ('keep = [""]\n', "keep names ''; a name has 1 to"),
        ('ignore = ["a\\u202eb"]\n', "characters that show"),
        ('keep = ["A"]\nignore = ["a"]\n', "'a' is in ignore, and is a genre elsewhere"),
        ('keep = ["A"]\n[aliases]\nB = ["a"]\n', "'A' is in keep, and an alias of 'B'"),
        ("minimum_albums = -1\n", "minimum_albums is -1; give a whole number"),
        ("minimum_albums = true\n", "minimum_albums is True"),
        ('main = "last"\n', "main is 'last'; "),
        ("main = [1]\n", "main is "),
        ('main = "first"\nmain = "first"\n', "is not TOML"),
        ("\n".join(["[aliases]", *(f'g{i} = ["g{i + 1}"]' for i in range(50))]), "end of 16 names"),
        ("\n".join(["[parents]", *(f'g{i} = ["g{i + 1}"]' for i in range(50))]), "end of 16 names"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, text, wrong):
    with pytest.raises(ConfigError, match=wrong) as told:
        own(tmp_path, text)
    assert str(told.value).startswith(str(tmp_path / "genres.toml"))


def test_a_huge_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"MB|large|bytes"):
        own(tmp_path, "#" * 2**21)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        vocabulary(tmp_path / "nowhere.toml")


names = st.one_of(genres, st.sampled_from(["Foo", "Bar", "Baz", "Qwxzy"]))
lists = st.dictionaries(names, st.lists(names, max_size=4), max_size=4)


@settings(max_examples=60)
@given(
    aliases=lists,
    parents=lists,
    keep=st.lists(names, max_size=3),
    ignore=st.lists(names, max_size=3),
)
def test_any_file_is_refused_or_gives_a_tree(tmp_path_factory, aliases, parents, keep, ignore):
    def section(content):
        return "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in content.items())

    text = (
        f"keep = {json.dumps(keep)}\nignore = {json.dumps(ignore)}\n[aliases]\n{section(aliases)}"
    )
    path = tmp_path_factory.mktemp("own") / "genres.toml"
    path.write_text(f"{text}[parents]\n{section(parents)}", encoding="utf-8")
    try:
        mine = vocabulary(path)
    except ConfigError:
        return
    known = set(mine.genres)
    assert set(mine.parents) <= known
    assert set(mine.parents.values()) <= known
    for genre in known:
        way = mine.path(genre)  # ends: nothing goes round
        assert len(set(way)) == len(way) == len({folded(name) for name in way})
        assert mine.read(genre) in ((genre,), ())
    for genre in keep:
        assert folded(mine.read(genre)[0]) == folded(genre)
    for name in ignore:
        assert mine.read(name) == ()
    for genre, some in aliases.items():
        assert all(mine.read(name) == mine.read(genre) for name in some)
    for genre, some in parents.items():
        for name in some:
            assert mine.read(name) == () or mine.related(name, genre)


def test_of_several_genres_one_is_main(tmp_path):
    some = ("Rock", "Indie Rock", "Deep House", "Techno")
    mains = {main: own(tmp_path, f'main = "{main}"\n').in_order(some) for main in MAINS}
    assert mains["first"] == some
    assert mains["most specific"] == ("Deep House", "Rock", "Indie Rock", "Techno")
    assert mains["most general"] == some
    assert own(tmp_path, 'main = "most general"').in_order(some[1:])[0] == "Indie Rock"


@given(st.lists(st.text(st.sampled_from("; \\ab"), min_size=1) | st.text(min_size=1)))
def test_genres_of_any_name_come_back_from_one_text(some):
    assert parted(joined(some)) == tuple(some)


@given(st.lists(st.from_regex(r"[a-z;/ ]*[a-z]", fullmatch=True), min_size=1))
def test_genres_without_a_joint_are_joined_as_people_do(some):
    some = [name.replace("; ", ";") for name in some]
    assert joined(some) == "; ".join(some)


# ---- a library ----


def test_unknown_names_are_spelled_as_most_tracks_have_them():
    written = [("Gabba Folk",), ("gabba-folk",), ("GABBA FOLK",), ("gabba-folk",)]
    said = understand(written, range(4), SHIPPED)
    assert said.genres == (("gabba-folk",),) * 4
    assert [(some.written, some.n_tracks) for some in unmapped(said.meanings)] == [
        ("gabba-folk", 4)
    ]


def test_albums_and_tracks_of_a_tag_are_counted():
    written = [("Rap", "Rock/Pop"), ("Rap",), ("Other",), ()]
    said = understand(written, ["a", "a", "b", "c"], SHIPPED)
    assert said.genres == (("Hip-Hop", "Rock", "Pop"), ("Hip-Hop",), (), ())
    counted = {m.written: (m.told, m.known, m.n_tracks, m.n_albums) for m in said.meanings}
    assert counted == {
        "Rap": ("Hip-Hop", True, 2, 1),
        "Rock/Pop": ("Rock; Pop", True, 1, 1),
        "Other": ("no genre", True, 1, 1),
    }


def test_a_track_without_album_counts_alone():
    artist, album = np.array([3, 3, 3, -1]), np.array([5, 5, -1, -1])
    albums = bags_of(artist, album)
    assert albums[0] == albums[1]
    assert len(set(albums)) == 3


def test_a_genre_of_few_albums_becomes_the_one_above(tmp_path):
    mine = own(tmp_path, "minimum_albums = 3\n")
    tags = ["Emo"] * 2 + ["Indie Rock"] + ["Shoegaze"] * 2 + ["Jazz"] + ["Bebop"] * 3
    said = understand([(tag,) for tag in tags], range(len(tags)), mine)
    # Emo goes to Indie Rock, which is then large enough; Jazz has nothing above it.
    assert [some[0] for some in said.genres] == (
        ["Indie Rock"] * 3 + ["Rock"] * 2 + ["Jazz"] + ["Bebop"] * 3
    )


@given(tags=st.lists(genres, min_size=1, max_size=40), least=st.integers(0, 6))
def test_no_genre_with_a_parent_stays_too_small(tags, least):
    from dataclasses import replace

    mine = replace(SHIPPED, minimum_albums=least)
    said = understand([(tag,) for tag in tags], range(len(tags)), mine)
    for tag, (genre,) in zip(tags, said.genres, strict=True):
        assert genre in SHIPPED.path(tag)
        n = sum(some == (genre,) for some in said.genres)
        assert n >= least or len(SHIPPED.path(genre)) == 1


@pytest.mark.parametrize(
    "text", ['[aliases]\nRock = ["Pop", "Jazz"]\n', 'ignore = ["Pop", "Jazz"]\n']
)
def test_a_file_that_leaves_one_genre_or_none_is_told_of(tmp_path, text):
    mine = own(tmp_path, text)

    def fault(*tags, by=mine):
        said = understand([(tag,) for tag in tags], range(len(tags)), by)
        return too_few_left(said.meanings, {some[0] for some in said.genres if some}, by)

    assert re.search(r"genres\.toml leaves (one genre, 'Rock'|no genre)", fault("Pop", "Jazz"))
    assert not fault("Pop")  # of one there was nothing to tell apart
    assert not fault("Hip-Hop", "Rap")  # one genre by any vocabulary
    assert not fault("Pop", "Folk", "Folk Metal")
    assert not fault("Gabba Folk", "gabba-folk")
    assert not fault()
    assert not fault("Hip-Hop", "Rap", by=SHIPPED)


def test_names_that_look_alike():
    written = [("Mathcoar",), ("Rock Psychedelic",), ("Zzzz",), ("Qwxzyfolk",), ("Qwxzyfolc",)]
    said = understand(written, range(5), SHIPPED)
    assert look_alike(said.meanings, SHIPPED) == {
        "Mathcoar": "Mathcore",
        "Rock Psychedelic": "Psychedelic Rock",
        "Qwxzyfolk": "Qwxzyfolc",
    }


def uncommented(text):
    """A starting file with every example in force."""
    _, _, rest = text.partition("\n\n")
    lines = []
    for line in rest.splitlines():
        bare = line.strip().removeprefix("#").strip()
        example = line.strip().startswith("#") and (bare[:1] in '"]' or " = " in bare.split("#")[0])
        lines.append(bare if example else line)
    return "\n".join(lines)


nasty = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), min_size=1, max_size=20
)


@settings(max_examples=30)
@given(st.lists(st.one_of(nasty, names, st.just('a"b\\c')), max_size=12))
def test_a_starting_file_changes_nothing_and_its_examples_are_toml(tmp_path_factory, tags):
    written = [(" ".join(tag.split()),) for tag in tags if tag.strip()]
    said = understand(written, range(len(written)), SHIPPED)
    text = starting_file(said.meanings, look_alike(said.meanings, SHIPPED))
    path = tmp_path_factory.mktemp("start") / "genres.toml"
    path.write_text(text, encoding="utf-8")
    assert understand(written, range(len(written)), vocabulary(path)).genres == said.genres
    content = tomllib.loads(uncommented(text))
    listed = {*content["ignore"], *content["keep"]}
    for some in content["aliases"].values():
        listed |= set(some)
    changed = {m.written for m in said.meanings if m.known and not m.as_written}
    assert {m.written for m in unmapped(said.meanings)} | changed <= listed


def test_without_names_everything_stays_but_placeholders():
    none = Vocabulary()
    assert none.read("hip  hop") == ("hip hop",)
    assert none.read("Rock; Pop") == ("Rock; Pop",)
    assert none.read("Other") == ()
    assert none.genres == ()
