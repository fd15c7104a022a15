"""Who is who: spellings, guests, discs and MusicBrainz ids, told from what a whole library says."""

import unicodedata
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt.datasets.credits import Credits, like_names, normalise, same_album, same_genre, same_name
from matt.datasets.identity import Claim, identify
from matt.datasets.words import known_words

WORDS = known_words()
CREDITS = Credits(WORDS)
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"
APOSTROPHES = "'\u2019\u2018\u02bc\u00b4`\uff07"
NAMES = st.sampled_from(
    [
        "Ann", "The Nobodies", "Sigur R\u00f3s", "Guns N' Roses", "Jean-Michel", "Earth, Wind & Fire",
        "\u0418\u0432\u0430\u043d", "\u5c71\u7530 \u592a\u90ce", "\ubc29\ud0c4\uc18c\ub144\ub2e8", "I\u015f\u0131k \u0130nci", "AC/DC", "Stra\u00dfe", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
        "Simon & Garfunkel", "Sleeping with Sirens", "6 ft Hick", "Little Feat", "Tyler, The Creator",
    ]
)  # fmt: skip


def wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@st.composite
def spelled(draw, name):
    """The name as somebody else might write it."""
    for sign, others in (("-", DASHES), ("'", APOSTROPHES)):
        name = name.replace(sign, draw(st.sampled_from(others)))
    name = name.replace(" & ", draw(st.sampled_from([" & ", "&", " and ", " And "])))
    if name.startswith("The ") and draw(st.booleans()):
        name = f"{name[4:]}, The"
    case = draw(st.sampled_from([str, str.upper, str.lower, str.title]))
    form = draw(st.sampled_from(["NFC", "NFD", "NFKC"]))
    name = unicodedata.normalize(form, case(name))
    if form != "NFD" and draw(st.booleans()):
        name = wide(name)
    return draw(st.sampled_from(["{}", " {}", "{}\u200b", "{}  "])).format(name)


@given(NAMES, st.data())
def test_a_name_is_one_name_however_it_is_written(name, data):
    assert same_name(data.draw(spelled(name))) == same_name(name)


@given(st.text(max_size=12))
def test_forms_are_those_of_themselves(text):
    assert normalise(normalise(text)) == normalise(text)
    assert same_name(same_name(text)) == same_name(text)
    assert same_album(same_album(text)) == same_album(text)
    assert same_genre(same_genre(text)) == same_genre(text)


@given(st.lists(st.sampled_from("ab\u00e1"), min_size=1, max_size=4).map("".join), st.data())
def test_other_letters_are_another_name(name, data):
    other = data.draw(st.text("ab\u00e1", min_size=1, max_size=4))
    assert (same_name(name) == same_name(other)) == (name == other)


def test_accents_tell_names_apart_and_are_like():
    assert same_name("Beyonc\u00e9") != same_name("Beyonce")
    assert set(like_names("Beyonc\u00e9")) & set(like_names("BEYONCE"))
    assert set(like_names("Bach, Johann Sebastian")) & set(like_names("Johann Sebastian Bach"))
    assert not set(like_names("Artist 1")) & set(like_names("Artist 2"))


GUESTS = [
    "{} feat. {}", "{} feat {}", "{} Feat. {}", "{} FEAT. {}", "{} ft. {}", "{} ft {}", "{} featuring {}",
    "{} (feat. {})", "{} [feat. {}]", "{} (ft {})", "{} [with {}]", "{} (with {})", "{} (vs. {})", "{} (& {})",
    "{} - feat. {}", "{}, feat. {}", "{} (Feat.{})", "{}; {}", "{};{}", "{} f/ {}", "{} w/ {}", "{} {{feat. {}}}",
    "{} \uff46\uff45\uff41\uff54\uff0e {}", "{} con la participaci\u00f3n de {}",
]  # fmt: skip


@pytest.mark.parametrize("way", GUESTS)
@given(NAMES, NAMES)
def test_a_guest_does_not_lead(way, name, guest):
    credit = CREDITS.read(way.format(name, guest))
    assert same_name(credit.lead) == same_name(name)
    assert same_name(guest) in map(same_name, credit.guests)


@given(NAMES)
def test_a_name_alone_has_no_guest(name):
    credit = CREDITS.read(name)
    assert (credit.lead, credit.guests) == (name, ())


