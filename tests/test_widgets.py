"""Panels: the picture follows every control; an error is said and ends nothing; a still picture stays."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from gennet.widgets import Panel, choice, number, whole_number


def draw(height: int, shade: float, kind: str) -> tuple[plt.Figure, str]:
    if height == 3:
        raise ValueError("three is not drawn")
    figure, axis = plt.subplots(figsize=(2, 2))
    axis.bar([0], [height], color=str(shade), hatch=kind)
    axis.set_ylim(0, 5)
    return figure, f"A bar of height {height}."


@pytest.fixture
def panel() -> Panel:
    return Panel(
        draw,
        height=whole_number("Height (units)", 0, 5, 1),
        shade=number("Shade", 0, 1, 0.5, step=0.1, digits=1),
        kind=choice("Hatch", {"lines": "/", "crosses": "x"}),
    )


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"), dtype=float)


def test_picture_and_sentence_follow_each_control(panel: Panel):
    height, shade, kind, sentence, picture = panel.children
    assert "A bar of height 1." in sentence.value
    for control, value in ((height, 4), (shade, 0.9), (kind, "x")):
        before = picture.value
        control.value = value
        assert picture.value != before
    assert "A bar of height 4." in sentence.value
    plt.close("all")
    height.value = 0
    assert not plt.get_fignums(), "figures are closed"


def test_error_is_said_and_the_panel_goes_on(panel: Panel):
    height, _, _, sentence, picture = panel.children
    before = picture.value
    height.value = 3
    assert "three is not drawn" in sentence.value and picture.value == before
    height.value = 2
    assert "A bar of height 2." in sentence.value and picture.value != before


def test_error_in_the_first_picture_is_raised():
    with pytest.raises(ValueError, match="three is not drawn"):
        Panel(
            draw,
            height=whole_number("Height", 0, 5, 3),
            shade=number("", 0, 1, 0, 0.1),
            kind=choice("", ["/"]),
        )


def test_wrong_names_are_refused():
    with pytest.raises(TypeError):
        Panel(draw, depth=whole_number("Depth", 0, 5, 1))


def test_still_picture_stands_without_a_kernel(panel: Panel):
    """The first picture, the sentence and the names of the controls, whatever was moved since."""
    data, metadata = panel._repr_mimebundle_()
    assert data["text/plain"] == "[Panel] A bar of height 1."
    still = pixels(base64.b64decode(data["image/png"]))
    live = pixels(panel.children[-1].value)
    assert still.shape[0] > live.shape[0], "the names of the controls stand below the picture"
    assert metadata["image/png"]["width"] == 192
    panel.children[0].value = 4
    assert panel._repr_mimebundle_()[0]["image/png"] == data["image/png"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_controls_wait_for_rest_and_show_their_digits():
    slider = number("Width (nats)", 0, 1, 0.25, step=0.01, digits=3)
    assert not slider.continuous_update and slider.readout_format == ".3f"
    assert not whole_number("Count", 0, 9, 3).continuous_update
