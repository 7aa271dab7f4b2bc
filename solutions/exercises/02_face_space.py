"""The problem set of chapter 2: faces by their distance from face space, mixtures of Gaussians, Bayes' rule.

E3, E5, E6 follow Crowley's lecture (CR9, CR11-CR13). References are plain NumPy and do not use the library's
`face_space`, so that the two can be compared. Left out: scanning a picture, which chapter 2 does in its own
cells.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# ---------------------------------------------------------------------------------------------------- E3


def dffs(W, mean, basis):
    """Return the distances from face space (M,) of the windows W (N, M)."""
    V = W - mean[:, None]
    return ((V - basis @ (basis.T @ V)) ** 2).sum(axis=0)


def calibrate(energies, detection_rate):
    """Return the threshold tau below which this share of the energies (n,) lies."""
    return np.quantile(energies, detection_rate)


def detect(W, tau, mean, basis):
    """Return for each of the windows W (N, M) whether it is a face: booleans (M,)."""
    return dffs(W, mean, basis) < tau


def learn_threshold(train, held_out, D, detection_rate):
    """Return tau for a face space of D vectors, from faces train (N, M), held_out (N, n)."""
    mean, basis = face_space(train, D)
    return calibrate(dffs(held_out, mean, basis), detection_rate)


def face_space(W, D):
    """Return the mean image and the D leading eigenvectors."""
    mean = W.mean(axis=1)
    return mean, np.linalg.svd(W - mean[:, None])[0][:, :D]


SHAPES = [(5, 7, 2), (4, 4, 4), (6, 3, 1), (25, 10, 8), (9, 1, 3)]  # N, M, D


def windows(rng):
    """Yield windows with a face space: some lie in it; once it has all N vectors, and everything does."""
    basis = np.array([[2.0, -2], [2, 1], [1, 2]]) / 3
    yield np.array([[3.0, 1, 5, 0], [2, 2, 5, 0], [6, 3, 4, 0]]), np.array([1.0, 2, 3]), basis
    for N, M, D in SHAPES:
        mean = np.round(rng.uniform(1, 3, N), 3)
        basis = np.linalg.qr(rng.normal(size=(N, D)))[0]
        W = mean[:, None] + np.round(rng.normal(size=(N, M)), 3)
        W[:, :1] = mean[:, None] + basis @ rng.uniform(1, 2, (D, 1))
        yield W, mean, basis


def knotted(rng, n, rate):
    """Draw n energies of which the four around the threshold are so close that any value between counts."""
    energies = np.sort(rng.gamma(4, size=n)) + np.linspace(1, 3, n)
    k = round(rate * n)
    energies[k - 2 : k + 2] = energies[k - 2] * (1 + 1e-6 * np.arange(4))
    return rng.permutation(energies)


def energies_to_calibrate(rng):
    """Yield energies of faces with a rate; what the words leave open lies within rounding."""
    yield np.array([4.00003, 1, 6, 4, 2.5, 4.00001, 9, 3, 4.00002, 2]), 0.6
    for n, rate in [(20, 0.8), (200, 0.95), (50, 0.5), (123, 0.9), (40, 0.25)]:
        yield knotted(rng, n, rate), rate


def windows_to_judge(rng):
    """Yield faces and others with a threshold; no energy is near it, and codes are long and short."""
    basis = np.array([[2.0], [2], [1]]) / 3
    W = np.array([[3.0, 1, 5, 0, 3], [4, 2, 5, 0, 4], [4, 3, 4, 0, 2]])
    yield W, 3.0, np.array([1.0, 2, 3]), basis
    for N, M, D in [(8, 12, 2), (25, 30, 5), (16, 20, 1), (6, 9, 3)]:
        tau = np.round(rng.uniform(2, 4), 2)
        axes = np.linalg.qr(rng.normal(size=(N, N)))[0]
        mean = np.round(rng.uniform(1, 3, N), 3)
        is_face = np.arange(M) % 2 == 0
        energy = tau * np.where(is_face, rng.uniform(0.1, 0.8, M), rng.uniform(1.3, 2, M))
        energy[1::4] *= 10
        in_space = tau * np.where(np.arange(M) % 3 == 0, rng.uniform(0.1, 0.8, M), rng.uniform(2, 9, M))
        V = axes[:, :D] @ with_lengths(rng, D, in_space) + axes[:, D:] @ with_lengths(rng, N - D, energy)
        yield mean[:, None] + V[:, rng.permutation(M)], tau, mean, axes[:, :D]


def with_lengths(rng, n, energies):
    """Draw columns of n numbers with these energies."""
    columns = rng.normal(size=(n, len(energies)))
    return columns * np.sqrt(energies / (columns**2).sum(axis=0))


def faces_to_learn(rng):
    """Yield training faces, all equally far from their space, and others that lie farther off."""
    for N, M, n, D, rate in [
        (8, 12, 10, 2, 0.6),
        (30, 20, 40, 4, 0.9),
        (16, 60, 50, 5, 0.8),
        (12, 8, 20, 1, 0.7),
    ]:
        axes = np.linalg.qr(rng.normal(size=(N, N)))[0]
        mean = rng.uniform(1, 3, (N, 1))
        codes = rng.normal(size=(D, M // 2))
        codes = 3 * np.linalg.qr((codes - codes.mean(axis=1, keepdims=True)).T)[0].T * np.sqrt(M // 2)
        rest = with_lengths(rng, N - D, np.ones(M // 2))
        train = mean + axes @ np.block([[codes, codes], [rest, -rest]])
        energies = 2 * knotted(rng, n, rate)
        others = np.concatenate([3 * rng.normal(size=(D, n)), with_lengths(rng, N - D, energies)])
        yield train[:, rng.permutation(2 * (M // 2))], mean + axes @ others, D, rate


@mistake(
    "This is the energy of the code: how far a window is from the mean *within* face space. What counts is "
    "the distance *from* face space, the energy of what the basis cannot express."
)
def energy_of_the_code(W, mean, basis):
    return ((basis.T @ (W - mean[:, None])) ** 2).sum(axis=0)


@mistake(
    "This is the distance from the mean face. Subtract from W - mean what the basis can express of it: only "
    "the rest counts."
)
def distance_from_the_mean(W, mean, basis):
    return ((W - mean[:, None]) ** 2).sum(axis=0)


@mistake(
    "The mean was not subtracted before coding but was added after decoding, so its part in face space is "
    "counted twice. The code belongs to W - mean."
)
def code_not_centred(W, mean, basis):
    return ((W - mean[:, None] - basis @ (basis.T @ W)) ** 2).sum(axis=0)


@mistake(
    "The mean appears nowhere. Face space does not pass through 0: it passes through the mean face. Subtract "
    "it from every window first."
)
def no_mean(W, mean, basis):
    return ((W - basis @ (basis.T @ W)) ** 2).sum(axis=0)


@mistake("You return the length of the error image. Here the distance is its energy: no square root.")
def length_of_the_error(W, mean, basis):
    return np.sqrt(dffs(W, mean, basis))


@mistake("You average over the pixels. The energy of an error image is the sum over its pixels.")
def averaged_over_pixels(W, mean, basis):
    return dffs(W, mean, basis) / len(W)


@mistake("You add up over all windows. Return one value for each window: sum over the pixels, axis 0.")
def one_value_for_all_windows(W, mean, basis):
    return dffs(W, mean, basis).sum()


def dffs_by_pythagoras(W, mean, basis):
    V = W - mean[:, np.newaxis]
    return np.einsum("nm,nm->m", V, V) - np.einsum("nm,nd,kd,km->m", V, basis, basis, V)


def dffs_window_by_window(W, mean, basis):
    distances = []
    for window in W.T:
        rest = window - mean
        for phi in basis.T:
            rest = rest - (phi @ rest) * phi
        distances.append(sum(pixel**2 for pixel in rest))
    return distances


def dffs_by_least_squares(W, mean, basis):
    V = W - mean.reshape(-1, 1)
    x = np.linalg.lstsq(basis, V, rcond=None)[0]
    return np.linalg.norm(V - basis @ x, axis=0) ** 2


def dffs_in_torch(W, mean, basis):
    import torch

    W, mean, basis = (torch.tensor(a, dtype=torch.float32) for a in (W, mean, basis))
    V = W - mean[:, None]
    return (V - basis @ (basis.T @ V)).square().sum(dim=0)


@mistake(
    "Below your threshold lies the share that should lie above it. Faces have *small* distances: tau must "
    "be larger than most of them."
)
def shares_exchanged(energies, detection_rate):
    return np.quantile(energies, 1 - detection_rate)


@mistake(
    "The rate is a share, 0.95 for 95 %. `np.percentile` counts from 0 to 100: use `np.quantile`, or "
    "multiply the rate by 100."
)
def rate_taken_for_percent(energies, detection_rate):
    return np.percentile(energies, detection_rate)


@mistake(
    "Your threshold lets every face pass, whatever the rate. Sort the energies and stop at the share asked."
)
def largest_energy(energies, detection_rate):
    return energies.max()


@mistake(
    "You take a share of the largest *energy*. The rate is a share of the *faces*: sort the energies and "
    "count them."
)
def share_of_the_largest_energy(energies, detection_rate):
    return detection_rate * energies.max()


@mistake(
    "You take the energies in the order in which they come. Sort them first: then the share below the k-th "
    "is k / n."
)
def not_sorted(energies, detection_rate):
    return energies[int(detection_rate * len(energies))]


@mistake(
    "You take the energies to be normally distributed. They are sums of squares and are not; no law is "
    "needed: sort them and count."
)
def as_if_normal(energies, detection_rate):
    from scipy.stats import norm

    return energies.mean() + norm.ppf(detection_rate) * energies.std()


@mistake("Your threshold does not depend on the rate: half of the faces lie below it. Use `detection_rate`.")
def median(energies, detection_rate):
    return np.median(energies)


def k_th_smallest(energies, detection_rate):
    return sorted(energies.tolist())[int(np.ceil(detection_rate * len(energies))) - 1]


def next_one(energies, detection_rate):
    k = int(np.ceil(round(detection_rate * len(energies), 9)))
    return np.partition(energies, k)[k]


def halfway(energies, detection_rate):
    k = round(detection_rate * len(energies))
    return np.sort(energies)[k - 1 : k + 1].mean()


def by_bisection(energies, detection_rate):
    low, high = 0.0, 2 * max(energies)
    for _ in range(60):
        tau = (low + high) / 2
        low, high = (low, tau) if np.mean(energies < tau) >= detection_rate else (tau, high)
    return high


def tau_in_torch(energies, detection_rate):
    import torch

    return torch.quantile(torch.tensor(energies), detection_rate)


@mistake("The inequality is reversed. A small distance means face: compare with <.")
def reversed_inequality(W, tau, mean, basis):
    return dffs(W, mean, basis) > tau


@mistake(
    "You judge by the energy of the code, which says where *in* face space a window lies. Judge by the "
    "distance *from* face space: by what the basis cannot express."
)
def judged_by_the_code(W, tau, mean, basis):
    return energy_of_the_code.answer(W, mean, basis) < tau


@mistake("You judge by the distance from the mean face. Take away what the basis can express first.")
def judged_by_the_mean(W, tau, mean, basis):
    return distance_from_the_mean.answer(W, mean, basis) < tau


@mistake("You compare the *length* of the error image with tau. Here tau is an energy: leave out the root.")
def length_compared(W, tau, mean, basis):
    return np.sqrt(dffs(W, mean, basis)) < tau


@mistake("You compare the mean over the pixels with tau. The energy is their sum.")
def mean_compared(W, tau, mean, basis):
    return dffs(W, mean, basis) / len(W) < tau


@mistake("You return the numbers of the windows that are faces. Return True or False for every window.")
def numbers_of_the_faces(W, tau, mean, basis):
    return np.flatnonzero(dffs(W, mean, basis) < tau)


@mistake("You return one verdict for all windows together. Return True or False for every window.")
def one_verdict(W, tau, mean, basis):
    return (dffs(W, mean, basis) < tau).all()


def detect_by_sign(W, tau, mean, basis):
    return np.sign(dffs_by_pythagoras(W, mean, basis) - tau) < 0


def detect_in_lists(W, tau, mean, basis):
    return [bool(distance < tau) for distance in dffs_window_by_window(W, mean, basis)]


def detect_in_torch(W, tau, mean, basis):
    return dffs_in_torch(W, mean, basis).lt(tau)


@mistake(
    "Your threshold comes from the training faces. Face space was fitted to them, so their energies are too "
    "small, and many new faces would be refused. Set tau on the held-out faces."
)
def calibrated_on_training_faces(train, held_out, D, detection_rate):
    return calibrate(dffs(train, *face_space(train, D)), detection_rate)


@mistake(
    "Your energies are all zero: you keep all N vectors, with which *any* window is expressed, face or not. "
    "Such a distance says nothing. Keep the D leading ones."
)
def all_vectors(train, held_out, D, detection_rate):
    return calibrate(dffs(held_out, *face_space(train, len(train))), detection_rate)


@mistake(
    "The held-out faces have helped to make face space, so their energies are too small, like those of the "
    "training faces. Learn mean and basis from `train` alone."
)
def held_out_faces_learnt_too(train, held_out, D, detection_rate):
    together = np.concatenate([train, held_out], axis=1)
    return calibrate(dffs(held_out, *face_space(together, D)), detection_rate)


@mistake("Face space was learnt from the held-out faces. Learn it from `train`, and measure on `held_out`.")
def learnt_from_held_out_faces(train, held_out, D, detection_rate):
    return calibrate(dffs(held_out, *face_space(held_out, D)), detection_rate)


@mistake(
    "You measure the training and the held-out faces together. The training faces lie too near; leave them "
    "out of the calibration."
)
def calibrated_on_all(train, held_out, D, detection_rate):
    mean, basis = face_space(train, D)
    return calibrate(dffs(np.concatenate([train, held_out], axis=1), mean, basis), detection_rate)


@mistake(
    "The held-out faces were centred by their own mean. Face space has one mean, that of the training faces: "
    "subtract it from every window, old or new."
)
def held_out_faces_centred_by_themselves(train, held_out, D, detection_rate):
    _, basis = face_space(train, D)
    return calibrate(dffs(held_out, held_out.mean(axis=1), basis), detection_rate)


@mistake(
    "You keep the D *last* eigenvectors. `eigh` sorts in increasing order: take the last columns, or reverse "
    "them first."
)
def last_vectors(train, held_out, D, detection_rate):
    mean, basis = face_space(train, len(train))
    return calibrate(dffs(held_out, mean, basis[:, ::-1][:, :D]), detection_rate)


def threshold_by_eigh(train, held_out, D, detection_rate):
    mean = train.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.cov(train))
    basis = vectors[:, -D:]
    R = (np.eye(len(train)) - basis @ basis.T) @ (held_out - mean)
    return np.sort((R * R).sum(axis=0))[round(detection_rate * held_out.shape[1])]


def threshold_by_the_small_matrix(train, held_out, D, detection_rate):
    mean = train.mean(axis=1)
    V = train - mean[:, None]
    basis = V @ np.linalg.eigh(V.T @ V)[1][:, ::-1][:, :D]
    return k_th_smallest(dffs_by_pythagoras(held_out, mean, np.linalg.qr(basis)[0]), detection_rate)


def threshold_by_scikit_learn(train, held_out, D, detection_rate):
    from sklearn.decomposition import PCA

    pca = PCA(D, svd_solver="full").fit(train.T)
    errors = held_out.T - pca.inverse_transform(pca.transform(held_out.T))
    return np.percentile((errors**2).sum(axis=1), 100 * detection_rate, method="higher")


E3 = Exercise(
    id="E3",
    title="Detection by distance from face space",
    mirrors="Crowley's lecture, detection by a threshold on the error energy (CR9)",
    purpose="take windows for faces by their distance from face space, and set the threshold honestly",
    minutes=30,
    statement="""
