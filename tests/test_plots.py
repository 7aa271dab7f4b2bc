"""Figures: one scale for a grid, a caption for those who cannot see, the same bytes for the same figure."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from gennet import plots

RAMP = np.linspace(0, 1, 12).reshape(3, 2, 2)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """What `show` gives to the page."""
    outputs = []
    monkeypatch.setattr(plots, "display", lambda *data, **kwargs: outputs.append((data[0], kwargs)))
    return outputs


def drawn_images(figure: plt.Figure) -> list:
    return [axis.images[0] for axis in figure.axes if axis.images]


def test_grid_has_one_scale():
    images = drawn_images(plots.image_grid(RAMP))
    assert [image.get_clim() for image in images] == [(0, 1)] * 3
    assert np.array_equal(images[2].get_array(), RAMP[2])


def test_signed_grid_puts_zero_in_the_middle():
    images = drawn_images(plots.image_grid(RAMP - 0.25, signed=True))
    assert images[0].get_clim() == (-0.75, 0.75)
    assert images[0].cmap.name == "PuOr_r"
    middle = images[0].cmap(images[0].norm(0.0))
    assert min(middle[:3]) > 0.95  # white


def test_constant_signed_grid_is_white():
    assert drawn_images(plots.image_grid(np.zeros((1, 2, 2)), signed=True))[0].get_clim() == (-1, 1)


def test_grid_places_images_and_titles():
    figure = plots.image_grid(RAMP, columns=2, titles=["a", "b"], row_titles=["first", "second"])
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", ""]
    assert [axis.get_ylabel() for axis in figure.axes] == ["first", "", "second"]


def test_grid_draws_its_scale_with_unit():
    assert plots.image_grid(RAMP, scale_label="grey").axes[-1].get_title(loc="left") == "grey"


@pytest.mark.parametrize(
    "images, words",
    [
        (np.zeros((2, 2)), "expected images of shape (M, R, C), got (2, 2)"),
        (np.zeros((0, 2, 2)), "expected images of shape (M, R, C), got (0, 2, 2)"),
        (np.full((1, 2, 2), np.nan), "NaN or infinite"),
    ],
)
def test_grid_refuses_in_words(images: np.ndarray, words: str):
    with pytest.raises(ValueError) as error:
        plots.image_grid(images)
    assert words in str(error.value)


def test_grid_refuses_more_titles_than_images():
    with pytest.raises(ValueError, match="4 titles for 3 images"):
        plots.image_grid(RAMP, titles=list("abcd"))


def test_show_gives_picture_and_caption(shown: list):
    plots.show(plots.image_grid(RAMP, width=4), "Three ramps, from black to white.")
    (picture, kwargs), (caption, _) = shown
    size = Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))).size
    assert size[0] == 4 * plots.RESOLUTION
    assert kwargs["metadata"]["image/png"] == {
        "width": 4 * plots.SHOWN,
        "alt": "Three ramps, from black to white.",
    }
    assert picture["text/plain"] == "[Figure] Three ramps, from black to white."
    assert caption.data == "*Three ramps, from black to white.*"
    assert not plt.get_fignums()


def test_show_asks_for_a_caption(shown: list):
    with pytest.raises(ValueError, match="needs a caption"):
        plots.show(plots.image_grid(RAMP), " ")


def test_png_is_the_same_twice():
    assert plots.png(plots.image_grid(RAMP)) == plots.png(plots.image_grid(RAMP))


def test_colours_can_be_told_apart_by_everyone():
    """No two lines look alike under simulated colour blindness of three kinds (Machado et al., 2009)."""
    blindness = {
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    }
    cycle = np.array([to_rgb(style["color"]) for style in plt.rcParams["axes.prop_cycle"]])
    linear = np.where(cycle <= 0.04045, cycle / 12.92, ((cycle + 0.055) / 1.055) ** 2.4)
    for matrix in blindness.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 2 * np.eye(len(seen))
        assert distance.min() > 0.05


def test_every_line_has_a_dash_of_its_own():
    styles = [str(style["linestyle"]) for style in plt.rcParams["axes.prop_cycle"]]
    assert len(set(styles)) == len(styles)