@given(st.text(max_size=40))
def test_any_text_can_be_read(text):
    credit = CREDITS.read(text)
    assert all(credit.guests)
    whole = unicodedata.normalize("NFKC", credit.lead)  # which is what is cut
    assert all(cut.lead and cut.rest and len(cut.lead) < len(whole) for cut in credit.cuts)
    CREDITS.in_title(text)


def ids(*claims, **options):
    return identify([Claim(*c) if isinstance(c, tuple) else c for c in claims], WORDS, **options)


def album(*artists, title="Album", place="", **more):
    return [Claim(artist, title, artist, place=place, **more) for artist in artists]


MAYBE = ["{} & {}", "{} and {}", "{} x {}", "{} + {}", "{} vs {}", "{} vs. {}", "{} with {}", "{} con {}",
         "{} und {}", "{} presents {}", "{} pres. {}", "{} f. {}", "{} mit {}", "{} et {}", "{} \u00d7 {}",
         "{}, {}", "{} / {}", "{} meets {}", "{}\u3001{}"]  # fmt: skip


@pytest.mark.parametrize("way", MAYBE)
def test_a_pair_is_cut_where_the_album_knows_who_leads(way):
    both = way.format("Rock Artist 0", "Guest")
    found = ids(*album("Rock Artist 0", both))
    assert len(set(found.artist_id)) == len(set(found.album_id)) == 1
    alone = ids(*album(both), *album("Guest", title="Other"))
    assert len(set(alone.artist_id)) == 2  # one name, as far as anybody knows
    assert on_one_side(alone)


def test_a_name_stays_whole_where_nobody_knows_its_parts():
    found = ids(
        *album("Simon & Garfunkel", "Simon & Garfunkel", title="Bookends"),
        *album("Simon", title="Graceland"),
        *album("Sleeping with Sirens", title="Feel"),
        *album("Earth, Wind & Fire", "Earth, Wind & Fire & The Emotions", title="I Am"),
    )
    assert found.artist_id[0] == found.artist_id[1] != found.artist_id[2]
    assert found.artist_id[4] == found.artist_id[5]  # cut at the last joint only
    assert found.all_artists[3] == ""


def test_greatest_hits_of_two_are_two_albums():
    found = ids(
        *album("Simon", title="Greatest Hits", place="a"),
        *album("Simon & Garfunkel", title="Greatest Hits", place="b"),
    )
    assert found.artist_id[0] != found.artist_id[1]


def test_who_leads_several_pairs_of_an_album_is_its_artist():
    found = ids(*album("Tony & Gaga", "Tony with Elton", "Tony & Bono", title="Duets"))
    assert len(set(found.artist_id)) == 1


def on_one_side(found):
    """Whether all tracks are joined by whom they name."""
    sides = [set(text.replace("~", "").split()) | {str(a)} for text, a in
             zip(found.all_artists, found.artist_id, strict=True)]  # fmt: skip
    joined = sides.pop()
    while near := [side for side in sides if side & joined]:
        joined |= set().union(*near)
        sides = [side for side in sides if side not in near]
    return not sides


def test_everybody_named_is_kept_together():
    assert on_one_side(ids(*album("Ann feat. Bob"), *album("Bob"), *album("Cleo; Bob")))
    assert on_one_side(ids(*album("Ann"), Claim("Bob", "", guests=("Ann",))))
    assert on_one_side(ids(*album("Beyonc\u00e9"), *album("Beyonce", title="Other")))
    assert not on_one_side(ids(*album("Ann"), *album("Bob")))
    bands = album("Duke", "Duke & His Orchestra") + album(
        "Count", "Count & His Orchestra", title="B"
    )
    assert not on_one_side(ids(*bands))  # which is the same orchestra in name alone


DISCS = ["{} (CD1)", "{} (CD 2)", "{} [Disc 2]", "{} - Disc 1", "{} CD 2", "{} CD3", "{}, Disc 1", "{} (Disc One)",
         "{} (disc 1 of 2)", "{} [CD 1/2]", "{}: CD1", "{} Disc II", "{} (Disco 2)", "{} (Disque 1)", "{} [LP 2]",
         "{} \u2013 Disc 1", "{} (Disc 1: Dawn)", "{} (Bonus CD)", "{} \uff08\uff23\uff24\uff11\uff09", "{}"]  # fmt: skip


