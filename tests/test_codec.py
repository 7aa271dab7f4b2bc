"""`gennet.codec`: frame rates, the quantiser, shares of bits, and what JPEG costs."""

import io
import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.optimize import minimize_scalar

from gennet import datasets
from gennet.codec import allocate_bits, frame_rate, gaussian_range, jpeg, quantise
from gennet.eigenspace import Eigenspace


def refused(said: str):
    return pytest.raises(ValueError, match=said)


@pytest.mark.equation("CR10")
@pytest.mark.erratum("C7")
def test_frames_at_9600_baud():
    assert frame_rate(32, 4, 9600) == 9.375
    assert frame_rate(32, 4, 9600, framing=True) == 7.5
    assert frame_rate(32, 1, 9600) == 37.5
    assert frame_rate(32, 1, 9600, framing=True) == 30
    # as printed: 32 x 4 and 120 bytes an image, at video rates
    assert 32 * 4 == 128 != 120 == 30 * 4
    assert frame_rate(32, 4, 9600) < 25  # a quarter of the bytes would be needed, not 120 instead of 128
    assert frame_rate(30, 4, 9600) == 10
    assert frame_rate(32, 4, 9600) * 128 * 8 == 9600


@pytest.mark.parametrize("numbers", [(0, 4, 9600), (32, -1, 9600), (32, 4, 0), (32, 4, np.nan)])
def test_frame_rate_needs_positive_numbers(numbers):
    with refused("frame_rate: expected positive numbers"):
        frame_rate(*numbers)


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_levels_are_equally_spaced_and_hold_both_ends(bits):
    lo, hi = -1.3, 0.7
    indices, values = quantise(np.linspace(lo, hi, 20001), bits, lo, hi)
    levels = np.unique(values)
    assert len(levels) == 2**bits
    assert (levels[0], levels[-1]) == (lo, hi)  # exactly
    assert_allclose(np.diff(levels), (hi - lo) / (2**bits - 1), rtol=1e-10)
    assert_array_equal(np.unique(indices), np.arange(2**bits))
    assert_array_equal(levels[indices], values)
    assert_array_equal(quantise(values, bits, lo, hi)[0], indices)  # levels stay where they are


def test_quantiser_takes_the_nearest_level_and_clips():
    x = np.random.default_rng(0).uniform(-2, 2, 1000)
    indices, values = quantise(x, 3, -1, 1)
    levels = np.linspace(-1, 1, 8)
    nearest = np.abs(x[:, None] - levels).argmin(axis=1)
    assert_array_equal(indices, nearest)
    assert_allclose(values, levels[nearest], atol=1e-15)
    assert (np.abs(x) > 1).any() and indices.min() == 0 and indices.max() == 7
    assert_array_equal(quantise([-np.inf, np.inf], 3, -1, 1)[1], [-1, 1])


def test_ranges_and_bits_may_differ_between_coefficients():
    x = np.random.default_rng(1).standard_normal((50, 3))
    bits, lo, hi = np.array([4, 0, 2]), x.min(axis=0), x.max(axis=0)
    indices, values = quantise(x, bits, lo, hi)
    for d in range(3):
        alone = quantise(x[:, d], int(bits[d]), lo[d], hi[d])
        assert_array_equal(indices[:, d], alone[0])
        assert_array_equal(values[:, d], alone[1])
    assert np.all(indices[:, 1] == 0)
    assert_allclose(values[:, 1], (lo[1] + hi[1]) / 2)  # no bits: the middle


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([np.nan, 1.0], 3, 0, 1), "1 of 2 values are NaN"),
        ((0.5, 2.5, 0, 1), "expected bits as whole numbers from 0 to 32, got 2.5"),
        ((0.5, -1, 0, 1), "expected bits"),
        ((0.5, 33, 0, 1), "expected bits"),
        ((0.5, 3, 1, 1), "expected finite lo below hi"),
        ((0.5, 3, 0, np.inf), "expected finite lo below hi"),
        (
            (np.zeros((4, 3)), 3, np.zeros(4), 1),
            r"shapes \(\), \(4,\) and \(\) do not go with x of shape \(4, 3\)",
        ),
        ((np.zeros(3), 3, np.zeros((4, 3)), 1), "do not go with x"),
    ],
)
def test_quantiser_refuses(arguments, said):
    with refused(said):
        quantise(*arguments)


def test_error_of_the_image_is_the_error_of_the_code():
    """The basis is orthonormal, so that energies are the same in both (Parseval)."""
    x = datasets.load("faces").x.reshape(200, -1).astype(float)
    space = Eigenspace(n_components=20).fit(x)
    codes = space.transform(x)
    _, received = quantise(codes, 5, codes.min(axis=0), codes.max(axis=0))
    in_code = np.sum((received - codes) ** 2, axis=1)
    in_image = np.sum((space.inverse_transform(received) - space.inverse_transform(codes)) ** 2, axis=1)
    assert in_code.min() > 0.01
    assert_allclose(in_image, in_code, rtol=1e-10)
    whole = np.sum((space.inverse_transform(received) - x) ** 2, axis=1)
    assert_allclose(whole, in_code + space.residual_energy(x), rtol=1e-10)


