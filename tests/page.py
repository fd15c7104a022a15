"""A page of HTML as a browser would see it, for tests."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements, attributes and shown text of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if text.strip():
            self.texts.append((self.open[-1], text))

    def said(self, element):
        return [text for where, text in self.texts if where == element]

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]
