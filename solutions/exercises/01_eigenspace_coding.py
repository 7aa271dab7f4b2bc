"""The problem set of chapter 1: an eigenspace, its code, its transmission, and a table of crimes.

E1, E2, E4 follow Crowley's lecture, E17 Yao's slides. References are plain NumPy and do not use the library's
`Eigenspace`, so that the two can be compared. Left out: detection by distance (E3), a matter of chapter 2.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

from typing import NamedTuple

import numpy as np

from gennet import datasets
from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# ---------------------------------------------------------------------------------------------------- E1


def eigenspace_fit(W, D):
    """Return mean (N,), basis (N, D) and eigenvalues (D,) of the images W (N, M)."""
    mean = W.mean(axis=1)
    V = W - mean[:, None]
    eigenvalues, vectors = np.linalg.eigh(V @ V.T / W.shape[1])
    leading = np.argsort(eigenvalues)[::-1][:D]
    return mean, vectors[:, leading], eigenvalues[leading]


def training_images(rng):
    """Yield images whose covariance has distinct eigenvalues: only the sign of a basis vector is free."""
    small = np.array([[2.0, 0, 1, 3], [0, 2, 1, 1], [1, 1, 4, 0]])
    yield small, 1
    yield small, 3
    for N, M, D in [(5, 40, 3), (6, 6, 4), (64, 16, 15), (30, 8, 2)]:
        yield images_with_spread_eigenvalues(rng, N, M), D


def images_with_spread_eigenvalues(rng, N, M):
    """Make M images of N pixels around a mean image; eigenvalues are about equally spaced up to 5."""
    rank = min(N, M - 1)
    eigenvalues = 5 / rank * (np.arange(rank, 0, -1) + rng.uniform(-0.2, 0.2, rank))
    directions = np.linalg.qr(rng.normal(size=(N, rank)))[0]
    columns = np.column_stack([np.ones(M), rng.normal(size=(M, rank))])
    uncorrelated = np.linalg.qr(columns)[0][:, 1:]  # (M, rank): means 0, lengths 1
    V = directions * np.sqrt(M * eigenvalues) @ uncorrelated.T
    return np.round(rng.uniform(1, 3, (N, 1)) + V, 3)


def leading(symmetric, D):
    """Return the D leading eigenvectors and eigenvalues."""
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    return vectors[:, ::-1][:, :D], eigenvalues[::-1][:D]


@mistake(
    "Your eigenvalues are those of the images themselves. Subtract the mean image from every image first: "
    "a code describes how an image differs from the average.",
    seen_in="eigenvalues",
)
def no_centring(W, D):
    return W.mean(axis=1), *leading(W @ W.T / W.shape[1], D)


@mistake(
    "Every image was centred by the mean of its own pixels. Subtract the mean image, one value a pixel, "
    "averaged over the images.",
    seen_in="eigenvalues",
)
def centred_image_by_image(W, D):
    V = W - W.mean(axis=0)
    return W.mean(axis=1), *leading(V @ V.T / W.shape[1], D)


@mistake(
    "Your eigenvalues are M times too large. The covariance is an average over the M images, not a total: "
    "divide by M.",
    seen_in="eigenvalues",
)
def total_instead_of_average(W, D):
    V = W - W.mean(axis=1, keepdims=True)
    return W.mean(axis=1), *leading(V @ V.T, D)


@mistake(
    "Your eigenvalues are those of a covariance divided by M - 1 (the habit of `np.cov`). This course "
    "follows "
    "the lecture: divide by M.",
    seen_in="eigenvalues",
)
def divided_by_one_less(W, D):
    return W.mean(axis=1), *leading(np.cov(W), D)


@mistake(
    "You return the square roots of the eigenvalues. The variances along the basis vectors are the "
    "eigenvalues of the covariance themselves; their roots are standard deviations.",
    seen_in="eigenvalues",
)
def square_roots(W, D):
    mean, basis, eigenvalues = eigenspace_fit(W, D)
    return mean, basis, np.sqrt(eigenvalues)


@mistake(
    "You return singular values of the centred images. The eigenvalues of the covariance are their squares, "
    "divided by M.",
    seen_in="eigenvalues",
)
def singular_values(W, D):
    mean, basis, eigenvalues = eigenspace_fit(W, D)
    return mean, basis, np.sqrt(eigenvalues * W.shape[1])


@mistake(
    "You keep the smallest eigenvalues. `eigh` sorts them in increasing order; the largest must come first.",
    seen_in="eigenvalues",
)
def smallest_first(W, D):
    eigenvalues, vectors = np.linalg.eigh(np.cov(W, bias=True))
    return W.mean(axis=1), vectors[:, :D], eigenvalues[:D]


@mistake(
    "You keep the right eigenvalues, but in increasing order. Reverse them, and the columns of the basis "
    "with "
    "them: the largest comes first.",
    seen_in="eigenvalues",
)
def largest_last(W, D):
    mean, basis, eigenvalues = eigenspace_fit(W, D)
    return mean, basis[:, ::-1], eigenvalues[::-1]


@mistake(
    "Your mean has one value for each image. Here images are columns: the mean image has one value for each "
    "pixel, so average over axis 1.",
    seen_in="mean",
)
def rows_taken_for_images(W, D):
    return eigenspace_fit(W.T, D)


@mistake(
    "The columns of your basis do not have length 1. If q is an eigenvector of the small matrix, V q "
    "points in "
    "the right direction; divide it by its length.",
    seen_in="basis",
)
def columns_not_of_length_one(W, D):
    mean, basis, eigenvalues = eigenspace_fit(W, D)
    return mean, basis * np.sqrt(W.shape[1] * eigenvalues), eigenvalues


@mistake(
    "Your basis has one vector in each row. One column should be one basis vector: transpose it.",
    seen_in="basis",
    same="row signs",
)
def basis_vectors_as_rows(W, D):
    mean, basis, eigenvalues = eigenspace_fit(W, D)
    return mean, basis.T, eigenvalues


def by_svd(W, D):
    mean = np.mean(W, 1, keepdims=True)
    U, s, _ = np.linalg.svd(W - mean, full_matrices=False)
    return [mean[:, 0], U[:, :D], s[:D] ** 2 / W.shape[1]]


def by_the_small_matrix(W, D):
    M = W.shape[1]
    mean = W.sum(axis=1) / M
    V = W - mean.reshape(-1, 1)
    Q, eigenvalues = leading(V.T @ V / M, D)
    basis = V @ Q
    return mean, -basis / np.linalg.norm(basis, axis=0), eigenvalues


def by_torch_in_single_precision(W, D):
    import torch

    images = torch.tensor(W, dtype=torch.float32, requires_grad=True)
    mean = images.mean(dim=1)
    eigenvalues, vectors = torch.linalg.eigh(torch.cov(images, correction=0))
    return mean, vectors.flip(1)[:, :D], eigenvalues.flip(0)[:D]


def by_scikit_learn(W, D):
    from sklearn.decomposition import PCA

    pca = PCA(D, svd_solver="full").fit(W.T)
    M = W.shape[1]
    return pca.mean_, pca.components_.T, pca.explained_variance_ * (M - 1) / M


def by_general_eigenvalues_in_lists(W, D):
    class Fit(NamedTuple):
        mean: list
        basis: list
        eigenvalues: list

    N, M = W.shape
    mean = [sum(row) / M for row in W.tolist()]
    V = W - np.array(mean)[:, None]
    eigenvalues, vectors = np.linalg.eig(np.einsum("im,jm->ij", V, V) / M)
    order = sorted(range(N), key=lambda n: -eigenvalues[n].real)[:D]
    return Fit(mean, vectors.real[:, order].tolist(), [eigenvalues[n].real for n in order])


E1 = Exercise(
    id="E1",
    title="Fit an eigenspace",
    mirrors="Crowley's lecture, from the mean image to the eigenvectors of the covariance (CR2 to CR5)",
    purpose="find the directions in which a set of images varies most",
    minutes=25,
    statement="""