As in problem set 1 the **columns** of `W` are windows, shape `(N, M)`: $N$ pixels, $M$ windows. (Chapter 2
and the library keep one window in each *row*. They also bring windows to a standard light first; here that
is done already.) A face space is a `mean`, shape `(N,)`, and a `basis`, shape `(N, D)`, with orthonormal
columns. Write four functions; each may use the others.

1. `dffs(W, mean, basis)`: for each window the distance from face space, which is the energy of its error
   image, $\\varepsilon_R^2 = \\lVert W-\\hat W\\rVert^2$ with $\\hat W = \\mu + \\varphi\\varphi^{\\mathsf T}
   (W-\\mu)$; shape `(M,)`.
2. `calibrate(energies, detection_rate)`: a threshold $\\tau$ such that this share of the `energies`, shape
   `(n,)`, lies below it, up to $\\frac1n$. The rate lies between 0 and 1, both excluded. (Many numbers do.
   In the checks the energies next to $\\tau$ are so close together that all of them count as right.)
3. `detect(W, tau, mean, basis)`: for each window True if it is taken for a face, $\\varepsilon_R^2<\\tau$,
   else False; shape `(M,)`.
4. `learn_threshold(train, held_out, D, detection_rate)`: the $\\tau$ of a detector. Both `train`, shape
   `(N, M)`, and `held_out`, shape `(N, n)`, show faces. The mean and the $D$ leading eigenvectors of the
   covariance are learnt as in E1, and $\\tau$ is to be such that *new* faces, in neither set, are detected
   at about the rate asked. You decide what each set is for.
