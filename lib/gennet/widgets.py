"""Something to touch in every chapter: a panel of controls over one picture that follows them.

The first picture is stored with the notebook, so that the panel can be read where no kernel runs.
Controls are ipywidgets, which keyboard and mouse can move; the picture is a PNG that a function draws anew.
"""

import base64
from collections.abc import Callable

import ipywidgets
from matplotlib.figure import Figure

from gennet.plots import SHOWN, png

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
        self._redraw()
        self._first_picture, self._first_sentence = self._picture.value, self._sentence.value
        for control in controls.values():
            control.observe(self._redraw, names="value")

    def _redraw(self, _change: object = None) -> None:
        """Draw the picture for the present values; an error is said in the panel, not lost."""
        try:
            figure, sentence = self._draw(**{name: control.value for name, control in self._controls.items()})
        except Exception as error:
            if not self._picture.value:  # the first picture: the cell itself should fail
                raise
            self._sentence.value = f"<b>{type(error).__name__}: {error}</b>"
            return
        self._picture.layout.width = f"{round(figure.get_size_inches()[0] * SHOWN)}px"
        self._picture.value = png(figure)
        self._sentence.value = f'<p aria-live="polite">{sentence}</p>'

    def _repr_mimebundle_(self, **kwargs: object) -> dict:
        """Add to the live view what stands without a kernel: the first picture and its sentence."""
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle["image/png"] = base64.b64encode(self._first_picture).decode()
        bundle["text/plain"] = f"[Panel] {self._sentence_text()}"
        return bundle

    def _sentence_text(self) -> str:
        """Return the first sentence without its HTML frame."""
        return self._first_sentence.removeprefix('<p aria-live="polite">').removesuffix("</p>")
