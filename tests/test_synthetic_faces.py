"""The generated faces: each argument does its one thing, and the same arguments give the same image."""

import time

import numpy as np
import pytest

from gennet.datasets.synthetic_faces import EVERYDAY, OCCLUDERS, random_faces, synthetic_faces

PEOPLE = np.arange(41)


def best_shift(image, reference, reach=4):
    """(down, right) shift of the inner face of `reference` that matches `image` best."""
    patch = reference[10:26, 10:22]
    shifts = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    errors = [np.sum((image[10 + i : 26 + i, 10 + j : 22 + j] - patch) ** 2) for i, j in shifts]
    return shifts[int(np.argmin(errors))]


def energy_shares(images):
    centred = images.reshape(len(images), -1) - images.reshape(len(images), -1).mean(axis=0)
    energy = np.linalg.svd(centred, compute_uv=False) ** 2
    return np.cumsum(energy) / energy.sum()


def test_same_arguments_same_image_whatever_the_batch():
    rng = np.random.default_rng(0)
    arguments = {
        "yaw": rng.uniform(-30, 30, 6),
        "expression": rng.uniform(-1, 1, 6),
        "noise": 0.05,
        "seed": 3,
        "occluder": ["left", "eyes", "top", "bottom", "right", "eyes"],
        "occlusion": 0.2,
    }
    batch = synthetic_faces(np.arange(6), **arguments)
    for m in (0, 4):
        one = {name: np.broadcast_to(value, 6)[m] for name, value in arguments.items()}
        np.testing.assert_array_equal(synthetic_faces(m, **one)[0], batch[m])
    backwards = {name: np.broadcast_to(value, 6)[::-1] for name, value in arguments.items()}
    np.testing.assert_array_equal(synthetic_faces(np.arange(6)[::-1], **backwards)[::-1], batch)


def test_arguments_broadcast_and_flatten():
    images = synthetic_faces(np.array([[1], [2]]), yaw=[-10.0, 0.0, 10.0], shape=(20, 16))
    assert images.shape == (6, 20, 16)
    np.testing.assert_array_equal(images[4], synthetic_faces(2, shape=(20, 16))[0])
    assert synthetic_faces(np.arange(0), shape=(16, 16)).shape == (0, 16, 16)


def test_values_stay_in_the_unit_interval_at_the_corners_of_the_ranges():
    rng = np.random.default_rng(1)
    images = synthetic_faces(
        np.arange(100, 200),
        yaw=rng.choice([-40, 40], 100),
        pitch=rng.choice([-30, 30], 100),
        roll=rng.uniform(-180, 180, 100),
        expression=rng.choice([-1, 1], 100),
        mouth_open=rng.choice([0, 1], 100),
        light_azimuth=rng.choice([-90, 0, 90], 100),
        light_elevation=rng.choice([-90, 0, 90], 100),
        light_strength=rng.choice([0, 1], 100),
        scale=rng.choice([0.1, 0.5, 3], 100),
        noise=rng.choice([0, 0.5], 100),
    )
    assert np.isfinite(images).all()
    assert images.min() >= 0 and images.max() <= 1


def test_people_differ_more_than_expressions():
    neutral = synthetic_faces(PEOPLE).reshape(len(PEOPLE), -1)
    mild = synthetic_faces(PEOPLE, expression=0.3).reshape(len(PEOPLE), -1)
    between = np.linalg.norm(neutral[:, None] - neutral, axis=-1)[np.triu_indices(len(PEOPLE), 1)]
    within = np.linalg.norm(mild - neutral, axis=1)
    assert between.min() > 3 * within.max()


def test_average_person_is_symmetric_and_pose_mirrors():
    front = synthetic_faces(0)[0]
    np.testing.assert_allclose(front, front[:, ::-1], atol=1e-12)
    for knob in ({"yaw": 25}, {"roll": 17}, {"light_azimuth": 60}, {"shift_right": 1.3}):
        there = synthetic_faces(0, **knob)[0]
        back = synthetic_faces(0, **{name: -value for name, value in knob.items()})[0]
        np.testing.assert_allclose(there, back[:, ::-1], atol=1e-9)
        assert np.abs(there - front).max() > 0.05


@pytest.mark.parametrize("identity", [0, 1, 3, 5])
def test_pose_turns_as_said(identity):
    front, right, left, up, down = synthetic_faces(identity, yaw=[0, 15, -15, 0, 0], pitch=[0, 0, 0, 12, -12])
    assert best_shift(right, front)[1] > 0 > best_shift(left, front)[1]
    assert best_shift(up, front)[0] < 0 < best_shift(down, front)[0]


def test_roll_is_a_clockwise_turn_of_the_picture():
    upright, turned = synthetic_faces(3, roll=[0, 90], light_strength=0)
    np.testing.assert_allclose(turned, np.rot90(upright, -1), atol=1e-9)