""",
    functions=(
        Function(
            reference=dffs,
            points=1,
            outputs=(Output("distances", "(M,)"),),
            inputs=windows,
            right="What face space cannot express of a window is its distance. With as many vectors as "
            "pixels it is 0 for everything: such a face space finds faces everywhere.",
            hints=(
                "`V = W - mean[:, None]` is what has to be expressed; `basis @ (basis.T @ V)` is what face "
                "space can express of it.",
                "Square every entry of the difference, then sum over the pixels, which run along axis 0.",
            ),
            mistakes=(
                energy_of_the_code,
                distance_from_the_mean,
                code_not_centred,
                no_mean,
                length_of_the_error,
                averaged_over_pixels,
                one_value_for_all_windows,
            ),
            alternatives=(dffs_by_pythagoras, dffs_window_by_window, dffs_by_least_squares, dffs_in_torch),
        ),
        Function(
            reference=calibrate,
            points=1,
            outputs=(Output("tau", "a number"),),
            inputs=energies_to_calibrate,
            right="The share of energies below your threshold is the rate, and nothing was assumed about "
            "their law.",
            hints=(
                "Sort the energies. How many of them must lie below tau?",
                "A number below which a given share of numbers lies is called a quantile; NumPy has a "
                "function of that name.",
            ),
            mistakes=(
                shares_exchanged,
                rate_taken_for_percent,
                largest_energy,
                share_of_the_largest_energy,
                not_sorted,
                as_if_normal,
                median,
            ),
            alternatives=(k_th_smallest, next_one, halfway, by_bisection, tau_in_torch),
        ),
        Function(
            reference=detect,
            points=1,
            outputs=(Output("faces", "(M,)"),),
            inputs=windows_to_judge,
            right="Small distance, face; and a window far from the mean can still be a face.",
            hints=(
                "Call `dffs`. A comparison of an array with a number gives an array of booleans.",
                "Which side of tau are the faces on? They are what face space expresses well.",
            ),
            mistakes=(
                reversed_inequality,
                judged_by_the_code,
                judged_by_the_mean,
                length_compared,
                mean_compared,
                numbers_of_the_faces,
                one_verdict,
            ),
            alternatives=(detect_by_sign, detect_in_lists, detect_in_torch),
        ),
        Function(
            reference=learn_threshold,
            points=2,
            outputs=(Output("tau", "a number"),),
            inputs=faces_to_learn,
            right="One set makes face space, the other, which face space has never seen, sets the threshold.",
            hints=(
                "Mean and basis come from one set: `eigenspace_fit` of problem set 1, or the first D left "
                "singular vectors of the centred windows.",
                "Which of the two sets tells how far a *new* face will lie? Give its distances to "
                "`calibrate`.",
            ),
            mistakes=(
                calibrated_on_training_faces,
                all_vectors,
                held_out_faces_learnt_too,
                learnt_from_held_out_faces,
                calibrated_on_all,
                held_out_faces_centred_by_themselves,
                last_vectors,
            ),
            alternatives=(threshold_by_eigh, threshold_by_the_small_matrix, threshold_by_scikit_learn),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E5


def gmm_logpdf(X, weights, means, covs):
    """Return the log densities (M,) of the points X (M, D), in nats."""
    return log_of_sum(log_terms(X, weights, means, covs))


def em_step(X, weights, means, covs):
    """Return weights (I,), means (I, D), covs (I, D, D) after an EM step on X (M, D)."""
    return moments(X, responsibilities(log_terms(X, weights, means, covs)))


def log_terms(X, weights, means, covs, root=0.5, pi_power=None, half=0.5):
    """Return ln a_i N(x_m; mu_i, Sigma_i), shape (M, I); the options are exponents to get wrong."""
    pi_power = X.shape[1] / 2 if pi_power is None else pi_power
    columns = []
    for weight, mean, cov in zip(weights, means, covs, strict=True):
        d = X - mean
        squared = (d @ np.linalg.inv(cov) * d).sum(axis=1)
        log_det = np.linalg.slogdet(cov)[1]
        columns.append(np.log(weight) - pi_power * np.log(2 * np.pi) - root * log_det - half * squared)
    return np.stack(columns, axis=1)


def log_of_sum(terms):
    """Return ln sum_i e^(terms[:, i]), the largest taken out first."""
    largest = terms.max(axis=1)
    return largest + np.log(np.exp(terms - largest[:, None]).sum(axis=1))


def responsibilities(terms):
    """Return the probabilities (M, I) that a component made a point."""
    return np.exp(terms - log_of_sum(terms)[:, None])


def moments(X, r):
    """Return weights, means and covariances of points weighted by r (M, I)."""
    share = r.sum(axis=0)
    means = r.T @ X / share[:, None]
    covs = [(r[:, i] * (X - mean).T) @ (X - mean) / share[i] for i, mean in enumerate(means)]
    return share / len(X), means, np.array(covs)


def example():
    """Return the mixture with which the exercise begins."""
    return (
        np.array([0.3, 0.7]),
        np.array([[0.0, 0], [2, 1]]),
        np.array([[[1, 0.5], [0.5, 2]], [[0.5, 0], [0, 0.25]]]),
    )


def mixture(rng, components, D):
    """Draw a mixture whose covariances are not diagonal and not small."""
    weights = rng.dirichlet(np.full(components, 4.0)) if components > 1 else np.ones(1)
    A = rng.normal(size=(components, D, D))
    covs = 0.8 * A @ A.transpose(0, 2, 1) + 0.4 * np.eye(D)
    return weights, np.round(1.5 * rng.normal(size=(components, D)), 3), covs


def points_and_mixtures(rng):
    """Yield points with mixtures; the second are so far away that every density is 0 in floating point."""
    yield np.array([[1.0, 0.5]]), *example()
    yield np.array([[60.0, 60], [-50, 80]]), *example()
    for M, components, D in [(5, 1, 1), (8, 2, 1), (6, 3, 2), (12, 4, 3), (7, 2, 5)]:
        yield np.round(2 * rng.normal(size=(M, D)), 3), *mixture(rng, components, D)


def points_to_fit(rng):
    """Yield points with the mixture before the step; once a point is far from all components."""
    yield (
        np.array([[0.0], [1], [4], [6]]),
        np.array([0.25, 0.75]),
        np.array([[1.0], [4]]),
        np.array([[[1.0]], [[4]]]),
    )
    yield np.array([[0.0, 1], [2, 0], [1, 2], [3, 1], [60, 60]]), *example()
    for M, components, D in [(9, 1, 2), (30, 2, 1), (40, 3, 2), (60, 4, 3)]:
        X = rng.normal(size=(M, D)) + 2 * rng.integers(-1, 2, size=(M, 1))
        yield np.round(X, 3), *mixture(rng, components, D)


@mistake(
    "The determinant stands without its square root. In the density it has the power -1/2: in the logarithm, "
    "half the log determinant is subtracted."
)
def determinant_without_root(X, weights, means, covs):
    return log_of_sum(log_terms(X, weights, means, covs, root=1))


@mistake(
    "You use the factor (2 pi)^(-1/2) of one dimension. In D dimensions it is (2 pi)^(-D/2): subtract D/2 "
    "times ln(2 pi)."
)
def factor_of_one_dimension(X, weights, means, covs):
    return log_of_sum(log_terms(X, weights, means, covs, pi_power=0.5))


@mistake(
    "The factor 1/2 in the exponent is missing. Check in one dimension: the exponent is "
    "-(x - mu)^2 / (2 sigma^2)."
)
def no_half_in_the_exponent(X, weights, means, covs):
    return log_of_sum(log_terms(X, weights, means, covs, half=1))


@mistake(
    "The weights are missing: you add up the densities of the components as they are. The weights sum to 1, "
    "so that the mixture is a density."
)
def weights_missing(X, weights, means, covs):
    return log_of_sum(log_terms(X, np.ones_like(weights), means, covs))


@mistake("You average the densities of the components as if all weights were equal. Use `weights`.")
def equal_weights(X, weights, means, covs):
    return log_of_sum(log_terms(X, np.full_like(weights, 1 / len(weights)), means, covs))


@mistake(
    "Far from all components every density underflows to 0, and ln 0 is -inf. Stay with logarithms: subtract "
    "the largest term before you take exponentials, and add it again after the logarithm."
)
def log_of_a_sum_of_exponentials(X, weights, means, covs):
    with np.errstate(divide="ignore"):
        return np.log(np.exp(log_terms(X, weights, means, covs)).sum(axis=1))


@mistake(
    "This is the density. Its logarithm is asked for: it says something even where the density is 0 in "
    "floating point."
)
def density(X, weights, means, covs):
    return np.exp(gmm_logpdf(X, weights, means, covs))


@mistake(
    "You add up weighted *log* densities. The mixture is a sum of densities, and the logarithm of a sum is "
    "not the sum of the logarithms: it comes last."
)
def mean_of_log_densities(X, weights, means, covs):
    return (log_terms(X, np.ones_like(weights), means, covs) * weights).sum(axis=1)


@mistake("You keep the largest component only. The others count, too: add up all of them.")
def largest_component(X, weights, means, covs):
    return log_terms(X, weights, means, covs).max(axis=1)


@mistake(
    "You multiply by the covariance itself. The exponent has its inverse: a direction with a large variance "
    "makes a given distance *less* unusual."
)
def covariance_not_inverted(X, weights, means, covs):
    columns = log_terms(X, weights, means, covs, half=0)
    quadratic = [((X - mean) @ cov * (X - mean)).sum(axis=1) for mean, cov in zip(means, covs, strict=True)]
    return log_of_sum(columns - 0.5 * np.stack(quadratic, axis=1))


@mistake(
    "You use the variances only. The covariances off the diagonal count as well, in the determinant and in "
    "the inverse."
)
def variances_only(X, weights, means, covs):
    return gmm_logpdf(X, weights, means, covs * np.eye(X.shape[1]))


@mistake("You add up over the points. Return the log density of each point, shape (M,).")
def sum_over_the_points(X, weights, means, covs):
    return gmm_logpdf(X, weights, means, covs).sum()


def logpdf_by_scipy(X, weights, means, covs):
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    logs = [np.atleast_1d(multivariate_normal(m, S).logpdf(X)) for m, S in zip(means, covs, strict=True)]
    return logsumexp(logs, axis=0, b=weights[:, None])


def logpdf_by_cholesky_and_einsum(X, weights, means, covs):
    L = np.linalg.cholesky(covs)  # (I, D, D)
    d = np.einsum("ide,mie->mid", np.linalg.inv(L), X[:, None] - means)
    log_det = np.log(np.einsum("idd->id", L)).sum(axis=1)
    terms = np.log(weights) - log_det - 0.5 * (d**2).sum(axis=2) - X.shape[1] / 2 * np.log(2 * np.pi)
    return np.logaddexp.reduce(terms, axis=1)


def logpdf_point_by_point(X, weights, means, covs):
    logs = []
    for x in X:
        total = -np.inf
        for weight, mean, cov in zip(weights, means, covs, strict=True):
            exponent = -0.5 * (x - mean) @ np.linalg.solve(cov, x - mean)
            factor = weight / np.sqrt((2 * np.pi) ** len(x) * np.linalg.det(cov))
            total = np.logaddexp(total, np.log(factor) + exponent)
        logs.append(float(total))
    return logs


def logpdf_in_torch(X, weights, means, covs):
    import torch
    from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

    X, weights, means, covs = (torch.tensor(a) for a in (X, weights, means, covs))
    return MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covs)).log_prob(X)


@mistake(
    "Your responsibilities ignore the weights. A component that makes many points is more probable to have "
    "made this one: multiply its density by its weight before you normalise.",
)
def weights_ignored(X, weights, means, covs):
    return moments(X, responsibilities(log_terms(X, np.ones_like(weights), means, covs)))


@mistake(
    "You give each point to its most probable component. That is K-means in disguise; in EM a point counts "
    "in every component, by the probability that the component made it."
)
def hard_assignments(X, weights, means, covs):
    terms = log_terms(X, weights, means, covs)
    r = np.eye(terms.shape[1])[terms.argmax(axis=1)]
    with np.errstate(all="ignore"):
        return moments(X, r)


@mistake(
    "Your responsibilities are normalised over the points. For each *point* they must sum to 1 over the "
    "components: the point was made by one of them."
)
def normalised_over_points(X, weights, means, covs):
    return moments(X, responsibilities(log_terms(X, weights, means, covs).T).T)


@mistake(
    "Your covariances are taken around the old means. Compute the new means first and subtract those: "
    "only then is the likelihood raised as far as it can be.",
    seen_in="covs",
)
def around_the_old_means(X, weights, means, covs):
    r = responsibilities(log_terms(X, weights, means, covs))
    around = [(r[:, i] * (X - mean).T) @ (X - mean) / r[:, i].sum() for i, mean in enumerate(means)]
    return *moments(X, r)[:2], np.array(around)


@mistake(
    "Your new weights are sums of responsibilities. Divide by the number of points: weights sum to 1.",
    seen_in="weights",
)
def weights_not_divided(X, weights, means, covs):
    share, means, covs = em_step(X, weights, means, covs)
    return share * len(X), means, covs


@mistake(
    "Your means are divided by the number of all points. Divide each by the sum of its responsibilities: "
    "they are the weights of the average.",
    seen_in="means",
)
def means_divided_by_all(X, weights, means, covs):
    share, means, covs = em_step(X, weights, means, covs)
    return share, means * share[:, None], covs


@mistake(
    "Your covariances are divided by the number of all points. Divide each by the sum of its "
    "responsibilities.",
    seen_in="covs",
)
def covariances_divided_by_all(X, weights, means, covs):
    share, means, covs = em_step(X, weights, means, covs)
    return share, means, covs * share[:, None, None]


@mistake(
    "Your covariances are divided by the sum of the responsibilities minus 1. EM maximises the likelihood, "
    "and for that the divisor is the sum itself.",
    seen_in="covs",
)
def divided_by_one_less(X, weights, means, covs):
    share, means, covs = em_step(X, weights, means, covs)
    n = (share * len(X))[:, None, None]
    return share, means, covs * n / (n - 1)


@mistake(
    "Only the variances are new; off the diagonal your covariances are 0. Average the products of all pairs "
    "of coordinates.",
    seen_in="covs",
)
def diagonal_covariances(X, weights, means, covs):
    share, means, covs = em_step(X, weights, means, covs)
    return share, means, covs * np.eye(X.shape[1])


@mistake(
    "Your weights are the old ones. A new weight is the mean responsibility of its component.",
    seen_in="weights",
)
def weights_unchanged(X, weights, means, covs):
    return weights, *em_step(X, weights, means, covs)[1:]


@mistake(
    "Where a point is far from all components, its densities underflow and its responsibilities are 0 / 0. "
    "Subtract the largest log density of the point before you take exponentials."
)
def underflow(X, weights, means, covs):
    r = np.exp(log_terms(X, weights, means, covs))
    with np.errstate(invalid="ignore"):
        return moments(X, r / r.sum(axis=1, keepdims=True))


def em_by_numpy_average(X, weights, means, covs):
    r = np.exp(log_terms(X, weights, means, covs) - logpdf_by_scipy(X, weights, means, covs)[:, None])
    new_means = [np.average(X, axis=0, weights=column) for column in r.T]
    new_covs = [np.atleast_2d(np.cov(X.T, aweights=column, bias=True)) for column in r.T]
    return r.mean(axis=0), new_means, new_covs


def em_by_einsum(X, weights, means, covs):
    r = responsibilities(log_terms(X, weights, means, covs))
    share = np.einsum("mi->i", r)
    means = np.einsum("mi,md->id", r, X) / share[:, None]
    second = np.einsum("mi,md,me->ide", r, X, X) / share[:, None, None]
    return share / len(X), means, second - np.einsum("id,ie->ide", means, means)


def em_point_by_point(X, weights, means, covs):
    M, components, D = len(X), len(weights), X.shape[1]
    totals, firsts = np.zeros(components), np.zeros((components, D))
    seconds, r = np.zeros((components, D, D)), []
    for x in X:
        logs = log_terms(x[None], weights, means, covs)[0]
        logs = np.exp(logs - logs.max())
        r.append(logs / logs.sum())
        for i in range(components):
            totals[i] += r[-1][i]
            firsts[i] += r[-1][i] * x
    for i in range(components):
        firsts[i] /= totals[i]
        for m in range(M):
            seconds[i] += r[m][i] * np.outer(X[m] - firsts[i], X[m] - firsts[i]) / totals[i]
    return totals / M, firsts, seconds


def em_in_torch(X, weights, means, covs):
    import torch
    from torch.distributions import MultivariateNormal

    X, weights, means, covs = (torch.tensor(a) for a in (X, weights, means, covs))
    terms = weights.log() + MultivariateNormal(means, covs).log_prob(X[:, None])
    r = terms.softmax(dim=1)
    means = (r.T @ X) / r.sum(0)[:, None]
    V = X - means[:, None]
    return r.mean(0), means, V.mT @ (r.T[:, :, None] * V) / r.sum(0)[:, None, None]


E5 = Exercise(
    id="E5",
    title="Mixtures of Gaussians",
    mirrors="Crowley's lecture, the mixture density and its estimation (CR11, CR13)",
    purpose="give codes a probability density, and fit it to them",
    minutes=40,
    statement="""
