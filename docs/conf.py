"""Sphinx settings. Nothing is fetched at build time, and a warning fails the build."""

from __future__ import annotations

import re

import matt
from matt import config

project = "matt"
author = "The matt maintainers"
project_copyright = "The matt maintainers"
version = release = matt.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"matt {release}"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # `Bags` in a docstring is a link where Sphinx knows the name
add_module_names = False
autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # torch's own docstrings are torch's business
autodoc_typehints = "none"  # the docstrings say more: shapes, units, ranges
# The n of "shape (n,)" and the precision of "(precision, recall)" are not attributes of that name.
suppress_warnings = ["ref.python"]
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # fields, not "Variables"
napoleon_use_rtype = False


def adapt_docstring(app, what, name, obj, options, lines):
    """Rewrite habits that are something else in reStructuredText, or to napoleon.

    References ``.. [1]`` become a numbered list: one page holds all docstrings of a module, and a
    page may have only one footnote called 1. A shape (N, *shape) gets its star escaped, which
    would start emphasis.
    """
    if what == "attribute":  # "Fault: a tanh ..." is no text of the type Fault, as napoleon thinks
        lines[:0] = ["..", ""]  # an empty comment, which it takes for the first line
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        line = re.sub(r"^(\s*)\.\. \[(\d+)\] ", r"\1\2. ", line)
        line = re.sub(r"\[(\d+)\]_", r"[\1]", line)
        parts = line.split("``")  # every other part is a literal
        parts[::2] = [re.sub(r"(?<=, )\*(?=[\w.]+\))", r"\\*", part) for part in parts[::2]]
        lines[i] = "``".join(parts)


def skip_made_by_scikit_learn(app, what, name, obj, skip, options):
    """Leave out methods that scikit-learn makes: their texts refer to its own glossary."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def add_settings(app, docname, source):
    """Put the tables of all settings where the page says so; nobody types them."""
    if docname == "settings":
        source[0] = source[0].replace("<!-- every setting -->", config.to_markdown())


def setup(app):
    app.connect("source-read", add_settings)
    app.connect("autodoc-skip-member", skip_made_by_scikit_learn)
    # Before napoleon (priority 500) sees the docstring.
    app.connect("autodoc-process-docstring", adapt_docstring, priority=400)
