"""One style for every figure of the course: colours, sizes, grids of images on one grey scale, captions.

Importing this module sets Matplotlib's defaults. The colours are those of Okabe and Ito (2008), which readers
with any common kind of colour blindness can tell apart; letters stay readable at half size. A figure that
only one chapter draws is drawn in that chapter, not here.
"""

import base64
import io
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, YELLOW, BLACK = [
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
]
WIDTH = 8.0  # of a full figure, in inches: as wide as the text of a notebook
RESOLUTION = 150  # pixels in an inch of the stored picture
SHOWN = 96  # pixels in an inch on the page

mpl.rcParams.update(
    {
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PINK, SKY, VERMILION])
        + cycler(linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))]),
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 13,
        "axes.labelsize": 13,
        "figure.constrained_layout.use": True,
        "figure.dpi": SHOWN,
        "figure.figsize": (WIDTH, 3.6),
        "font.size": 13,
        "grid.color": "#DDDDDD",
        "image.cmap": "gray",
        "image.interpolation": "nearest",
        "legend.frameon": False,
        "legend.fontsize": 12,
        "lines.linewidth": 2.2,
        "lines.markersize": 7,
        "savefig.facecolor": "white",
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
    }
)


def png(figure: Figure, *, with_margins: bool = False) -> bytes:
    """Draw a figure as PNG bytes, the same bytes for the same figure, and close it.

    With ``with_margins``, what lies outside the figure's frame is drawn too.
    """
    buffer = io.BytesIO()
    box = "tight" if with_margins else None
    figure.savefig(buffer, format="png", dpi=RESOLUTION, metadata={"Software": None}, bbox_inches=box)
    plt.close(figure)
    return buffer.getvalue()


def shown_width(figure: Figure) -> int:
    """Return how many pixels of the page a figure takes; it has more, for sharpness on fine screens."""
    return round(figure.get_size_inches()[0] * SHOWN)


def show(figure: Figure, caption: str) -> None:
    """Show a figure with its caption below it.

    Parameters
    ----------
    figure
        A Matplotlib figure; it is closed.
    caption
        What the figure says, one to three sentences. It stands below the picture for everyone and
        describes it to those who cannot see it.

    Raises
    ------
    ValueError
        If the caption is empty.
    """
    if not caption.strip():
        raise ValueError("show: a figure needs a caption: say in a sentence what it shows.")
    width = shown_width(figure)
    picture = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": f"[Figure] {caption}"}
    display(picture, raw=True, metadata={"image/png": {"width": width, "alt": caption}})
    display(Markdown(f"*{caption}*"))


def image_grid(
    images: ArrayLike,
    *,
    columns: int | None = None,
    titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    value_range: tuple[float, float] | None = None,
    signed: bool = False,
    scale_label: str = "",
    width: float = WIDTH,
) -> Figure:
    """Draw images in a grid on one shared scale, so that their greys can be compared.

    Parameters
    ----------
    images
        Shape ``(M, R, C)``.
    columns
        Images in a row; all of them if not given, at most 10.
    titles
        At most one a image, above it.
    row_titles
        At most one a row, to its left.
    value_range
        The values shown as black and as white. If not given: the smallest and the largest value of
        all images, or with ``signed`` the largest absolute value, negative and positive.
    signed
        Draw on a scale from purple (negative) over white (zero) to orange (positive): for
        eigenvectors and error images, where the sign matters.
    scale_label
        What the values are, with the unit; if given, the scale is drawn at the right.
    width
        Of the figure, in inches.

    Raises
    ------
    ValueError
        If the images are not of shape ``(M, R, C)`` with M > 0, or not all finite, or if there are more
        titles than images.

    Examples
    --------
    >>> figure = image_grid(np.zeros((3, 4, 4)), titles=["a", "b", "c"])
    >>> len(figure.axes)
    3
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 3 or 0 in images.shape:
        raise ValueError(f"image_grid: expected images of shape (M, R, C), got {images.shape}.")
    if not np.isfinite(images).all():
        raise ValueError("image_grid: some pixels are NaN or infinite; there is no grey for them.")
    if len(titles) > len(images):
        raise ValueError(f"image_grid: {len(titles)} titles for {len(images)} images.")
    columns = columns or min(len(images), 10)
    rows = -(-len(images) // columns)
    if value_range is None:
        largest = np.abs(images).max() or 1.0
        value_range = (-largest, largest) if signed else (images.min(), images.max())
    longest_line = max((len(line) for title in row_titles for line in title.splitlines()), default=0)
    margin = 0.1 * longest_line + (0.9 if scale_label else 0.0)
    title_rows = max(-(-len(titles) // columns), bool(scale_label))
    side = (width - margin) / columns
    height = rows * (side * images.shape[1] / images.shape[2] + 0.06) + 0.27 * title_rows
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    for position, axis in enumerate(axes.flat):
        axis.set(xticks=[], yticks=[], frame_on=False)
        axis.grid(False)
        if position >= len(images):
            axis.remove()
            continue
        drawn = axis.imshow(
            images[position], cmap="PuOr_r" if signed else "gray", vmin=value_range[0], vmax=value_range[1]
        )
        if position < len(titles):
            axis.set_title(titles[position], fontsize=12, loc="center", pad=3)
        if position % columns == 0 and position // columns < len(row_titles):
            axis.set_ylabel(row_titles[position // columns], rotation=0, ha="right", va="center", fontsize=12)
    if scale_label:
        bar = figure.colorbar(drawn, ax=axes, shrink=min(1.0, 2.6 / height), pad=0.02)
        bar.ax.set_title(scale_label, fontsize=12)
        bar.outline.set_visible(False)
    return figure
