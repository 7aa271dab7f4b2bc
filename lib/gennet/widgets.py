"""Something to touch in every chapter: a panel of controls over one picture that follows them.

The first picture is stored with the notebook, so that the panel can be read where no kernel runs.
Controls are ipywidgets, which keyboard and mouse can move; the picture is a PNG that a function draws anew.
"""

import base64
from collections.abc import Callable

import ipywidgets
from matplotlib.figure import Figure

from gennet.plots import png, shown_width

LABEL = {"description_width": "16em"}
LAYOUT = {"width": "min(40em, 100%)"}


def whole_number(label: str, smallest: int, largest: int, value: int, step: int = 1) -> ipywidgets.IntSlider:
    """Return a slider for a whole number; the label says in words what it is, and its unit.

    It sends its value when it comes to rest, not on the way there. Raises ``traitlets.TraitError`` if the
    value does not lie between the smallest and the largest.
    """
    return ipywidgets.IntSlider(
        value, smallest, largest, step, description=label, continuous_update=False, style=LABEL, layout=LAYOUT
    )


def number(
    label: str, smallest: float, largest: float, value: float, step: float, digits: int = 2
) -> ipywidgets.FloatSlider:
    """Return a slider for a number, shown with so many digits after the point; see `whole_number`."""
    return ipywidgets.FloatSlider(
        value,
        min=smallest,
        max=largest,
        step=step,
        description=label,
        readout_format=f".{digits}f",
        continuous_update=False,
        style=LABEL,
        layout=LAYOUT,
    )


def choice(label: str, options: list[str] | dict[str, object]) -> ipywidgets.Dropdown:
    """Return a list to choose from: words, or words with the value that each stands for."""
    return ipywidgets.Dropdown(options=options, description=label, style=LABEL, layout=LAYOUT)


class Panel(ipywidgets.VBox):
    """Controls, the sentence that reads the picture, and the picture.

    Parameters
    ----------
    draw
        Called with the value of each control under its name; returns a figure and one sentence that
        says what is to be seen in it, with its numbers.
    controls
        The controls by name, in the order in which they are shown.

    Raises
    ------
    TypeError
        If ``draw`` does not take the names of the controls.

    Examples
    --------
    A panel is the last expression of its cell: ``Panel(draw, n=whole_number("Components", 0, 99, 15))``
    """

    def __init__(self, draw: Callable[..., tuple[Figure, str]], **controls: ipywidgets.Widget) -> None:
        self._draw, self._controls = draw, controls
        self._sentence = ipywidgets.HTML()
        self._picture = ipywidgets.Image(
            format="png", layout={"align_self": "flex-start", "max_width": "100%", "object_fit": "contain"}
        )
        super().__init__([*controls.values(), self._sentence, self._picture])
        self._still = self._draw_still()
        self._redraw()
        for control in controls.values():
            control.observe(self._redraw, names="value")

    def _call(self) -> tuple[Figure, str]:
        """Draw for the present values of the controls."""
        return self._draw(**{name: control.value for name, control in self._controls.items()})

    def _draw_still(self) -> tuple[dict, dict]:
        """Return what is shown where no kernel runs: the first picture, and below it what could be moved."""
        figure, sentence = self._call()
        names = ", ".join(control.description for control in self._controls.values())
        hint = f"{sentence}\n▶ Run this cell to move: {names}."
        figure.text(0.01, -0.01, hint, ha="left", va="top", fontsize=11, wrap=True)
        width = shown_width(figure)
        picture = base64.b64encode(png(figure, with_margins=True)).decode()
        return {"image/png": picture, "text/plain": f"[Panel] {sentence}"}, {"image/png": {"width": width}}

    def _redraw(self, _change: object = None) -> None:
        """Draw the picture for the present values; an error is said in the panel, not lost."""
        try:
            figure, sentence = self._call()
        except Exception as error:
            self._sentence.value = f"<b>{type(error).__name__}: {error}</b>"
            return
        self._picture.layout.width = f"{shown_width(figure)}px"
        self._picture.value = png(figure)
        self._sentence.value = f'<p aria-live="polite" style="margin: 0.3em 0">{sentence}</p>'

    def _repr_mimebundle_(self, **kwargs: object) -> tuple[dict, dict]:
        """Add to the live view what stands without a kernel."""
        still, metadata = self._still
        return super()._repr_mimebundle_(**kwargs) | still, metadata
