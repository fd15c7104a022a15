"""What all pictures share: size, fonts, colours, how names are drawn, how a picture is written."""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, did_you_mean
from ..files import replacing
from .tables import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 6.3  # inches, the text width of A4 and letter pages
COLUMN = 3.5  # inches, a column of a paper in two columns
COMMON, TAIL = "#0072B2", "#D55E00"  # blue and vermilion of Okabe and Ito's palette
FOR, AGAINST = "#009E73", "#CC79A7"  # its green and purple
INK, FAINT = "#222222", "#767676"
FORMATS = ("png", "pdf", "svg")
DPI = 200  # dots per inch of a picture
# Fonts for letters that matplotlib's own lacks, where the machine has them.
_FALLBACKS = (
    "Noto Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)


def png(figure: Figure) -> bytes:
    """Bytes of a PNG file; the same picture gives the same bytes on the same versions."""
    out = io.BytesIO()
    _write(figure, out, "png")
    return out.getvalue()


def save(figure: Figure, path: Path | str) -> None:
    """Write a picture atomically, in the format that the path ends in: .png, .pdf or .svg.

    Raises
    ------
    DataError
        If the ending is another.
    """
    suffix = check_format(path)
    with replacing(path) as temporary:
        _write(figure, temporary, suffix)


def check_format(path: Path | str) -> str:
    """Format of a picture by what its path ends in.

    Raises
    ------
    DataError
        If pictures are not written so.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: pictures are not written as {suffix!r}; {did_you_mean(suffix, FORMATS)}"
        )
    return suffix


def cut(text: str, *, most: int) -> str:
    """Put a text on one line of at most so many columns; wide letters count twice.

    >>> cut("Symphony No. 9 in D minor", most=12)
    'Symphony No…'
    """
    text = plain(text)
    widths = [1 + (unicodedata.east_asian_width(char) in "WF") for char in text]
    if sum(widths) <= most:
        return text
    kept = int(np.searchsorted(np.cumsum(widths), most - 1, side="right"))
    return text[:kept].rstrip(" .,") + "…"


def label(text: str, *, most: int = 60) -> str:
    r"""Make a text that matplotlib draws as it is: on one line, cut, and never a formula.

    >>> label("A$AP and $tuff")
    'A\\$AP and \\$tuff'
    """
    return cut(text, most=most).replace("$", r"\$")


def share(value: float) -> str:
    """Write a number in [0, 1] without the zero that all of them begin with; a dash for NaN."""
    return "-" if np.isnan(value) else f"{value:.3f}".removeprefix("0")


def settings() -> AbstractContextManager[None]:
    """Style of everything that is created inside, whatever the user's own settings are."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    # The defaults first, all but the window system, which is no part of a picture.
    here: dict[Any, Any] = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    here |= {
        "font.family": ["DejaVu Sans", *(name for name in _FALLBACKS if name in installed)],
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.framealpha": 0.9,
        "legend.edgecolor": "none",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.edgecolor": FAINT,
        "xtick.color": INK,
        "ytick.color": INK,
        "lines.linewidth": 1.6,
    }
    return matplotlib.rc_context(here)


def axes(*, height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return a figure of one panel; sizes in inches."""
    figure, panes = panels(1, height=height, width=width)
    return figure, panes[0]


def panels(
    n: int,
    *,
    rows: int = 1,
    height: float,
    width: float = WIDTH,
    ratios: Sequence[float] | None = None,
    stacked: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels side by side, row by row; sizes in inches.

    Parameters
    ----------
    n, rows : int
        Panels of a row, and rows.
    height, width : float
    ratios, stacked : sequence of float, optional
        Widths of the panels of a row; heights of rows, which then share their x axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    sizes: dict[str, Any] = {"width_ratios": ratios, "height_ratios": stacked}
    grid = figure.subplots(rows, n, squeeze=False, sharex=stacked is not None, **sizes)
    panes: list[Axes] = list(grid.ravel())
    for pane in panes:
        pane.spines[["top", "right"]].set_visible(False)
        pane.tick_params(length=2.5, color=FAINT)
        pane.set_axisbelow(True)
    return figure, panes


def rows(pane: Axes, n: int) -> None:
    """Make room for so many rows, the first on top, with faint lines along which to read."""
    pane.set_ylim(n - 0.5, -0.5)
    pane.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)


def names(
    axis: Axis, texts: Sequence[str], rare: NDArray[np.bool_] | None = None, *, most: int = 36
) -> None:
    """Put a name at every whole number of an axis, those of rare genres in the tail's colour."""
    axis.set_ticks(range(len(texts)), labels=[label(text, most=most) for text in texts])
    axis.set_tick_params(length=0)
    for tick, is_rare in zip(axis.get_ticklabels(), () if rare is None else rare, strict=False):
        tick.set_color(TAIL if is_rare else INK)


def legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Say above a picture what its colours mean."""
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=text) for colour, text in colours.items()]
    figure.legend(handles=patches, loc="outside upper right", ncols=len(patches), borderpad=0.1)


def bar_values(
    pane: Axes, values: Sequence[float], colours: Sequence[str], layout: str, *, space: float = 0.1
) -> None:
    """Draw a horizontal bar for each value, the first on top, with the value at its end.

    ``space`` is left beside the bars for the values, as a share of the range of the values.
    """
    bars = pane.barh(np.arange(len(values)), np.nan_to_num(values), color=colours, height=0.72)
    # A true minus sign, as on the axis; nothing where there is no value.
    texts = ["" if v != v else format(v, layout).replace("-", "\u2212") for v in values]
    pane.bar_label(bars, texts, padding=3, color=INK, fontsize=8.5)
    pane.invert_yaxis()
    pane.margins(y=0.02)
    low, high = min(0.0, *np.nan_to_num(values)), max(0.0, *np.nan_to_num(values))
    room = (high - low or 1.0) * space  # for the values, on the sides that have bars
    pane.set_xlim(low - room * (low < 0), high + room * (high > 0 or low == 0))


def _write(figure: Figure, target: Path | IO[bytes], suffix: str) -> None:
    with settings(), warnings.catch_warnings():
        # A letter that no installed font has is drawn as a box; the picture is still right.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        # No date and no version in the file: equal pictures are equal files.
        blank = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
        figure.savefig(target, format=suffix, dpi=DPI, metadata=blank[suffix])