@pytest.mark.parametrize("identity", [0, 4, 8])  # without a moustache
def test_smile_lifts_the_corners_of_the_mouth(identity):
    frown, smile = synthetic_faces(identity, expression=[-1, 1], shape=(64, 64))
    np.testing.assert_allclose(frown[:16], smile[:16], atol=1e-12)  # the hair does not smile

    def sag(
        image,
    ):  # rows by which the dark line of the mouth hangs lower in the middle than near the corners
        line = 46 + image[46:54].argmin(axis=0)
        return line[[31, 32]].mean() - line[[26, 27, 36, 37]].mean()

    assert sag(smile) >= 1
    assert sag(frown) <= -1


def test_open_mouth_is_dark_inside():
    closed, opened = synthetic_faces(4, mouth_open=[0, 1], shape=(64, 64))
    assert np.sum((opened < 0.15)[44:60, 26:38]) >= 10
    assert not np.any((closed < 0.15)[44:60, 26:38])


@pytest.mark.parametrize("identity", [0, 2, 5])
def test_light_brightens_the_side_it_comes_from(identity):
    left, right, below, above = synthetic_faces(
        identity, light_azimuth=[-60, 60, 0, 0], light_elevation=[0, 0, -50, 50]
    )
    assert left[:, :16].mean() > left[:, 16:].mean() + 0.02
    assert right[:, 16:].mean() > right[:, :16].mean() + 0.02
    chin, forehead = slice(24, 28), slice(8, 12)
    assert above[forehead, 12:20].mean() - above[chin, 12:20].mean() > 0.1
    assert below[chin, 12:20].mean() > above[chin, 12:20].mean() + 0.2


def test_image_is_linear_in_the_strength_of_the_light():
    flat, mixed, directed = synthetic_faces(1, light_strength=[0, 0.3, 1], light_azimuth=40)
    np.testing.assert_allclose(mixed, 0.7 * flat + 0.3 * directed, atol=1e-12)
    other = synthetic_faces(1, light_strength=0, light_azimuth=-70)[0]
    np.testing.assert_allclose(flat, other, atol=1e-12)  # without direction, the direction is nothing


@pytest.mark.parametrize("identity", [0, 3])
def test_few_eigenvectors_hold_the_variation_of_light(identity):
    # For a convex matt surface nine harmonics hold almost all energy, and a few of them most of it
    # (Basri and Jacobs 2003). This face casts no shadows and is nearly convex.
    rng = np.random.default_rng(2)
    azimuth, elevation = rng.uniform(-90, 90, 150), rng.uniform(-60, 60, 150)
    light = energy_shares(
        synthetic_faces(identity, light_azimuth=azimuth, light_elevation=elevation, light_strength=1)
    )
    assert light[1] < 0.95 < light[4]
    assert light[8] > 0.99
    people = energy_shares(synthetic_faces(np.arange(150)))
    assert people[4] < 0.9  # the people themselves need far more


def test_whole_pixel_shift_is_a_roll_of_the_image():
    still, moved = synthetic_faces(6, shift_right=[0, 3], shift_down=[0, -2])
    np.testing.assert_allclose(moved[:-2, 3:], still[2:, :-3], atol=1e-12)


@pytest.mark.parametrize("shift", [0.1, 0.37, 0.5, 1.25])
def test_part_of_a_pixel_moves_the_centre_of_mass_by_as_much(shift):
    still, moved = 0.6 - synthetic_faces(2, shift_right=[0, shift])  # dark hair on a lighter background
    centres = [np.average(np.arange(32), weights=darkness.sum(axis=0)) for darkness in (still, moved)]
    assert centres[1] - centres[0] == pytest.approx(shift, abs=0.03)


def test_scale_is_a_smaller_window_on_the_same_face():
    half = synthetic_faces(3, scale=0.5, shape=(64, 64))[0]
    np.testing.assert_allclose(half[16:48, 16:48], synthetic_faces(3)[0], atol=1e-12)


@pytest.mark.parametrize("occluder", OCCLUDERS)
@pytest.mark.parametrize("fraction", [0.0, 0.125, 0.3, 1.0])
def test_occlusion_hides_exactly_its_fraction(occluder, fraction):
    shape = (30, 24)
    clear = synthetic_faces(1, shape=shape)[0]
    hidden = synthetic_faces(1, occlusion=fraction, occluder=occluder, shape=shape)[0]
    grey = synthetic_faces(1, occlusion=1, shape=shape)[0, 0, 0]
    covered = (hidden - clear) / (grey - clear)
    assert covered.mean() == pytest.approx(fraction, abs=1e-9)
    centre = (covered * np.arange(30)[:, None]).sum(), (covered * np.arange(24)).sum()
    if 0 < fraction < 1:
        row, column = centre[0] / covered.sum() - 14.5, centre[1] / covered.sum() - 11.5
        wanted = {"bottom": (1, 0), "top": (-1, 0), "left": (0, -1), "right": (0, 1), "eyes": (0, 0)}[
            occluder
        ]
        assert (np.sign(np.round(row, 6)), np.sign(np.round(column, 6))) == wanted