Here the **columns** of `W` are images, as in the lecture: `W` has shape `(N, M)`, $N$ pixels and $M$
images. (Chapter 1 and the library's `Eigenspace` keep one image in each *row*; transpose when you compare.)
Write `eigenspace_fit(W, D)`:

1. the mean image $\\mu$, shape `(N,)`;
2. the differences $\\vec V_m = \\vec W_m - \\vec\\mu$, one column an image;
3. eigenvectors and eigenvalues of the covariance $\\Sigma = \\frac1M\\mathbf V\\mathbf V^{\\mathsf T}$;
4. the $D$ largest eigenvalues in decreasing order, shape `(D,)`, and in the same order their eigenvectors,
   of length 1, as the columns of `basis`, shape `(N, D)`. The sign of an eigenvector is up to you.

Return `mean, basis, eigenvalues`. There may be more pixels than images or fewer; $D$ is never larger than
the number of eigenvalues that differ from zero. Any method is welcome that gives this result.
""",
    functions=(
        Function(
            reference=eigenspace_fit,
            points=4,
            outputs=(
                Output("mean", "(N,)"),
                Output("basis", "(N, D)", same="signs"),
                Output("eigenvalues", "(D,)"),
            ),
            inputs=training_images,
            right="Your basis is orthonormal, each eigenvalue is the variance of the images along its "
            "basis vector, "
            "and the largest come first.",
            hints=(
                "`W.mean(axis=1)` averages over the images. To subtract it from every column, give it a "
                "second "
                "axis: `mean[:, None]` has shape (N, 1).",
                "`np.linalg.eigh` is made for symmetric matrices. It returns eigenvalues in increasing "
                "order and "
                "eigenvectors as columns: `vectors[:, k]` belongs to `eigenvalues[k]`.",
                "`[::-1]` reverses an array, `[:, ::-1]` the order of its columns; `[:D]` and `[:, :D]` "
                "keep the "
                "first D.",
            ),
            mistakes=(
                no_centring,
                centred_image_by_image,
                total_instead_of_average,
                divided_by_one_less,
                square_roots,
                singular_values,
                smallest_first,
                largest_last,
                rows_taken_for_images,
                columns_not_of_length_one,
                basis_vectors_as_rows,
            ),
            alternatives=(
                by_svd,
                by_the_small_matrix,
                by_torch_in_single_precision,
                by_scikit_learn,
                by_general_eigenvalues_in_lists,
            ),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E2


def encode(W, mean, basis):
    """Return the codes (D, M) of the images W (N, M)."""
    return basis.T @ (W - mean[:, None])


def decode(x, mean, basis):
    """Return the images (N, M) that belong to the codes x (D, M)."""
    return mean[:, None] + basis @ x


def error_energy(W, mean, basis):
    """Return the error energies (M,) of the images W (N, M)."""
    R = W - decode(encode(W, mean, basis), mean, basis)
    return (R**2).sum(axis=0)


SHAPES = [(5, 7, 2), (4, 4, 4), (6, 3, 1), (25, 10, 8), (9, 1, 3)]  # N, M, D


def eigenspace(rng, N, D):
    """Draw a mean image and an orthonormal basis."""
    return np.round(rng.uniform(1, 3, N), 3), np.linalg.qr(rng.normal(size=(N, D)))[0]


def images_to_code(rng):
    """Yield images, some of which lie in the eigenspace, with a mean and a basis that are not their own."""
    basis = np.array([[2.0, -2], [2, 1], [1, 2]]) / 3
    yield np.array([[3.0, 1, 5, 0], [2, 2, 5, 0], [6, 3, 4, 0]]), np.array([1.0, 2, 3]), basis
    for N, M, D in SHAPES:
        mean, basis = eigenspace(rng, N, D)
        W = mean[:, None] + np.round(rng.normal(size=(N, M)), 3)
        W[:, :1] = mean[:, None] + basis @ rng.uniform(1, 2, (D, 1))
        yield W, mean, basis


def codes_to_decode(rng):
    """Yield codes with a mean and a basis."""
    basis = np.array([[2.0, -2], [2, 1], [1, 2]]) / 3
    yield np.array([[3.0, 1, 5, 0], [2, -2, 5, 0]]), np.array([1.0, 2, 3]), basis
    for N, M, D in SHAPES:
        yield np.round(rng.normal(size=(D, M)), 3), *eigenspace(rng, N, D)


@mistake(
    "This is the code of W, not of W - mean. Subtract the mean image first: `decode` will add it back, and "
    "it "
    "must not be counted twice."
)
def code_without_centring(W, mean, basis):
    return basis.T @ W


@mistake("Your code is transposed: one column should be the code of one image, so its shape is (D, M).")
def codes_as_rows(W, mean, basis):
    return encode(W, mean, basis).T


@mistake(
    "This is already an image again. The code of an image is its D coefficients: stop after basis.T @ ..."
)
def projection_instead_of_code(W, mean, basis):
    return basis @ encode(W, mean, basis)


@mistake(
    "The coefficients have the wrong sign: a code says how the image differs from the mean, W - mean, "
    "not the other way round."
)
def mean_minus_image(W, mean, basis):
    return -encode(W, mean, basis)


@mistake(
    "The mean image is missing. A code describes the difference from the mean: add the mean back to every "
    "column."
)
def mean_not_added_back(x, mean, basis):
    return basis @ x


@mistake(
    "Only the part of the mean that lies in the eigenspace is added. The mean image is added as it is, after "
    "the basis has turned the code into an image."
)
def mean_added_to_the_code(x, mean, basis):
    return basis @ (x + (basis.T @ mean)[:, None])


@mistake("Your images are transposed: one column should be one image, so the shape is (N, M).")
def images_as_rows(x, mean, basis):
    return decode(x, mean, basis).T


@mistake(
    "The mean was not subtracted before coding but was added after decoding, so its part in the eigenspace "
    "is counted twice. The code belongs to W - mean."
)
def energy_with_code_not_centred(W, mean, basis):
    return ((W - mean[:, None] - basis @ (basis.T @ W)) ** 2).sum(axis=0)


@mistake("Your reconstruction lacks the mean image, so its energy is counted as error. Add it back.")
def energy_without_mean_in_reconstruction(W, mean, basis):
    return ((W - basis @ encode(W, mean, basis)) ** 2).sum(axis=0)


@mistake(
    "The mean appears nowhere, neither before coding nor after decoding. A line through 0 is not the line "
    "through the mean: subtract it, and add it back."
)
def energy_without_any_mean(W, mean, basis):
    return ((W - basis @ (basis.T @ W)) ** 2).sum(axis=0)


@mistake("You return the length of the error image. Energy is a square: leave out the square root.")
def length_of_the_error(W, mean, basis):
    return np.sqrt(error_energy(W, mean, basis))


@mistake("You average over the pixels. The energy of an error image is the sum over its pixels.")
def averaged_over_pixels(W, mean, basis):
    return error_energy(W, mean, basis) / len(W)


@mistake("You add up absolute differences. Energy is a sum of squares.")
def sum_of_absolute_differences(W, mean, basis):
    return np.abs(W - decode(encode(W, mean, basis), mean, basis)).sum(axis=0)


@mistake(
    "You add up over the pixels of all images together. Return one value for each image: sum over axis 0."
)
def one_value_for_all_images(W, mean, basis):
    return error_energy(W, mean, basis).sum()


@mistake(
    "You return the mean energy of all images. Return one value for each image: sum over the pixels, axis 0, "
    "and leave the averaging to whoever calls."
)
def mean_energy_of_all_images(W, mean, basis):
    return error_energy(W, mean, basis).mean()


@mistake(
    "You add up over the images. Pixels run along axis 0: the sum over axis 0 leaves one value an image."
)
def one_value_for_each_pixel(W, mean, basis):
    return ((W - decode(encode(W, mean, basis), mean, basis)) ** 2).sum(axis=1)


@mistake(
    "This is the energy of the code, what the eigenspace keeps. The error energy is what it loses: the "
    "energy of W minus its reconstruction."
)
def energy_of_the_code(W, mean, basis):
    return (encode(W, mean, basis) ** 2).sum(axis=0)


def encode_by_einsum(W, mean, basis):
    return np.einsum("nd,nm->dm", basis, W - np.expand_dims(mean, 1))


def encode_image_by_image(W, mean, basis):
    return [[sum(b * (w - m) for b, w, m in zip(d, image, mean)) for image in W.T] for d in basis.T]  # noqa: B905


def encode_by_least_squares(W, mean, basis):
    return np.linalg.lstsq(basis, W - mean.reshape(-1, 1), rcond=None)[0]


def encode_by_difference_of_codes(W, mean, basis):
    return basis.T @ W - (basis.T @ mean)[:, np.newaxis]


def encode_in_torch(W, mean, basis):
    import torch

    W, mean, basis = (torch.as_tensor(a, dtype=torch.float32) for a in (W, mean, basis))
    return basis.T @ (W - mean.unsqueeze(1))


def decode_by_rows(x, mean, basis):
    return (x.T @ basis.T + mean).T


def decode_by_affine_map(x, mean, basis):
    return np.column_stack([basis, mean]) @ np.vstack([x, np.ones(x.shape[1])])


def decode_in_lists(x, mean, basis):
    return np.stack([mean + basis.dot(code) for code in x.T], axis=1).tolist()


def decode_in_torch(x, mean, basis):
    import torch

    x, mean, basis = (torch.from_numpy(a) for a in (x, mean, basis))
    return torch.addmm(mean[:, None], basis, x)


def energy_by_pythagoras(W, mean, basis):
    V = W - mean[:, None]
    return np.sum(V**2, axis=0) - np.sum((basis.T @ V) ** 2, axis=0)


def energy_by_projector(W, mean, basis):
    V = W - mean[:, None]
    return np.diag(V.T @ (np.eye(len(mean)) - basis @ basis.T) @ V)


def energy_by_norm_in_lists(W, mean, basis):
    V = (W.T - mean).T
    return [float(np.linalg.norm(v - basis @ (basis.T @ v))) ** 2 for v in V.T]


def energy_in_torch(W, mean, basis):
    import torch

    W, mean, basis = (torch.tensor(a, dtype=torch.float32) for a in (W, mean, basis))
    V = W - mean[:, None]
    return torch.square(V - basis @ (basis.T @ V)).sum(0)


E2 = Exercise(
    id="E2",
    title="Project, reconstruct, measure the error",
    mirrors="Crowley's lecture, projection and reconstruction (CR6 to CR8)",
    purpose="turn images into codes and back, and see what is lost on the way",
    minutes=25,
    statement="""
Columns are images again. `mean`, shape `(N,)`, and `basis`, shape `(N, D)` with orthonormal columns, are
given; they need not come from the images in `W`. Write three functions; each may use the others.

1. `encode(W, mean, basis)`: the codes of the images in `W`, shape `(D, M)`, one column an image.
   Coefficient $d$ of an image is the scalar product of basis vector $d$ with the difference between the
   image and the mean.
2. `decode(x, mean, basis)`: the images that belong to the codes in `x`, shape `(N, M)`: $\\hat W = \\mu +
   \\sum_d x_d\\,\\varphi_d$.
3. `error_energy(W, mean, basis)`: for each image, the energy $\\varepsilon_R^2 = \\sum_n R(n)^2$ of its
   error image $R = W - \\hat W$, shape `(M,)`.
""",
    functions=(
        Function(
            reference=encode,
            points=1,
            outputs=(Output("x", "(D, M)"),),
            inputs=images_to_code,
            right="Each coefficient is the scalar product of a basis vector with an image minus the mean.",
            hints=(
                "`W - mean[:, None]` subtracts the mean image from every column of W.",
                "All scalar products at once are one matrix product: (D, N) times (N, M) gives (D, M).",
            ),
            mistakes=(code_without_centring, codes_as_rows, projection_instead_of_code, mean_minus_image),
            alternatives=(
                encode_by_einsum,
                encode_image_by_image,
                encode_by_least_squares,
                encode_by_difference_of_codes,
                encode_in_torch,
            ),
        ),
        Function(
            reference=decode,
            points=1,
            outputs=(Output("images", "(N, M)"),),
            inputs=codes_to_decode,
            right="The mean image plus the basis vectors, each as often as its coefficient says.",
            hints=(
                "A sum of basis vectors with coefficients is a matrix product: (N, D) times (D, M) gives "
                "(N, M).",
                "What `encode` subtracted, `decode` adds: the mean image, in every column.",
            ),
            mistakes=(mean_not_added_back, mean_added_to_the_code, images_as_rows),
            alternatives=(decode_by_rows, decode_by_affine_map, decode_in_lists, decode_in_torch),
        ),
        Function(
            reference=error_energy,
            points=2,
            outputs=(Output("energies", "(M,)"),),
            inputs=images_to_code,
            right="What the eigenspace cannot express is left in the error image, and its energy is the "
            "sum of its squares.",
            hints=(
                "The error image is W minus its reconstruction, and the reconstruction is "
                "`decode(encode(...), ...)`.",
                "Square every entry of the error image, then sum over the pixels, which run along axis 0.",
            ),
            mistakes=(
                energy_with_code_not_centred,
                energy_without_mean_in_reconstruction,
                energy_without_any_mean,
                length_of_the_error,
                averaged_over_pixels,
                sum_of_absolute_differences,
                one_value_for_all_images,
                mean_energy_of_all_images,
                one_value_for_each_pixel,
                energy_of_the_code,
            ),
            alternatives=(
                energy_by_pythagoras,
                energy_by_projector,
                energy_by_norm_in_lists,
                energy_in_torch,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
Let `mean` and `basis` come from the training images themselves (E1), with eigenvalues
$\\lambda_1\\ge\\lambda_2\\ge\\dots\\ge\\lambda_N$. Show that the mean error energy over the training set is
the sum of the eigenvalues that were dropped:

$$ \\frac1M\\sum_{m=1}^M \\varepsilon_{R,m}^2 = \\sum_{d=D+1}^N \\lambda_d. $$
""",
        rubric=(
            (
                1,
                "writes the error image of a training image as its components along the dropped eigenvectors",
            ),
            (
                1,
                "uses that the eigenvectors are orthonormal, so that its energy is a sum of squared "
                "components",
            ),
            (2, "recognises the mean of a squared component over the images as an eigenvalue, and says why"),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E4


def frame_rate(D, bytes_per_coef, baud, framing):
    """Return how many codes of D coefficients a line carries in a second."""
    bits_per_byte = 10 if framing else 8
    return baud / (D * bytes_per_coef * bits_per_byte)


def lines(rng):
    """Yield lines with and without start and stop bits."""
    yield 32, 4, 9600, False
    yield 32, 4, 9600, True
    for framing in (True, False, True, False):
        D, bytes_per_coef = int(rng.integers(5, 65)), int(rng.integers(1, 9))
        yield D, bytes_per_coef, int(rng.choice([1200, 14400, 19200, 57600, 115200])), framing


@mistake("You divide bits by bytes. A byte is 8 bits on the line, 10 with a start and a stop bit.")
def bytes_taken_for_bits(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef)


@mistake(
    "Without framing you divide bits by bytes. A byte is 8 bits on the line, 10 with a start and a stop bit."
)
def bytes_taken_for_bits_without_framing(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef * (10 if framing else 1))


@mistake("`framing` changes nothing in your answer. With a start and a stop bit, each byte takes 10 bits.")
def framing_ignored(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef * 8)


@mistake("You count 10 bits a byte in either case. Without framing there are no start and stop bits: 8.")
def always_framed(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef * 10)


@mistake("`framing` acts the wrong way round: 10 bits a byte when it is True, 8 when it is False.")
def framing_reversed(D, bytes_per_coef, baud, framing):
    return frame_rate(D, bytes_per_coef, baud, not framing)


@mistake("You add one bit to each byte. A byte is framed by two: one start bit and one stop bit.")
def nine_bits(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef * (9 if framing else 8))


@mistake(
    "You frame the whole code, not each byte of it. Every byte has a start bit and a stop bit of its own."
)
def one_frame_for_the_whole_code(D, bytes_per_coef, baud, framing):
    return baud / (D * bytes_per_coef * 8 + (2 if framing else 0))


@mistake(
    "You frame each coefficient, not each byte of it. Every byte has a start bit and a stop bit of its own."
)
def one_frame_a_coefficient(D, bytes_per_coef, baud, framing):
    return baud / (D * (bytes_per_coef * 8 + (2 if framing else 0)))


@mistake("You count 120 bytes a code, whatever D is. A code has D coefficients: 32 of 4 bytes are 128 bytes.")
def the_printed_120_bytes(D, bytes_per_coef, baud, framing):
    return baud / (120 * (10 if framing else 8))


@mistake("You return seconds per code. The rate is the reciprocal: codes per second.")
def seconds_for_one_code(D, bytes_per_coef, baud, framing):
    return 1 / frame_rate(D, bytes_per_coef, baud, framing)


@mistake("You round to whole codes. A rate need not be a whole number: use / instead of //.")
def whole_codes_only(D, bytes_per_coef, baud, framing):
    return np.floor(frame_rate(D, bytes_per_coef, baud, framing))


def rate_by_seconds(D, bytes_per_coef, baud, framing):
    seconds = sum((8 + 2 * framing) / baud for _ in range(D * bytes_per_coef))
    return 1 / seconds


def rate_as_fraction(D, bytes_per_coef, baud, framing):
    from fractions import Fraction

    return float(Fraction(baud, D * bytes_per_coef * {False: 8, True: 10}[framing]))


def rate_as_array(D, bytes_per_coef, baud, framing):
    return np.divide(baud, np.prod([D, bytes_per_coef, np.where(framing, 10, 8)]))


def rate_in_torch(D, bytes_per_coef, baud, framing):
    import torch

    return torch.tensor(float(baud)) / (D * bytes_per_coef * (8 + 2 * int(framing)))


def quantise(x, bits, lo, hi):
    """Return the indices (integers) and the values of the levels nearest to x."""
    last = 2**bits - 1
    step = (hi - lo) / last
    indices = np.clip(np.rint((x - lo) / step), 0, last).astype(int)
    return indices, lo + step * indices


def coefficients(rng):
    """Yield coefficients away from the midpoints between levels, some of them outside [lo, hi]."""
    yield np.array([-1.3, -0.9, -0.2, 0.1, 0.6, 2.0]), 2, -1.0, 1.0
    cases = [((9,), 1, 0.5, 2.0), ((4, 6), 3, -4.0, 3.0), ((2, 30), 8, 10.0, 74.0), ((40,), 10, -3.0, -1.0)]
    for shape, bits, lo, hi in cases:
        last = 2**bits - 1
        indices = rng.integers(-3 - last // 4, last + 4 + last // 4, shape)
        indices.flat[:4] = -3, last + 3, 0, last
        beside = rng.uniform(0.1, 0.4, shape) * rng.choice([-1, 1], shape)
        yield lo + (hi - lo) / last * (indices + beside), bits, lo, hi


@mistake(
    "Some indices lie outside 0 ... 2^bits - 1. A new image can have coefficients beyond lo and hi: clip.",
    seen_in="indices",
)
def no_clipping(x, bits, lo, hi):
    step = (hi - lo) / (2**bits - 1)
    indices = np.rint((x - lo) / step).astype(int)
    return indices, lo + step * indices


@mistake(
    "The values are right, the indices lie outside 0 ... 2^bits - 1 where x does. Clip the indices too: "
    "they are what is sent.",
)
def values_clipped_only(x, bits, lo, hi):
    return no_clipping.answer(x, bits, lo, hi)[0], quantise(x, bits, lo, hi)[1]


@mistake(
    "Coefficients beyond the range come back at its other end: the index has overflowed. Clip before you "
    "store it in so few bits.",
    seen_in="indices",
)
def wrapped_round(x, bits, lo, hi):
    indices, _ = no_clipping.answer(x, bits, lo, hi)
    indices = indices % 2**bits
    return indices, lo + indices * (hi - lo) / (2**bits - 1)


@mistake(
    "You always take the level below. The nearest level may lie above: round, do not cut off.",
    seen_in="indices",
)
def level_below(x, bits, lo, hi):
    step = (hi - lo) / (2**bits - 1)
    indices = np.clip(np.floor((x - lo) / step), 0, 2**bits - 1).astype(int)
    return indices, lo + step * indices


@mistake(
    "Your steps are too small: hi is not a level. 2^bits levels with lo and hi among them leave 2^bits - 1 "
    "gaps.",
    seen_in="indices",
)
def hi_is_no_level(x, bits, lo, hi):
    step = (hi - lo) / 2**bits
    indices = np.clip(np.rint((x - lo) / step), 0, 2**bits - 1).astype(int)
    return indices, lo + step * indices


@mistake(
    "You divide the range into 2^bits cells. Here lo and hi are levels themselves, so the first and the "
    "last cell reach only half as far: round (x - lo) / step to the nearest whole number.",
    seen_in="indices",
)
def cells_instead_of_levels(x, bits, lo, hi):
    width = (hi - lo) / 2**bits
    indices = np.clip(np.floor((x - lo) / width), 0, 2**bits - 1).astype(int)
    return indices, lo + width * (indices + 0.5)


@mistake(
    "Your last index is 2^bits - 2. Counted from 0, 2^bits levels end with index 2^bits - 1.",
    seen_in="indices",
)
def one_level_too_few(x, bits, lo, hi):
    last = max(2**bits - 2, 1)
    step = (hi - lo) / last
    indices = np.clip(np.rint((x - lo) / step), 0, last).astype(int)
    return indices, lo + step * indices


@mistake(
    "Your last index is 2^bits: that is one level too many. Counted from 0, 2^bits levels end with 2^bits "
    "- 1.",
    seen_in="indices",
)
def one_level_too_many(x, bits, lo, hi):
    step = (hi - lo) / 2**bits
    indices = np.clip(np.rint((x - lo) / step), 0, 2**bits).astype(int)
    return indices, lo + step * indices


@mistake("The indices are right, the values lack lo: level 0 has the value lo, not 0.")
def values_without_lo(x, bits, lo, hi):
    indices, values = quantise(x, bits, lo, hi)
    return indices, values - lo


@mistake(
    "The indices are right, but your values are x itself, cut at lo and hi. Return the values of the levels."
)
def values_not_quantised(x, bits, lo, hi):
    return quantise(x, bits, lo, hi)[0], np.clip(x, lo, hi)


@mistake("Your indices count from 1. The first level, lo, has index 0.", seen_in="indices")
def counted_from_one(x, bits, lo, hi):
    indices, values = quantise(x, bits, lo, hi)
    return indices + 1, values


@mistake("Your range is taken from x. Use lo and hi as they are given: the receiver knows nothing else.")
def range_taken_from_x(x, bits, lo, hi):
    return quantise(x, bits, x.min(), x.max())


def quantise_by_nearest_level(x, bits, lo, hi):
    levels = np.linspace(lo, hi, 2**bits)
    indices = np.abs(x[..., None] - levels).argmin(axis=-1)
    return indices, levels[indices]


def quantise_by_midpoints(x, bits, lo, hi):
    levels = np.linspace(lo, hi, 2**bits)
    indices = np.digitize(x, (levels[1:] + levels[:-1]) / 2)
    return indices.astype(np.uint16), np.take(levels, indices)


def quantise_clipped_first(x, bits, lo, hi):
    share = (np.minimum(np.maximum(x, lo), hi) - lo) / (hi - lo)
    indices = np.floor(share * (2**bits - 1) + 0.5).astype("int64")
    return indices, (hi * indices + lo * (2**bits - 1 - indices)) / (2**bits - 1)


def quantise_number_by_number(x, bits, lo, hi):
    last = 2**bits - 1
    step = (hi - lo) / last
    flat = [min(max(round((number - lo) / step), 0), last) for number in x.ravel().tolist()]
    indices = np.reshape(flat, x.shape)
    return [indices.tolist(), (lo + indices * step).tolist()]


def quantise_in_torch(x, bits, lo, hi):
    import torch

    step = (hi - lo) / (2**bits - 1)
    indices = ((torch.tensor(x) - lo) / step).round().clamp(0, 2**bits - 1).long()
    return indices, indices * step + lo


E4 = Exercise(
    id="E4",
    title="A codec for faces",
    mirrors="Crowley's lecture, transmission of codes over a line of 9600 baud (CR10)",
    purpose="find out how many codes a slow line carries, and what rounding the coefficients costs",
    minutes=20,
    statement="""
A picture is sent as its code: $D$ coefficients. One baud is one bit per second here.

1. `frame_rate(D, bytes_per_coef, baud, framing)`: how many codes a second the line carries, a number that
   need not be whole. A coefficient takes `bytes_per_coef` bytes. If `framing` is True, every byte travels
   with one start bit and one stop bit.
2. `quantise(x, bits, lo, hi)`: the coefficients in the array `x`, of any shape, rounded to the nearest of
   $2^{\\mathtt{bits}}$ equally spaced levels, of which `lo` is the first and `hi` the last. Return the
   `indices` of the levels, whole numbers from 0 to $2^{\\mathtt{bits}}-1$ (an integer dtype: they are what
   is sent), and their `values`; both have the shape of `x`. Coefficients outside the range go to its
   nearest end.
""",
    functions=(
        Function(
            reference=frame_rate,
            points=1,
            outputs=(Output("rate", "one number"),),
            inputs=lines,
            right="A code is D times bytes_per_coef bytes, and each byte is 8 or 10 bits on the line.",
            hints=(
                "How many bits does one code take on the line? How many bits does the line carry in a "
                "second?",
                "A byte is 8 bits; with a start bit and a stop bit it takes 10.",
            ),
            mistakes=(
                bytes_taken_for_bits,
                bytes_taken_for_bits_without_framing,
                framing_ignored,
                always_framed,
                framing_reversed,
                nine_bits,
                one_frame_for_the_whole_code,
                one_frame_a_coefficient,
                the_printed_120_bytes,
                seconds_for_one_code,
                whole_codes_only,
            ),
            alternatives=(rate_by_seconds, rate_as_fraction, rate_as_array, rate_in_torch),
        ),
        Function(
            reference=quantise,
            points=3,
            outputs=(Output("indices", "the shape of x"), Output("values", "the shape of x")),
            inputs=coefficients,
            right="The levels divide the range into 2^bits - 1 equal steps, and whatever lies outside is "
            "sent as its nearest end.",
            hints=(
                "Between 2^bits levels there are 2^bits - 1 steps. How large is one?",
                "(x - lo) / step counts steps from lo; `np.rint` takes the nearest whole number.",
                "`np.clip(indices, 0, 2**bits - 1)` keeps indices in the range, `.astype(int)` makes them "
                "integers.",
            ),
            mistakes=(
                values_clipped_only,
                no_clipping,
                wrapped_round,
                level_below,
                hi_is_no_level,
                cells_instead_of_levels,
                one_level_too_few,
                one_level_too_many,
                values_without_lo,
                values_not_quantised,
                counted_from_one,
                range_taken_from_x,
            ),
            alternatives=(
                quantise_by_nearest_level,
                quantise_by_midpoints,
                quantise_clipped_first,
                quantise_number_by_number,
                quantise_in_torch,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
A code $x$ is quantised to $\\tilde x$, and both are decoded with the same mean and orthonormal basis. Show
that the energy of the difference between the two images is $\\sum_d (x_d-\\tilde x_d)^2$, and that it is at
most $D\\,s^2/4$ if no coefficient lies outside the range, $s$ being the step between two levels.
""",
        rubric=(
            (1, "subtracts the two reconstructions, so that the mean cancels"),
            (
                1,
                "uses that the basis is orthonormal to replace the energy of the images by that of the codes",
            ),
            (1, "bounds each of the D rounding errors by half a step"),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E17


def pca_loadings(X, standardise=True):
    """Return the loadings (p, p) and the shares (p,) of the components of X (n, p)."""
    Z = X - X.mean(axis=0)
    if standardise:
        Z = Z / X.std(axis=0)
    eigenvalues, vectors = np.linalg.eigh(Z.T @ Z / len(X))
    return vectors[:, ::-1], eigenvalues[::-1] / eigenvalues.sum()


def tables(rng):
    """Yield USArrests and drawn tables whose components all have clearly different shares."""
    arrests = np.asarray(datasets.load("usarrests").x, dtype=float)
    yield (arrests,)
    yield arrests, True
    yield arrests, False
    for n, p, standardise in [(12, 3, True), (30, 5, True), (40, 4, False), (25, 6, True), (9, 2, False)]:
        yield table_with_distinct_shares(rng, n, p), standardise


def table_with_distinct_shares(rng, n, p):
    """Draw correlated columns in different units until every two components differ in share by 2 per cent."""
    while True:
        mixed = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
        X = np.round(mixed * rng.uniform(0.4, 2.5, p) + rng.uniform(2, 9, p), 3)
        if all(np.diff(pca_loadings(X, flag)[1], append=0).max() < -0.02 for flag in (True, False)):
            return X


def components(symmetric):
    """Return eigenvectors and shares, the largest first."""
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    return vectors[:, ::-1], eigenvalues[::-1] / eigenvalues.sum()


@mistake(
    "Your table is never standardised. Columns in different units cannot be compared: the one with the "
    "largest "
    "numbers decides. Divide each centred column by its standard deviation when `standardise` is True.",
    seen_in="shares",
)
def never_standardised(X, standardise=True):
    return pca_loadings(X, False)


@mistake(
    "Your table is always standardised. When `standardise` is False, only subtract the means.",
    seen_in="shares",
)
def always_standardised(X, standardise=True):
    return pca_loadings(X, True)


@mistake(
    "You standardise where you should not and the other way round: is the test on `standardise` reversed?",
    seen_in="shares",
)
def standardised_the_wrong_way_round(X, standardise=True):
    return pca_loadings(X, not standardise)


@mistake(
    "The columns were divided by their variances. Divide by the standard deviations, then every column has "
    "variance 1.",
    seen_in="shares",
)
def divided_by_the_variance(X, standardise=True):
    return components(np.cov(X / (X.var(axis=0) if standardise else 1), rowvar=False))


@mistake(
    "The means were not subtracted. Components describe how the rows differ from their average.",
    seen_in="shares",
)
def not_centred(X, standardise=True):
    Z = X / X.std(axis=0) if standardise else X
    return components(Z.T @ Z)


@mistake(
    "Your shares are those of the singular values, or of standard deviations. A share of variance is an "
    "eigenvalue of the covariance, the *square* of a singular value, divided by their sum.",
    seen_in="shares",
)
def shares_of_singular_values(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings, np.sqrt(shares) / np.sqrt(shares).sum()


@mistake("Your shares are eigenvalues. Divide them by their sum, so that they add up to 1.", seen_in="shares")
def eigenvalues_for_shares(X, standardise=True):
    Z = (X - X.mean(axis=0)) / (X.std(axis=0) if standardise else 1)
    loadings, shares = pca_loadings(X, standardise)
    return loadings, shares * (Z**2).sum() / len(X)


@mistake(
    "Your shares are eigenvalues of a covariance with n - 1. Divide them by their sum, so that they add up "
    "to 1.",
    seen_in="shares",
)
def eigenvalues_with_one_less_for_shares(X, standardise=True):
    loadings, eigenvalues = eigenvalues_for_shares.answer(X, standardise)
    return loadings, eigenvalues * len(X) / (len(X) - 1)


@mistake("Your shares are per cent. Shares add up to 1.", seen_in="shares")
def per_cent(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings, 100 * shares


@mistake("Your shares are cumulated. Return the share of each component alone.", seen_in="shares")
def cumulated_shares(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings, np.cumsum(shares)


@mistake(
    "Your components come in increasing order, as `eigh` returns them. Reverse the shares and the columns "
    "of the "
    "loadings: the largest comes first.",
    seen_in="shares",
)
def smallest_share_first(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings[:, ::-1], shares[::-1]


@mistake(
    "The shares are in decreasing order, but the loadings still in increasing order. Reverse their columns "
    "too.",
    seen_in="loadings",
)
def only_shares_reversed(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings[:, ::-1], shares


@mistake(
    "Your components are rows. The eigenvectors that `eigh` returns are columns, and so should the "
    "loadings be; "
    "`svd` returns them as rows of its last factor, so transpose that.",
    seen_in="loadings",
    same="row signs",
)
def components_as_rows(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return loadings.T, shares


@mistake(
    "The signs within your second column are lost, as in the printed table. Two components must be "
    "perpendicular: "
    "the inner product of columns 1 and 2 should be 0.",
    seen_in="loadings",
)
def signs_lost_in_the_second_column(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return np.column_stack([loadings[:, :1], np.abs(loadings[:, 1]), loadings[:, 2:]]), shares


@mistake(
    "All signs are lost. The sign of a whole column is free, but the signs within a column belong together: "
    "columns must stay perpendicular.",
    seen_in="loadings",
)
def all_signs_lost(X, standardise=True):
    loadings, shares = pca_loadings(X, standardise)
    return np.abs(loadings), shares


@mistake(
    "Your columns are scaled by the square roots of the eigenvalues (some books call that loadings). Here "
    "every "
    "column has length 1.",
    seen_in="loadings",
)
def scaled_by_standard_deviations(X, standardise=True):
    Z = (X - X.mean(axis=0)) / (X.std(axis=0) if standardise else 1)
    loadings, shares = pca_loadings(X, standardise)
    return loadings * np.sqrt(shares * (Z**2).sum() / len(X)), shares


def loadings_by_svd(X, standardise=True):
    Z = X - X.mean(axis=0)
    if standardise:
        Z /= X.std(axis=0, ddof=1)
    _, s, Vt = np.linalg.svd(Z, full_matrices=False)
    return Vt.T, s**2 / np.sum(s**2)


def loadings_by_correlations(X, standardise=True):
    matrix = np.corrcoef(X.T) if standardise else np.cov(X.T)
    eigenvalues, vectors = np.linalg.eigh(-matrix)
    return vectors, eigenvalues / np.trace(-matrix)


def loadings_by_scikit_learn(X, standardise=True):
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    pca = PCA().fit(StandardScaler(with_std=standardise).fit_transform(X))
    return pca.components_.T, pca.explained_variance_ratio_


def loadings_in_torch(X, standardise=True):
    import torch

    Z = torch.tensor(X, dtype=torch.float32)
    Z = (Z - Z.mean(0)) / (Z.std(0) if standardise else 1)
    _, s, Vh = torch.linalg.svd(Z, full_matrices=False)
    return [Vh.mT, s.square() / s.square().sum()]


def loadings_with_a_sign_rule(X, standardise=True):
    loadings, shares = loadings_by_svd(X, standardise)
    signs = np.sign(loadings[np.abs(loadings).argmax(axis=0), range(X.shape[1])])
    return (loadings * signs).tolist(), shares.tolist()


E17 = Exercise(
    id="E17",
    title="Components of a table: USArrests",
    mirrors="Yao's slides, principal components of the USArrests data",
    purpose="see why columns in different units must be standardised, and what of a component is free",
    minutes=20,
    statement="""
USArrests gives, for each of 50 states, the arrests per 100 000 people for murder, assault and rape, and the
percentage of people who live in towns: one **row** a state this time, one column a variable. Write
`pca_loadings(X, standardise=True)` for any table `X` of shape `(n, p)`, $n > p$:

1. subtract from each column its mean; if `standardise` is True, divide it by its standard deviation as
   well;
2. return the `loadings`, shape `(p, p)`: the eigenvectors of the covariance, of length 1, one *column* a
   component, the component with the largest variance first. The sign of each column is up to you;
3. and the `shares`, shape `(p,)`: the part of the total variance that each component has. They add up to 1.

Return `loadings, shares`.
""",
    functions=(
        Function(
            reference=pca_loadings,
            points=3,
            outputs=(Output("loadings", "(p, p)", same="signs"), Output("shares", "(p,)")),
            inputs=tables,
            right="Your loadings are perpendicular columns of length 1, and the shares add up to 1; the "
            "sign of a column "
            "says nothing, so none was demanded.",
            hints=(
                "Rows are samples here, so means and standard deviations run over axis 0.",
                "The eigenvectors of Z.T @ Z are the loadings, whatever factor stands in front; "
                "`np.linalg.eigh` returns them as columns, the smallest eigenvalue first.",
                "A share is an eigenvalue divided by the sum of all eigenvalues. Reverse the shares, and "
                "the columns "
                "of the loadings in the same way.",
            ),
            mistakes=(
                never_standardised,
                always_standardised,
                standardised_the_wrong_way_round,
                divided_by_the_variance,
                not_centred,
                shares_of_singular_values,
                eigenvalues_for_shares,
                eigenvalues_with_one_less_for_shares,
                per_cent,
                cumulated_shares,
                smallest_share_first,
                only_shares_reversed,
                components_as_rows,
                signs_lost_in_the_second_column,
                all_signs_lost,
                scaled_by_standard_deviations,
            ),
            alternatives=(
                loadings_by_svd,
                loadings_by_correlations,
                loadings_by_scikit_learn,
                loadings_in_torch,
                loadings_with_a_sign_rule,
            ),
        ),
    ),
)

SET = ProblemSet(
    name="01_eigenspace_coding",
    title="Eigenspace coding",
    opening="""
Four exercises on [chapter 1](../01_eigenspace_coding.ipynb): you build an eigenspace from images, code and
decode with it, send codes over a slow line, and find the components of a table. Chapter 1 has the
mathematics; all you need here is NumPy, or any other library that you like.
""",
    exercises=(E1, E2, E4, E17),
)
