"""The repository itself: sizes, names, layers, versions, and documentation that matches the code."""

import ast
import doctest
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matt.review.pages import STATICS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "matt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
LAYERS = next(contract for contract in CONTRACTS if contract["type"] == "layers")["layers"]
MODULES = [name.strip() for layer in LAYERS for name in layer.split("|")]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")])
RUN_LINT = "from importlinter.cli import lint_imports_command as run; run()"
SAYS_NOTHING = re.compile(r"(base|common|helpers?|misc|utils?)\.py")
MACHINE_PATH = re.compile(rb"(?<![\w.~])/(farm|home|root|tmp|work)/[A-Za-z]")


def tracked_files():
    """What git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_every_file_has_a_name_that_says_something():
    assert [path for path in tracked_files() if SAYS_NOTHING.fullmatch(path.name)] == []


def test_names_of_files_on_disk_do_not_move_along_with_modules():
    """What was written under one of these names is opened only by it."""
    found = {
        node.value
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"matt\.[a-z._]+/\d+", node.value)
    }
    kinds = "albums.tracks cache cache.follow cache.move cache.prune cell check checkpoint embedded"
    kinds += " explanation export features.plan features.rows fma.index genres memory model pack"
    kinds += " playlist predictions report reproduce run scores similar tracks"
    kinds += " corrections decisions journal journals plan review sidecar tag undo undo.prune"
    assert found == {f"matt.{kind}/1" for kind in kinds.split()} | {"matt.albums/2"}


def test_no_tracked_file_names_a_path_of_some_machine():
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in tracked_files()
        if b"\0" not in (content := path.read_bytes())
        for match in MACHINE_PATH.finditer(content)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["see {}home/me", '"{}tmp/x.wav"', "={}work/main"])
def test_a_path_of_some_machine_would_be_found(text):
    assert MACHINE_PATH.search(text.format("/").encode())


def test_layers_and_modules_are_the_same():
    exist = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    exist |= {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert set(MODULES) == exist
    assert len(set(MODULES)) == len(MODULES)


def test_the_architecture_page_shows_the_order_that_is_checked():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown = re.search(r"^```\n(errors <.+?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown
    left_to_right = [" | ".join(layer.split("|")) for layer in reversed(LAYERS)]
    assert " ".join(shown[1].split()) == " < ".join(left_to_right).removesuffix(" < __main__")


def test_each_module_stands_on_its_side_of_the_torch_rule():
    below, above = (
        contract["source_modules"]
        for contract in CONTRACTS
        if contract["type"] == "forbidden" and contract["forbidden_modules"] == ["torch"]
    )
    models = MODULES.index("models")
    assert above == [f"matt.{name}" for name in MODULES[:models] if name != "testing"]
    assert below == [f"matt.{name}" for name in MODULES[models + 1 :]]


def test_the_pydantic_rule_names_every_module_but_settings():
    (contract,) = (c for c in CONTRACTS if c.get("forbidden_modules") == ["pydantic"])
    assert contract["source_modules"] == [f"matt.{m}" for m in MODULES if m != "settings"]


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    """A package with all layers and nothing in them, under the contracts of this one."""
    root = tmp_path_factory.mktemp("skeleton")
    packages = ("features", "models")
    named = {name for contract in CONTRACTS for name in contract.get("source_modules", ())}
    inside = [name.split(".", 2)[2] for name in named if name.startswith("matt.models.")]
    files = [*("features/__init__", "features/spec", "features/store", "models/__init__"),
             *(f"models/{name}" for name in inside)]  # fmt: skip
    for package in packages:
        (root / "matt" / package).mkdir(parents=True)
    for name in ["__init__", *MODULES, *files]:
        if name not in packages:
            (root / "matt" / f"{name}.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def lint(root, planted):
    """Output of import-linter with code planted in modules, and whether all contracts hold."""
    for module, code in planted.items():
        (root / "matt" / f"{module}.py").write_text(code + "\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN_LINT, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    for module in planted:
        (root / "matt" / f"{module}.py").write_text("")
    return done.stdout + done.stderr, done.returncode == 0


def test_contracts_hold_where_nothing_is_imported(skeleton):
    output, held = lint(skeleton, {})
    assert held, output


@pytest.mark.parametrize(
    ("planted", "broken"),
    [
        ({"bags": "import matt.models"}, "One direction"),
        ({"bags": "def f():\n    from .models import x"}, "One direction"),
        (
            {"features/spec": "from . import store", "features/store": "from . import spec"},
            "No cycles",
        ),
        ({"splits": "import torch"}, "No torch below models"),
        ({"cli": "def f():\n    import torch"}, "Above models"),
        ({"models/__init__": "import pydantic"}, "Only settings"),
        ({"models/graph": "import onnx"}, "Prediction reaches torch"),
    ],
    ids=[
        "upward",
        "relative, in a function",
        "cycle",
        "torch below",
        "torch above",
        "pydantic",
        "onnx",
    ],
)
def test_contracts_catch_a_planted_import(skeleton, planted, broken):
    output, _ = lint(skeleton, planted)
    assert [line for line in output.splitlines() if line.endswith(" BROKEN")], output
    assert all(line.startswith(broken) for line in output.splitlines() if line.endswith(" BROKEN"))


def test_contracts_catch_a_module_without_a_layer(skeleton):
    output, held = lint(skeleton, {"unplaced": ""})
    (skeleton / "matt" / "unplaced.py").unlink()
    assert not held
    assert "matt.unplaced" in output


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in listed), "name==version only"
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in listed)}


EXTRAS = (
    "cluster",
    "formats",
    "notebook",
    "review",
    "train",
)  # those that the package imports where they are installed


def declared(extra=None):
    project = PROJECT["project"]
    texts = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(text) for text in texts]


def test_constraints_pin_all_dependencies_inside_their_ranges():
    pinned = pins()
    needed = [r for extra in (None, *EXTRAS, "docs", "dev") for r in declared(extra)]
    for requirement in needed:
        if requirement.name != PROJECT["project"]["name"]:
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def imports(path):
    """Top-level names that a module imports absolutely, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_dependencies_are_those_that_the_package_imports():
    found = {name for path in SOURCE.rglob("*.py") for name in imports(path)}
    named = {"scikit-learn": "sklearn"}  # where the import has another name
    needed = [*declared(), *(r for extra in EXTRAS for r in declared(extra))]
    wanted = {named.get(requirement.name, requirement.name) for requirement in needed}
    assert found - set(sys.stdlib_module_names) - {"matt"} == wanted


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    assert import_module("matt").__version__ == version
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == version
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == version