Points are rows here: `X` has shape `(M, D)`. A mixture of $I$ Gaussians has the density

$$ p(x)=\\sum_{i=1}^I\\alpha_i\\,\\mathcal N(x;\\mu_i,\\Sigma_i),\\qquad
\\mathcal N(x;\\mu,\\Sigma)=(2\\pi)^{-D/2}(\\det\\Sigma)^{-1/2}
e^{-\\frac12(x-\\mu)^{\\mathsf T}\\Sigma^{-1}(x-\\mu)} $$

with `weights` $\\alpha$, shape `(I,)`, positive and with sum 1; `means`, shape `(I, D)`; and `covs`, shape
`(I, D, D)`, symmetric and positive definite. Write two functions; each may use what you define beside it.

1. `gmm_logpdf(X, weights, means, covs)`: the natural logarithm of $p$ at each point, shape `(M,)`. Points may
   lie so far away that every Gaussian is 0 in floating point; the logarithm is finite even there.
2. `em_step(X, weights, means, covs)`: one step of the EM algorithm. First the responsibilities

   $$ r_{mi}=\\frac{\\alpha_i\\,\\mathcal N(x_m;\\mu_i,\\Sigma_i)}
   {\\sum_{j=1}^I\\alpha_j\\,\\mathcal N(x_m;\\mu_j,\\Sigma_j)}, $$

   the probability that component $i$ made point $m$. Then the new weight of a component is its mean
   responsibility, and its new mean and covariance are those of the points, each weighted by its
   responsibility. The covariance is taken around the *new* mean. Return `weights, means, covs` in the shapes
   above.