def test_noise_has_the_given_deviation_and_differs_between_images():
    clear = synthetic_faces(1, yaw=[0, 1])
    noisy = synthetic_faces(1, yaw=[0, 1], noise=0.05)
    difference = (noisy - clear)[:, :, :4]  # plain background: nothing is cut at 0 or 1
    assert difference.std() == pytest.approx(0.05, rel=0.15)
    assert abs(np.corrcoef(difference[0].ravel(), difference[1].ravel())[0, 1]) < 0.4
    more = synthetic_faces(1, yaw=[0, 1], noise=0.1) - clear
    np.testing.assert_allclose(more[:, :, :4], 2 * difference, atol=1e-9)
    other_seed = synthetic_faces(1, noise=0.05, seed=1)[0]
    assert not np.array_equal(other_seed, noisy[0])


@pytest.mark.parametrize(
    ("knob", "values"),
    [
        ("yaw", np.arange(0, 20, 0.25)),
        ("pitch", np.arange(0, 20, 0.25)),
        ("roll", np.arange(0, 20, 0.25)),
        ("expression", np.linspace(-1, 1, 81)),
        ("mouth_open", np.linspace(0, 1, 81)),
        ("light_azimuth", np.arange(-40, 40)),
        ("shift_right", np.linspace(0, 2, 81)),
        ("scale", np.linspace(0.8, 1.2, 161)),
    ],
)
def test_knobs_are_smooth(knob, values):
    images = synthetic_faces(3, **{knob: values})
    steps = np.linalg.norm(np.diff(images, axis=0), axis=(1, 2))
    assert steps.min() > 0
    assert steps.max() < 4 * np.median(steps)


def test_random_faces_without_spreads_repeat_the_person():
    images, labels = random_faces(4, 3, seed=0, first_identity=7)
    np.testing.assert_array_equal(labels, np.repeat(np.arange(4), 3))
    np.testing.assert_array_equal(images, synthetic_faces(7 + labels))


def test_random_faces_are_reproducible_and_spreads_are_independent():
    everyday, _ = random_faces(5, 4, seed=3, **EVERYDAY)
    np.testing.assert_array_equal(everyday, random_faces(5, 4, seed=3, **EVERYDAY)[0])
    assert not np.array_equal(everyday, random_faces(5, 4, seed=4, **EVERYDAY)[0])
    # the draws of one nuisance do not depend on the spread of another
    lit, _ = random_faces(5, 4, seed=3, light=40)
    lit_and_moved, _ = random_faces(5, 4, seed=3, light=40, misalignment=1e-9)
    np.testing.assert_allclose(lit, lit_and_moved, atol=1e-6)


SPREADS = {
    "pose": 8,
    "expression": 1,
    "light": 40,
    "misalignment": 1,
    "scale": 0.1,
    "occlusion": 0.3,
    "noise": 0.05,
}


@pytest.mark.parametrize("name", SPREADS)
def test_each_spread_of_random_faces_varies_every_image(name):
    still, _ = random_faces(2, 6, seed=1)
    varied, _ = random_faces(2, 6, seed=1, **{name: SPREADS[name]})
    assert np.median(np.abs(varied - still).max(axis=(1, 2))) > 0.02
    assert len({image.tobytes() for image in varied}) == 12


def test_a_hundred_faces_do_not_take_long():
    start = time.process_time()
    images, _ = random_faces(10, 10, seed=0, **EVERYDAY)
    assert images.shape == (100, 32, 32)
    assert time.process_time() - start < 3  # 0.3 s on a slow core; a quarter of the default collection


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"yaw": np.nan}, r"yaw must lie in \[-40, 40\], got nan"),
        ({"yaw": 60}, r"yaw must lie in \[-40, 40\], got 60"),
        ({"pitch": [0, -31]}, "pitch must lie in .* got -31"),
        ({"scale": -1}, "scale must lie in .* got -1"),
        ({"scale": 0}, "scale must lie in"),
        ({"expression": 1.5}, "expression must lie in"),
        ({"light_strength": 2}, "light_strength must lie in"),
        ({"shift_down": np.inf}, "shift_down must lie in"),
        ({"occlusion": 1.1}, "occlusion must lie in"),
        ({"noise": -0.1}, "noise must lie in"),
        ({"occluder": "hat"}, "occluder must be one of bottom, top, left, right, eyes, got 'hat'"),
        ({"shape": (15, 32)}, r"at least 16 pixels, got \(15, 32\)"),
        ({"shape": (32,)}, "shape must be two sizes"),
        ({"yaw": [1, 2, 3], "roll": [1, 2]}, r"do not broadcast together: yaw \(3,\), roll \(2,\)"),
        ({"identity": -1}, "identity must be whole numbers >= 0"),
        ({"identity": 1.5}, "identity must be whole numbers >= 0"),
        ({"seed": -2}, "seed must be whole numbers >= 0"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        synthetic_faces(**({"identity": 1} | arguments))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n_people": 0}, "at least 1 person"),
        ({"pose": 50}, r"spread pose must lie in \[0, 40\], got 50"),
        ({"light": -1}, "spread light must lie in"),
        ({"scale": np.nan}, "spread scale must lie in"),
        ({"noise": -1}, "noise must lie in"),
    ],
)
def test_bad_spreads_are_told_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        random_faces(**({"n_people": 2, "n_per_person": 2, "seed": 0} | arguments))
