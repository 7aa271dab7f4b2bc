"""What an image costs on a line: frame rates, quantised codes, and JPEG for comparison.

It serves the transmission experiment of Crowley's lecture (CR10: 32 coefficients an image at 9600 baud).
Entropy coding of the coefficients and the prediction of one frame from the last are left out.
"""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image


def frame_rate(
    n_coefficients: int, bytes_per_coefficient: float, baud: float, framing: bool = False
) -> float:
    """Return the frames in a second that fit through a serial line, one bit a baud (CR10).

    Parameters
    ----------
    n_coefficients
        D, sent for each frame.
    bytes_per_coefficient
        4 for a float32.
    baud
        Bits in a second.
    framing
        Count a start and a stop bit around the 8 bits of each byte.

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> frame_rate(32, 4, 9600), frame_rate(32, 4, 9600, framing=True)
    (9.375, 7.5)
    """
    if not (n_coefficients > 0 and bytes_per_coefficient > 0 and baud > 0):
        raise ValueError(
            "frame_rate: expected positive numbers, got "
            f"{n_coefficients} coefficients of {bytes_per_coefficient} bytes at {baud} baud."
        )
    return baud / ((10 if framing else 8) * n_coefficients * bytes_per_coefficient)


def quantise(
    x: ArrayLike, bits: ArrayLike, lo: ArrayLike, hi: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Round each number to the nearest of 2**bits equally spaced levels, of which `lo` and `hi` are two.

    Numbers outside the range go to its nearer end. With 0 bits there is one level, the middle.

    Parameters
    ----------
    x
        Numbers, usually codes ``(M, D)``.
    bits
        From 0 to 32; like `lo` and `hi` one number for all or one for each coefficient ``(D,)``.
    lo, hi
        The range, `lo` below `hi`.

    Returns
    -------
    indices : ndarray of int
        From 0 to 2**bits - 1, of the shape of `x`: what is sent.
    values : ndarray
        The levels: what is received.

    Raises
    ------
    ValueError
        If x holds NaN, bits are not whole numbers from 0 to 32, lo is not below hi, or shapes do not match x.

    Examples
    --------
    >>> indices, values = quantise([-3.0, -0.4, 0.6, 9.0], 2, -1.5, 1.5)
    >>> indices, values
    (array([0, 1, 2, 3]), array([-1.5, -0.5,  0.5,  1.5]))
    """
    x, bits, lo, hi = (np.asarray(value) for value in (x, bits, lo, hi))
    if np.isnan(x).any():
        raise ValueError(
            f"quantise: {np.isnan(x).sum()} of {x.size} values are NaN and have no nearest level."
        )
    if not (np.issubdtype(bits.dtype, np.integer) and np.all((bits >= 0) & (bits <= 32))):
        raise ValueError(f"quantise: expected bits as whole numbers from 0 to 32, got {bits}.")
    if not (np.isfinite(lo).all() and np.isfinite(hi).all() and np.all(lo < hi)):
        raise ValueError(f"quantise: expected finite lo below hi, got lo = {lo} and hi = {hi}.")
    try:
        fits = np.broadcast_shapes(x.shape, bits.shape, lo.shape, hi.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"quantise: bits, lo and hi of shapes {bits.shape}, {lo.shape} and {hi.shape} do not go with x "
            f"of shape {x.shape}. Give one number for all, or one for each coefficient."
        )
    last = 2.0**bits - 1
    t = (np.clip(x, lo, hi) - lo) / (hi - lo)  # 0 at lo, 1 at hi
    indices = np.rint(t * last).astype(np.int64)
    t = np.where(last > 0, indices / np.maximum(last, 1), 0.5)
    return indices, lo * (1 - t) + hi * t


def allocate_bits(variances: ArrayLike, total: int) -> NDArray[np.int64]:
    """Share bits out among coefficients so that the sum of squared errors is smallest.

    With b bits a coefficient of variance σ² is left with a squared error in proportion to σ² 4⁻ᵇ: twice the
    levels, half the error. Each bit goes where the error is still largest. This is reverse water-filling with
    whole bits: they grow with the logarithm of the variance, and weak coefficients get none (Cover and
    Thomas, Elements of Information Theory, section 10.3).

    Parameters
    ----------
    variances
        Shape ``(D,)``, for instance the eigenvalues of an eigenspace.
    total
        Bits for one image.

    Raises
    ------
    ValueError
        If a variance is negative or not finite, or the total is negative.

    Examples
    --------
    >>> allocate_bits([16.0, 4.0, 1.0, 0.01], 6)
    array([3, 2, 1, 0])
    """
    error = np.array(variances, dtype=float)
    if error.ndim != 1 or not error.size or not np.isfinite(error).all() or (error < 0).any() or total < 0:
        raise ValueError(
            "allocate_bits: expected finite variances of shape (D,), none negative, and 0 bits or more."
        )
    bits = np.zeros(len(error), dtype=np.int64)
    for _ in range(total):
        d = error.argmax()
        bits[d] += 1
        error[d] /= 4
    return bits


REACH = np.array([1.0, 0.798, 1.494, 2.051, 2.514, 2.916, 3.279, 3.613, 3.927])  # for 0, 1, ... 8 bits


def gaussian_range(bits: ArrayLike, variances: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the range for `quantise` that loses least of Gaussian coefficients around zero.

    With few levels it is better to clip the tails than to spread the levels out to them: the outermost of
    two levels belongs at 0.8 standard deviations, that of 256 at 3.9 (J. Max, 1960). More than 8 bits use the
    range of 8.

    Parameters
    ----------
    bits
        Shape ``(D,)``, for instance from `allocate_bits`.
    variances
        Shape ``(D,)``, for instance the eigenvalues of an eigenspace.

    Returns
    -------
    lo, hi : ndarray of shape (D,)

    Examples
    --------
    >>> gaussian_range([1, 2], [1.0, 4.0])
    (array([-0.798, -2.988]), array([0.798, 2.988]))
    """
    hi = REACH[np.minimum(bits, len(REACH) - 1)] * np.sqrt(variances)
    return -hi, hi


class Jpeg(NamedTuple):
    """A grey image after JPEG, and what it cost."""

    image: NDArray[np.float64]
    """What is received, shape ``(R, C)``, in [0, 1]."""
    header_bytes: int
    """Sizes, quantisation and Huffman tables, markers: the same for every image of this size and quality."""
    scan_bytes: int
    """The entropy-coded picture."""


def jpeg(image: ArrayLike, quality: int) -> Jpeg:
    """Code a grey image as baseline JPEG with the standard Huffman tables, and decode it.

    The tables do not depend on the image: a receiver who has them needs the scan only, as a receiver of
    eigenspace codes has the basis beforehand. Compare scans with codes, and whole files with codes plus
    basis.

    Parameters
    ----------
    image
        Shape ``(R, C)``, in [0, 1]; rounded to 8 bits.
    quality
        From 1 to 95.

    Raises
    ------
    ValueError
        If the image is not a matrix of numbers in [0, 1], or the quality is out of range.

    Examples
    --------
    >>> coded = jpeg(np.zeros((25, 25)), quality=50)
    >>> coded.header_bytes > 10 * coded.scan_bytes
    True
    """
    image = np.asarray(image, dtype=float)
    if image.ndim != 2 or not image.size or not ((image >= 0) & (image <= 1)).all():
        raise ValueError(
            f"jpeg: expected a grey image (R, C) with pixels in [0, 1], got shape {image.shape}."
        )
    if not 1 <= quality <= 95:
        raise ValueError(f"jpeg: expected a quality from 1 to 95, got {quality}.")
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), dtype=float) / 255
    data = file.getvalue()
    position = 2  # after the marker that starts a file; then segments: ff, kind, length in two bytes, content
    while data[position + 1] != 0xDA:  # start of scan
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    position += 2 + int.from_bytes(data[position + 2 : position + 4])
    scan = len(data) - 2 - position  # a marker of two bytes ends the file
    return Jpeg(decoded, len(data) - scan, scan)