@given(st.sampled_from(["Hits", "Wall, The", "1984", "Vol. 2", "CD 1"]), st.sampled_from(DISCS))
def test_discs_of_an_album_are_one(title, way):
    assert same_album(way.format(title)) == same_album(title)


EDITIONS = [
    "{} {} ({})",
    "{} {} [{}]",
    "{} ({}, {})",
    "{} [{}] [{}]",
    "{} ({} {})",
    "{} - {} ({})",
    "{} {} {}",
]


@given(
    st.sampled_from(["Hits", "Wall, The", "1984", "Compact Disc", "Disco Inferno", "CD Presents Vol. 2"]),
    st.sampled_from(["Remastered", "Deluxe Edition", "2009 Remaster", "\u00c9dition limit\u00e9e", "Limited Edition"]),
    st.sampled_from(["CD{}", "CD {}", "Disc {}", "disc {} of 3"]),
    st.sampled_from(EDITIONS),
)  # fmt: skip
def test_discs_of_an_edition_are_one_and_another_album_than_the_first(title, edition, disc, way):
    one, two = (same_album(way.format(title, disc.format(n), edition)) for n in (1, 2))
    assert one == two
    assert same_name(edition) in one
    before = same_album(f"{title} ({edition} {disc.format(1)})")
    assert before == same_album(f"{title} ({edition}, {disc.format(2)})")
    assert before == same_album(f"{title} ({edition})") != same_album(title)


@given(
    st.lists(
        st.sampled_from(
            [
                "Hits",
                "CD",
                "CD1",
                "Disc",
                "2",
                "II",
                "(",
                ")",
                "[",
                "]",
                "-",
                ":",
                ",",
                "of",
                "Disco",
                "Compact",
                "Remastered",
                "Edition",
                "Bonus",
            ]
        ),
        max_size=9,
    ).map(" ".join)
)
def test_what_is_left_of_a_title_has_no_further_disc(title):
    assert same_album(same_album(title)) == same_album(title)


@pytest.mark.parametrize(
    "title", ["Vol. 1", "Hits 2", "Part One", "1984", "Disco Inferno", "ABCD 1"]
)
def test_what_is_no_disc_stays(title):
    assert same_album(title) == title.casefold()


A, B, C = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")


def test_musicbrainz_decides_where_it_is_there():
    found = ids(
        Claim("Nirvana", "Nevermind", "Nirvana", artist_ids=(A,), owner_ids=(A,)),
        Claim("Nirvana", "Dedicated", "Nirvana", artist_ids=(B,), owner_ids=(B,)),
        Claim(
            "\u30cb\u30eb\u30f4\u30a1\u30fc\u30ca", "Bleach", "x", artist_ids=(A,), owner_ids=(A,)
        ),
        Claim("Bob", "One", "Bob", artist_ids=(C,), owner_ids=(C,)),
        Claim("BOB", "Two", "BOB"),
        Claim("Nirvana", "Live", "Nirvana"),
    )
    one, two, japanese, bob, also, nobody_knows = found.artist_id
    assert one == japanese != two
    assert bob == also
    assert nobody_knows not in (one, two)
    assert {str(one), str(two)} <= set(found.all_artists[5].split())


def test_an_album_is_its_release():
    def track(title, *release):
        return Claim("Ann", title, "Ann", release=release)

    blue, green, press, remaster, untagged, other, neither = ids(
        track("Ann", A), track("Ann", B), track("One", C, A + "0"), track("One (Remastered)", C),
        track("One"), track("Two"), track("Ann"),
    ).album_id  # fmt: skip
    assert blue != green
    assert press == remaster == untagged != other
    assert neither not in (blue, green)


def test_merges_are_told_and_can_be_left():
    claims = album("Ann", "ANN", "Ann feat. Bob", "Ann\u2019s", "Ann's")
    merges = {merge.name: merge for merge in ids(*claims).merges}
    assert merges["Ann"].others == ("Ann feat. Bob",)
    assert merges["Ann"].n_tracks == 3
    assert len(merges) == 2
    left = ids(*claims, merge=False)
    assert left.merges == ()
    assert len(set(left.artist_id)) == 4
    assert set(left.all_artists) == {""}