def test_the_plugin_for_beets_is_in_the_wheel_and_shuts_out_no_other_plugin():
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["src/matt", "src/beetsplug"]
    assert [path.name for path in (ROOT / "src" / "beetsplug").glob("*.py")] == ["matt.py"]


def test_whatever_lies_in_the_package_is_in_the_wheel():
    """All that git does not ignore, as nothing says otherwise; pages and weights among it."""
    build = PROJECT["tool"]["hatch"]["build"]
    assert set(build) == {"targets"}
    assert set(build["targets"]["wheel"]) == {"packages"}
    data = {path for path in SOURCE.rglob("*.*") if path.is_file() and path.suffix != ".py"}
    data = {path for path in data if path.parent.name != "__pycache__"}
    assert data <= set(tracked_files())
    review = SOURCE / "review"
    shown = {*review.glob("templates/*.jinja"), *review.glob("static/*")}
    assert {path.parent.name for path in shown} == {"templates", "static"}
    assert shown <= data
    # What the code and the pages name is there.
    text = "".join(path.read_text(encoding="utf-8") for path in review.glob("templates/*"))
    named = {review / "templates" / name for name in re.findall(r'"(\w+\.html\.jinja)"', text)}
    named |= {review / "static" / name for name in re.findall(r'"/static/([\w.]+)"', text)}
    named |= {review / "static" / name for name in STATICS}
    assert named <= shown
    assert {path.name for path in (review / "static").iterdir()} == set(STATICS)


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "py.typed").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_the_documentation_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\{py:(?:func|class|meth|mod|attr)\}`([\w.]+)`", text):
        assert pkgutil.resolve_name(name) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if ">>> " in page.read_text("utf-8")])
def test_examples_in_the_documentation_run(page):
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted
    assert not result.failed


def commands():
    """Subcommands in the code blocks of the documentation, each with the options shown there."""
    shown = {}
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for name, rest in re.findall(
                r"^(?:\$ )?matt ((?:fma |model )?[a-z]+)([^#\n]*)", block, re.MULTILINE
            ):
                shown.setdefault(name, set()).update(re.findall(r"(?<!\S)--[a-z-]+", rest))
    return sorted(shown.items())


@pytest.mark.parametrize(("command", "options"), commands(), ids=[name for name, _ in commands()])
def test_commands_in_the_documentation_exist(command, options):
    done = subprocess.run(
        [sys.executable, "-m", "matt", *command.split(), "--help"],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert options <= set(re.findall(r"(?<!\S)--[a-z-]+", done.stdout))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_citation_can_be_read():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Liu", "Zhang"]
    assert paper["year"] == 2022
    # What others made and lies in the package has licences of its own.
    assert PROJECT["project"]["license"].split(" AND ")[0] == citation["license"]


def glossary_words():
    """Words of the terms of the glossary, and those that it calls words of the field."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = [line for block in re.findall(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)
             for line in block.splitlines() if line and not line.startswith(" ")]  # fmt: skip
    field = re.search(r"Words that are used as everybody does\.(.*?)\n\n", text, re.DOTALL)
    return {
        word.lower() for part in [*terms, field[1]] for word in re.findall(r"[A-Za-z]+\d?", part)
    }


def is_of(word, words):
    """Whether a word is one of some, in the singular or the plural."""
    return bool({word, f"{word}s", word.removesuffix("s"), word.removesuffix("es")} & words)


def public_classes():
    return [
        (path, node.name)
        for path in SOURCE.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def test_modules_and_classes_are_called_by_words_of_the_glossary():
    words = glossary_words()
    modules = [path.stem for path in SOURCE.rglob("*.py") if not path.stem.startswith("__")]
    packages = [path.parent.name for path in SOURCE.rglob("__init__.py")]
    names = {name: name.lower().split("_") for name in (*modules, *packages)}
    for _, name in public_classes():
        names[name] = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+\d?", name)]
    strange = {
        name for name, parts in names.items() if not all(is_of(part, words) for part in parts)
    }
    assert strange == set()


def test_no_two_public_classes_share_a_name():
    names = Counter(name for _, name in public_classes())
    assert {name for name, n in names.items() if n > 1} == set()
