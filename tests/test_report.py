import base64
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from page import Page

from matt.errors import DataError
from matt.evaluation import plots, report
from matt.evaluation.report import Picture, Section
from matt.evaluation.tables import Column, Table, plain

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</title></style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "' onmouseover='alert(1)",
    "<!-- -->&lt;&amp;",
    "http://example.org/x.png",
]


def picture(caption="", alt=""):
    return Picture.of(plots.genre_distribution(np.array([30, 4]), ["a", "b"]), caption, alt)


def page_of(text):
    """A page with one text in every place where a text can be."""
    columns = (Column(text), Column(f"n {text}", "int"), Column(f"{text} ", "flag"))
    table = Table(text, columns, ((text, 3, True), (text, 4, False)), (text,))
    parts = [text, table, Picture(PNG, text, text), Picture(PNG, text)]
    return report.ReportPage(
        title=text,
        lead=text,
        sections=[Section(text, parts), Section("second", [])],
        footer=text,
    ).to_html()


PNG = picture().png
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "p",
        "nav",
        "ul",
        "li",
        "a",
    ),
    *("main", "section", "h2", "figure", "div", "table", "caption", "thead", "tbody", "tr", "th"),
    *("td", "figcaption", "img", "footer"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_markup(text):
    harmless, page = Page(page_of("harmless")), Page(page_of(text))
    assert page.elements == harmless.elements
    assert set(page.elements) <= ELEMENTS
    assert [a[:2] for a in page.attributes] == [a[:2] for a in harmless.attributes]
    for element in ("title", "h1", "h2", "caption", "th", "td", "a"):
        assert text in page.said(element)
    # title, lead, paragraph, note, two captions, footer
    assert page.said("p").count(text) == 6
    assert page.values("alt") == [text, text]


@settings(max_examples=60, deadline=None)
@example("n")
@given(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1).filter(lambda s: plain(s).strip())
)
def test_any_text_comes_out_as_it_went_in(text):
    page = Page(page_of(text))
    assert plain(text).strip() in [said.strip() for said in page.said("h1")]
    assert page.said("td").count(plain(text)) >= 2
    assert set(page.elements) <= ELEMENTS


def test_nothing_is_loaded_and_nothing_runs():
    page = Page(page_of("x"))
    assert {value.split(",")[0] for value in page.values("src")} == {"data:image/png;base64"}
    assert all(value.startswith("#part-") for value in page.values("href"))
    assert set(page.values("href")) <= {f"#{name}" for name in page.values("id")}
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    style = " ".join(page.said("style"))
    assert "url(" not in style
    assert "@import" not in style
    policy = dict(
        part.split(" ", 1) for part in page.values("content")[0].split("; ") if " " in part
    )
    assert policy == {"default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'"}
    assert page.values("http-equiv") == ["Content-Security-Policy"]


def test_pictures_are_in_the_page_at_their_size():
    page = Page(
        report.ReportPage(
            title="t", sections=[Section("s", [picture("Bars.", "Two bars")])]
        ).to_html()
    )
    data = base64.b64decode(page.values("src")[0].split(",")[1])
    assert data == PNG
    height, width = imread(io.BytesIO(data)).shape[:2]
    shown = int(page.values("width")[0]), int(page.values("height")[0])
    assert shown == (round(width * 96 / 200), round(height * 96 / 200))
    assert page.values("alt") == ["Two bars"]
    assert page.said("p") == ["Bars."]


def test_what_is_no_png_is_refused():
    for data in (b"", b"<svg onload=alert(1)>" * 4, PNG[:20]):
        with pytest.raises(DataError, match=r"picture 'Bars' is no PNG file .*style\.png"):
            Picture(data, "Bars")


def test_numbers_stand_to_the_right_with_their_heading():
    columns = (
        Column("genre"),
        Column("tail", "flag"),
        Column("F1", "mean and sd"),
        Column("n", "int"),
    )
    table = Table("T", columns, (("Rock", False, (0.5, 0.25), 1200),))
    page = Page(report.ReportPage(title="t", sections=[Section("s", [table])]).to_html())
    looks = {
        tag: [v for t, n, v in page.attributes if (t, n) == (tag, "class")] for tag in ("th", "td")
    }
    assert looks["th"] == looks["td"] == ["text", "flag", "number", "number"]
    assert page.said("td") == ["Rock", ".500 ± .25", "1,200"]
    assert page.values("scope") == ["col"] * 4


def test_empty_lines_begin_paragraphs():
    page = Page(
        report.ReportPage(title="t", sections=[Section("s", ["one\nline\n\n \ntwo"])]).to_html()
    )
    assert page.said("p") == ["one line", "two"]
    assert "nav" not in page.elements  # one section needs no contents


def test_written_whole_and_alike(tmp_path):
    for name in ("a.html", "b.html"):
        report.ReportPage(title="Björk 東京", sections=[Section("s", ["x"])]).write(tmp_path / name)
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes()
    assert Page(first.decode("utf-8")).said("h1") == ["Björk 東京"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_headings_of_parts_stand_under_their_section():
    page = Page(
        report.ReportPage(
            title="t", sections=[Section("a", []), Section("b", [], 3), Section("c", [])]
        ).to_html()
    )
    assert [e for e in page.elements if e[0] == "h" and e[1:].isdigit()] == ["h1", "h2", "h3", "h2"]
    assert (page.said("h2"), page.said("h3")) == (["a", "c"], ["b"])
    assert page.said("a") == ["a", "b", "c"]
    assert "nested" in page.values("class")
    flat = Page(
        report.ReportPage(title="t", sections=[Section("a", []), Section("c", [])]).to_html()
    )
    assert "nested" not in flat.values("class")


def test_long_texts_get_room_before_numbers():
    table = Table("T", (Column("a"), Column("b"), Column("n", "int")), (("x" * 21, "x" * 20, 1),))
    page = Page(report.ReportPage(title="t", sections=[Section("s", [table])]).to_html())
    assert [v for t, n, v in page.attributes if (t, n) == ("td", "class")] == [
        "text long",
        "text",
        "number",
    ]