@given(st.lists(st.tuples(NAMES, st.sampled_from(["One", "Two", ""])), max_size=12))
def test_without_anything_to_merge_nothing_changes(pairs):
    claims = [Claim(artist, title, artist) for artist, title in pairs]
    found, left = identify(claims, WORDS), identify(claims, WORDS, merge=False)
    np.testing.assert_array_equal(found.artist_id, left.artist_id)
    np.testing.assert_array_equal(found.album_id, left.album_id)
    assert found.merges == ()


@given(st.lists(st.tuples(NAMES, st.integers(0, 2)), min_size=1, max_size=8), st.data())
def test_the_library_is_partitioned_by_things_and_not_by_spellings(things, data):
    """An oracle that knows the things: each is written in some way, alone or with a guest."""
    claims = []
    for name, number in things:
        written = data.draw(spelled(name))
        guest = data.draw(
            st.sampled_from(["", " feat. Somebody", " (with Somebody)", "; Somebody"])
        )
        disc = data.draw(st.sampled_from(["", " (CD1)", " [Disc 2]"]))
        claims.append(Claim(written + guest, f"Album {number}{disc}", written + guest))
    found = identify(claims, WORDS)
    for values, keys in ((found.artist_id, [n for n, _ in things]), (found.album_id, things)):
        groups = defaultdict(set)
        for value, key in zip(values.tolist(), keys, strict=True):
            groups[value].add(key)
        assert all(len(some) == 1 for some in groups.values())
        assert len(groups) == len(set(keys))


@pytest.mark.parametrize(
    ("title", "album"),
    {
        "Best of Disco 1": "best of disco 1",
        "Italo Disco 3": "italo disco 3",
        "Compact Disc 3": "compact disc 3",
        "Compact Disc": "compact disc",
        "Compact Disc 3 (Live)": "compact disc 3 (live)",
        "Disco 2000": "disco 2000",
        "Disco 2 (Remastered)": "disco 2 (remastered)",
        "CD Presents Vol. 2": "cd presents vol. 2",
        "CD 2 (Remastered)": "cd 2 (remastered)",
        "Hits (CD one more time)": "hits (cd one more time)",
        "Hits CD1 (Live)": "hits (live)",
        "Hits CD1 - Dawn (Remastered)": "hits (remastered)",
        "Hits (Limited Edition Bonus CD)": "hits (limited edition)",
        "Hits CD 2": "hits",
        "Hits Disc 2": "hits",
        "Hits - Disco 2": "hits",
        "Grandes (Disco 2)": "grandes",
    }.items(),
)
def test_a_disc_is_not_any_word_that_begins_so(title, album):
    assert same_album(title) == album


@pytest.mark.parametrize("text", ["The Ft. Worth Five", "A Ft. Lauderdale Four"])
def test_an_article_is_no_leading_artist(text):
    assert CREDITS.read(text).lead == text


def test_an_ampersand_needs_no_spaces():
    assert same_name("Simon&Garfunkel") == same_name("Simon & Garfunkel")
    assert not WORDS.is_unknown("Anonymous 4")


@pytest.mark.parametrize(
    "way", [*GUESTS, "{} & {}", "{} and {}", "{}, {}", "{} with {}", "{} x {}"]
)
@settings(max_examples=20)
@given(
    st.sampled_from(["Unknown Artist", "Artiste inconnu", "unknown artist (2)", "<unknown>", "?", "-"]),
    st.sampled_from(["Various Artists", "VV.AA.", "Verschiedene Interpreten", "VA"]),
    NAMES,
)  # fmt: skip
def test_who_is_nobody_is_so_with_guests(way, unknown, various, guest):
    whole = way in GUESTS  # elsewhere a short word may be half of a name
    for word, says in ((unknown, CREDITS.is_unknown), (various, CREDITS.is_various)):
        text = way.format(word, guest)
        assert says(text) or not (whole or " " in word)
        assert same_name(guest) in map(same_name, CREDITS.read(text).guests) or not whole
        assert not says(way.format(guest, word))


@pytest.mark.parametrize("name", ["? & The Mysterians", "Various Cruelties feat. Ann", "NA & Bob"])
def test_what_begins_like_a_word_may_be_a_name(name):
    assert not CREDITS.is_unknown(name)
    assert not CREDITS.is_various(name)


def test_nobody_with_friends_is_nobody():
    assert CREDITS.is_various("VA & Friends")
    assert CREDITS.read("VA & Friends").guests == ()