""",
    functions=(
        Function(
            reference=gmm_logpdf,
            points=3,
            outputs=(Output("log densities", "(M,)"),),
            inputs=points_and_mixtures,
            right="The weighted densities of all components are added up, and the logarithm is right even "
            "where all of them underflow.",
            hints=(
                "Write the logarithm of one weighted component as a sum of four terms: ln weight, minus D/2 "
                "ln(2 pi), minus half the log determinant (`np.linalg.slogdet`), minus half the quadratic "
                "form.",
                "For all points at once the quadratic form is `((X - mean) @ np.linalg.inv(cov) * (X - mean))"
                ".sum(axis=1)`.",
                "The logarithm of a sum of exponentials: with t the largest exponent, it is t plus the "
                "logarithm of the sum of exp(exponent - t). `scipy.special.logsumexp` does the same.",
            ),
            mistakes=(
                determinant_without_root,
                factor_of_one_dimension,
                no_half_in_the_exponent,
                weights_missing,
                equal_weights,
                log_of_a_sum_of_exponentials,
                density,
                mean_of_log_densities,
                largest_component,
                covariance_not_inverted,
                variances_only,
                sum_over_the_points,
            ),
            alternatives=(
                logpdf_by_scipy,
                logpdf_by_cholesky_and_einsum,
                logpdf_point_by_point,
                logpdf_in_torch,
            ),
        ),
        Function(
            reference=em_step,
            points=3,
            outputs=(
                Output("weights", "(I,)"),
                Output("means", "(I, D)"),
                Output("covs", "(I, D, D)"),
            ),
            inputs=points_to_fit,
            right="Responsibilities sum to 1 for each point, and weights, means and covariances are moments "
            "weighted by them: the likelihood of the points cannot have decreased.",
            hints=(
                "The logarithms of numerator and denominator are at hand: the terms of `gmm_logpdf` and its "
                "result. Subtract them, then take the exponential.",
                "With `r` of shape (M, I), `share = r.sum(axis=0)` is how many points a component has made. "
                "The new weights are `share / len(X)`, the new means `r.T @ X / share[:, None]`.",
                "With `V = X - means[i]`, means being the new ones, the covariance of component i is "
                "`(r[:, i] * V.T) @ V / share[i]`.",
            ),
            mistakes=(
                weights_ignored,
                hard_assignments,
                normalised_over_points,
                around_the_old_means,
                weights_not_divided,
                means_divided_by_all,
                covariances_divided_by_all,
                divided_by_one_less,
                diagonal_covariances,
                weights_unchanged,
                underflow,
            ),
            alternatives=(em_by_numpy_average, em_by_einsum, em_point_by_point, em_in_torch),
        ),
    ),
    derivation=Derivation(
        task="""