@pytest.mark.parametrize("total", [0, 1, 4, 7])
def test_no_other_sharing_of_bits_has_a_smaller_error(total):
    variances = np.array([9.0, 2.5, 1.0, 0.03])
    bits = allocate_bits(variances, total)
    assert bits.sum() == total

    def error(shares):
        return float(np.sum(variances * 4.0 ** -np.array(shares)))

    every = [shares for shares in itertools.product(range(total + 1), repeat=4) if sum(shares) == total]
    assert error(bits) <= min(map(error, every)) * (1 + 1e-12)


def test_bits_grow_with_the_logarithm_of_the_variance():
    variances = 4.0 ** np.arange(6, 0, -1)
    assert_array_equal(allocate_bits(variances, 21), [6, 5, 4, 3, 2, 1])  # a bit for each factor of 4
    assert_array_equal(allocate_bits([100.0, 1e-9], 3), [3, 0])
    for wrong in (([1.0, -1.0], 3), ([np.nan], 3), ([], 3), ([1.0], -1), ([[1.0]], 3)):
        with refused("allocate_bits: expected"):
            allocate_bits(*wrong)


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_jpeg_header_and_scan_make_the_file(quality):
    faces = np.clip(datasets.load("faces").x[:8].astype(float), 0, 1)
    coded = [jpeg(face, quality) for face in faces]
    for face, one in zip(faces, coded, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.rint(255 * face).astype(np.uint8)).save(file, "JPEG", quality=quality)
        data = file.getvalue()
        assert one.header_bytes + one.scan_bytes == len(data)
        # scan data may hold no marker: an ff in it is followed by 00
        scan = data[len(data) - 2 - one.scan_bytes : -2]
        assert scan.count(b"\xff") == scan.count(b"\xff\x00") and data.endswith(b"\xff\xd9")
        start = data.index(b"\xff\xda")
        assert start < one.header_bytes - 2 == start + 2 + 8  # that segment has 8 bytes for one component
        assert one.image.shape == face.shape
        assert one.image.min() >= 0 and one.image.max() <= 1
    assert len({one.header_bytes for one in coded}) == 1  # the same for all
    assert coded[0].header_bytes > 300 > 128  # at 25 x 25 pixels more than 32 coefficients of 4 bytes


def test_jpeg_gets_better_and_longer_with_quality():
    faces = np.clip(datasets.load("faces").x[:20].astype(float), 0, 1)
    coded = [[jpeg(face, quality) for face in faces] for quality in (5, 25, 50, 75, 95)]
    scans = [np.mean([one.scan_bytes for one in row]) for row in coded]
    errors = [
        np.mean([np.sum((one.image - f) ** 2) for one, f in zip(row, faces, strict=True)]) for row in coded
    ]
    assert np.all(np.diff(scans) > 0) and np.all(np.diff(errors) < 0)
    assert_allclose(jpeg(np.full((25, 25), 0.4), 95).image, 0.4, atol=1 / 255)


@pytest.mark.parametrize(
    ("image", "quality", "said"),
    [
        (np.zeros((3, 4, 4)), 50, r"expected a grey image .* got shape \(3, 4, 4\)"),
        (np.full((4, 4), 1.5), 50, r"pixels in \[0, 1\]"),
        (np.full((4, 4), np.nan), 50, r"pixels in \[0, 1\]"),
        (np.zeros((0, 4)), 50, "expected a grey image"),
        (np.zeros((4, 4)), 0, "quality from 1 to 95, got 0"),
        (np.zeros((4, 4)), 100, "quality from 1 to 95, got 100"),
    ],
)
def test_jpeg_refuses(image, quality, said):
    with refused(said):
        jpeg(image, quality)


@pytest.mark.parametrize("bits", range(1, 9))
def test_gaussian_range_loses_least(bits: int):
    """No other range of equally spaced levels has a smaller mean squared error, by quadrature (Max, 1960)."""
    x = np.linspace(-8, 8, 200_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])

    def loss(reach: float) -> float:
        return float((x - quantise(x, bits, -reach, reach)[1]) ** 2 @ density)

    best = minimize_scalar(loss, bounds=(0.5, 6), method="bounded", options={"xatol": 1e-6})
    lo, hi = gaussian_range(bits, 1.0)
    assert lo == -hi and abs(hi - best.x) < 0.02 and loss(float(hi)) < best.fun * (1 + 1e-4)


def test_gaussian_range_scales_with_the_standard_deviation():
    _, hi = gaussian_range([3, 3, 11], [1.0, 4.0, 1.0])
    assert hi[1] == 2 * hi[0] and hi[2] == gaussian_range(8, 1.0)[1]