With the responsibilities $r_{mi}$ held fixed, the second half of an EM step maximises

$$ Q=\\sum_{m=1}^M\\sum_{i=1}^I r_{mi}\\,\\ln\\bigl(\\alpha_i\\,\\mathcal N(x_m;\\mu_i,\\Sigma_i)\\bigr). $$

Show that

1. among all weights with sum 1 the mean responsibilities are best, and for each $\\mu_i$ the mean of the
   points weighted by $r_{mi}$;
2. no step that raises $Q$ lowers the likelihood $\\sum_m\\ln p(x_m)$, if the responsibilities were those of
   the mixture before the step.
""",
        rubric=(
            (1, "finds the weights, with a multiplier for their sum or by Gibbs' inequality"),
            (1, "finds the means from the gradient of the quadratic form, or by completing the square"),
            (2, "bounds the logarithm of the sum from below, and says when the bound is reached"),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E6


def posterior(loglik, prior):
    """Return P(C_k | X) (..., K) from loglik, ln p(X | C_k) (..., K), and prior (K,)."""
    with np.errstate(divide="ignore"):
        joint = loglik + np.log(prior)
    p = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def classes(rng):
    """Yield log likelihoods, small and very negative, with priors; once the likeliest class cannot occur."""
    yield np.log([0.02, 0.05, 0.01]), np.array([0.6, 0.1, 0.3])
    yield np.array([-2000.0, -2001]), np.array([0.5, 0.5])
    yield np.array([[-3.0, -1200, -1], [-1500, -1, -1499]]), np.array([0.75, 0, 0.25])
    for shape in [(6, 4), (2, 3, 5), (5,), (3, 3)]:
        loglik = np.round(rng.normal(size=shape) * 2 + 5 * rng.normal(), 3)
        yield loglik, rng.dirichlet(np.full(shape[-1], 3.0))
    loglik = rng.normal(size=(4, 3)) - rng.permutation([[1500.0], [2300], [3100], [3900]])
    loglik[1, 2] = -np.inf
    yield loglik, rng.dirichlet(np.full(3, 3.0))


def quiet(function):
    """Return the function, without warnings of NumPy."""

    def silent(loglik, prior):
        with np.errstate(all="ignore"):
            return function(loglik, prior)

    return silent


def soft_max(joint):
    p = np.exp(joint - joint.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


NO_PRIOR = (
    "The prior is ignored: your values are normalised likelihoods. Multiply each likelihood by its prior "
    "first; a rare class needs more evidence, and the winner can change."
)
BY_LIKELIHOODS = (
    "You divide by the sum of the likelihoods. The denominator of Bayes' rule contains the priors, too: it "
    "is the sum of what stands in the numerator, over all classes."
)


@mistake(NO_PRIOR)
def prior_ignored(loglik, prior):
    return soft_max(loglik)


@mistake(NO_PRIOR)
def prior_ignored_and_underflow(loglik, prior):
    p = np.exp(loglik)
    with np.errstate(invalid="ignore"):
        return p / p.sum(axis=-1, keepdims=True)


@mistake("The values do not sum to 1: these are p(X | C_k) P(C_k). Divide by their sum over all K classes.")
def not_normalised(loglik, prior):
    return np.exp(loglik) * prior


@mistake("The values do not sum to 1. After the largest was taken out, divide by the sum over all K classes.")
def relative_to_the_winner(loglik, prior):
    with np.errstate(divide="ignore"):
        joint = loglik + np.log(prior)
    return np.exp(joint - joint.max(axis=-1, keepdims=True))


@mistake(BY_LIKELIHOODS)
def normalised_by_likelihoods(loglik, prior):
    return soft_max(loglik) * prior


@mistake(BY_LIKELIHOODS)
def normalised_by_likelihoods_and_underflow(loglik, prior):
    p = np.exp(loglik)
    with np.errstate(invalid="ignore"):
        return p * prior / p.sum(axis=-1, keepdims=True)


@mistake(
    "Likelihoods underflow: exp(-2000) is 0, and 0 / 0 is no number. Add ln prior to the log likelihoods and "
    "subtract the largest of them before you take exponentials."
)
def raw_likelihoods(loglik, prior):
    p = np.exp(loglik) * prior
    with np.errstate(invalid="ignore"):
        return p / p.sum(axis=-1, keepdims=True)


@mistake(
    "You subtract the largest log *likelihood*. If that class has prior 0, all others underflow beside it. "
    "Add ln prior first and subtract the largest sum."
)
def largest_likelihood_taken_out(loglik, prior):
    p = np.exp(loglik - loglik.max(axis=-1, keepdims=True)) * prior
    with np.errstate(invalid="ignore"):
        return p / p.sum(axis=-1, keepdims=True)


@mistake(
    "You subtract one number from all rows, and a row that lies far below it underflows as a whole. Subtract "
    "from each row its own largest value (`axis=-1, keepdims=True`)."
)
def largest_of_all_rows_taken_out(loglik, prior):
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = loglik + np.log(prior)
        p = np.exp(joint - joint.max())
        return p / p.sum(axis=-1, keepdims=True)


@mistake(
    "You normalise over everything at once, or over the wrong axis. Classes are on the *last* axis: each row "
    "sums to 1 (`axis=-1, keepdims=True`)."
)
def normalised_over_everything(loglik, prior):
    p = np.exp(loglik + np.log(np.maximum(prior, 1e-300)) - loglik.max())
    return p / p.sum()


@mistake("These are logarithms. Take exponentials at the end: probabilities are asked for.")
def logarithms(loglik, prior):
    with np.errstate(divide="ignore"):
        return np.log(posterior(loglik, prior))


@mistake("You return the most probable class. Return the probabilities of all classes, on the last axis.")
def the_winner(loglik, prior):
    return posterior(loglik, prior).argmax(axis=-1)


@mistake(
    "You return 1 for the most probable class and 0 for the others. Return the probabilities themselves: "
    "they also say how sure the answer is."
)
def ones_for_winners(loglik, prior):
    return np.eye(len(prior))[posterior(loglik, prior).argmax(axis=-1)]


@mistake(
    "You add the prior to the log likelihood. What multiplies a likelihood is added to its logarithm as a "
    "logarithm: ln prior."
)
def prior_added_without_logarithm(loglik, prior):
    return soft_max(loglik + prior)


@quiet
def posterior_by_scipy(loglik, prior):
    from scipy.special import logsumexp

    joint = loglik + np.log(prior)
    return np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))


@quiet
def posterior_by_scipys_softmax(loglik, prior):
    from scipy.special import softmax

    return softmax(loglik + np.log(prior), axis=-1)


def posterior_class_by_class(loglik, prior):
    K, columns = len(prior), []
    for k in range(K):
        with np.errstate(all="ignore"):  # the odds of every class against class k
            odds = sum(
                np.exp(loglik[..., j] - loglik[..., k] + np.log(prior[j] / prior[k])) if prior[j] else 0.0
                for j in range(K)
            )
        columns.append(1 / odds if prior[k] else 0 * loglik[..., 0])
    return np.nan_to_num(np.stack(columns, axis=-1))


def posterior_in_torch(loglik, prior):
    import torch

    return torch.softmax(torch.tensor(loglik) + torch.tensor(prior).log(), dim=-1)


@quiet
def posterior_in_lists(loglik, prior):
    rows = []
    for row in loglik.reshape(-1, len(prior)).tolist():
        joint = [value + np.log(p) for value, p in zip(row, prior, strict=True)]
        relative = [np.exp(value - max(joint)) for value in joint]
        rows.append([value / sum(relative) for value in relative])
    return np.reshape(rows, loglik.shape).tolist()


E6 = Exercise(
    id="E6",
    title="Recognition by Bayes' rule",
    mirrors="Crowley's lecture, recognition with a mixture for each person (CR12)",
    purpose="turn what each person's density says of a face into the probability of each person",
    minutes=15,
    statement="""
Each class $C_k$, a person, has a density $p(X\\mid C_k)$ of codes and a prior probability $P(C_k)$. Write
`posterior(loglik, prior)`: the probability of each class given $X$,

$$ P(C_k\\mid X)=\\frac{p(X\\mid C_k)\\,P(C_k)}{\\sum_{j=1}^K p(X\\mid C_j)\\,P(C_j)}. $$

`loglik` holds $\\ln p(X\\mid C_k)$ in nats, with the $K$ classes on its *last* axis and any axes before,
shape `(..., K)`; `prior` has shape `(K,)` and sum 1. The result has the shape of `loglik`.

Log likelihoods near $-2000$ are usual: a code has many numbers. (Compute in double precision, as NumPy does:
single precision keeps only three of their decimals.) A prior may be 0, and a log likelihood
$-\\infty$: such a class has probability 0. Some class is always possible.
""",
    functions=(
        Function(
            reference=posterior,
            points=3,
            outputs=(Output("probabilities", "(..., K)"),),
            inputs=classes,
            right="Likelihood times prior, divided by the sum over all classes; and only differences of log "
            "likelihoods matter, so nothing underflows.",
            hints=(
                "Work with logarithms as long as possible: ln numerator = log likelihood + ln prior. "
                "(`np.log(0)` is -inf with a warning, and exp(-inf) is 0: no harm.)",
                "Numerator and denominator may be divided by the same number: subtract the largest ln "
                "numerator before `np.exp`.",
                "`axis=-1, keepdims=True` in `max` and `sum` treats every row by itself, whatever axes come "
                "before.",
            ),
            mistakes=(
                prior_ignored,
                prior_ignored_and_underflow,
                not_normalised,
                relative_to_the_winner,
                normalised_by_likelihoods,
                normalised_by_likelihoods_and_underflow,
                raw_likelihoods,
                largest_likelihood_taken_out,
                largest_of_all_rows_taken_out,
                normalised_over_everything,
                logarithms,
                the_winner,
                ones_for_winners,
                prior_added_without_logarithm,
            ),
            alternatives=(
                posterior_by_scipy,
                posterior_by_scipys_softmax,
                posterior_class_by_class,
                posterior_in_torch,
                posterior_in_lists,
            ),
        ),
    ),
)

SET = ProblemSet(
    name="02_face_space",
    title="Face space",
    opening="""
Three exercises on [chapter 2](../02_face_space.ipynb): finding faces by their distance from face space,
describing codes by a mixture of Gaussians, and naming people by Bayes' rule. All you need here is NumPy, or
any other library that you like.
""",
    exercises=(E3, E5, E6),
)
