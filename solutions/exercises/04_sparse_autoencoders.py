"""The problem set of chapter 4: the sparsity penalty, a sparse autoencoder by hand, PCA as an autoencoder.

E7 to E9 follow Crowley's lecture (CR14-CR19, with errata C10 and C11). References are plain NumPy and do not
use the library's `backprop`, so that the two can be compared. Left out: deep and denoising autoencoders,
which chapter 4 trains in its own cells.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# ---------------------------------------------------------------------------------------------------- E7


def sparsity_kl(rho, rho_hat):
    """Return KL(rho || rho_hat_j) in nats for mean activities rho_hat (H,), shape (H,)."""
    return rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))


def sparsity_grad(rho, rho_hat):
    """Return the derivative of KL(rho || rho_hat_j) in rho_hat_j, shape (H,)."""
    return -rho / rho_hat + (1 - rho) / (1 - rho_hat)


def activities(rng):
    """Yield targets and mean activities: on target, on both sides of it, and near the ends."""
    yield 0.1, np.array([0.2, 0.05])
    yield 0.25, np.array([0.25, 0.5, 0.75])
    yield 0.05, np.array([0.01, 0.99])
    for H in (7, 24):
        yield round(rng.uniform(0.02, 0.6), 3), np.round(rng.uniform(0.03, 0.97, H), 3)
    yield 0.5, np.round(rng.uniform(0.2, 0.8, 4), 3)


@mistake(
    "The arguments are exchanged: this is KL(rho_hat || rho). The target comes first: it stands in front of "
    "the logarithms and in their numerators."
)
def arguments_exchanged(rho, rho_hat):
    return sparsity_kl(rho_hat, rho)


@mistake(
    "Half of the divergence is missing, and so it can be negative; a divergence never is. A unit is active "
    "or not: add the term of the probabilities 1 - rho and 1 - rho_hat."
)
def one_term_only(rho, rho_hat):
    return rho * np.log(rho / rho_hat)


@mistake(
    "The factor 1 - rho of the second term is missing. Each logarithm is weighted by the probability in its "
    "numerator."
)
def second_term_not_weighted(rho, rho_hat):
    return rho * np.log(rho / rho_hat) + np.log((1 - rho) / (1 - rho_hat))


@mistake("The second term is subtracted. A divergence is a sum over both outcomes, active and not active.")
def second_term_subtracted(rho, rho_hat):
    return rho * np.log(rho / rho_hat) - (1 - rho) * np.log((1 - rho) / (1 - rho_hat))


@mistake("The sign is wrong: a divergence is never negative. The target stands in the numerators.")
def negative_divergence(rho, rho_hat):
    return -sparsity_kl(rho, rho_hat)


@mistake("Your unit is the bit. Logarithms are natural in this course: use `np.log`.")
def in_bits(rho, rho_hat):
    return sparsity_kl(rho, rho_hat) / np.log(2)


@mistake("You add up over the units. Return one value for each unit, shape (H,).")
def sum_over_units(rho, rho_hat):
    return sparsity_kl(rho, rho_hat).sum()


@mistake(
    "This is the cross entropy of rho and rho_hat. It is not zero on target: the logarithms of rho and 1 - "
    "rho are missing."
)
def cross_entropy(rho, rho_hat):
    return -rho * np.log(rho_hat) - (1 - rho) * np.log(1 - rho_hat)


def kl_with_a_sum_of_logarithms(rho, rho_hat):
    entropy = -(rho * np.log(rho) + (1 - rho) * np.log1p(-rho))
    return -rho * np.log(rho_hat) - (1 - rho) * np.log1p(-rho_hat) - entropy


def kl_by_scipy(rho, rho_hat):
    from scipy.special import rel_entr

    return rel_entr(rho, rho_hat) + rel_entr(1 - rho, 1 - rho_hat)


def kl_in_lists(rho, rho_hat):
    from math import log

    return [rho * log(rho / r) + (1 - rho) * log((1 - rho) / (1 - r)) for r in rho_hat.tolist()]


def kl_in_torch(rho, rho_hat):
    import torch
    from torch.distributions import Bernoulli, kl_divergence

    return kl_divergence(Bernoulli(torch.tensor(rho)), Bernoulli(torch.tensor(rho_hat, dtype=torch.float32)))


@mistake(
    "The sign is reversed. A unit that is too active must have a *positive* slope, so that descent pushes it "
    "down."
)
def gradient_sign(rho, rho_hat):
    return -sparsity_grad(rho, rho_hat)


@mistake(
    "This is the derivative of KL(rho_hat || rho), the divergence with its arguments exchanged. Here the "
    "target comes first, and only the logarithms contain rho_hat."
)
def gradient_of_the_reversed_divergence(rho, rho_hat):
    return np.log(rho_hat / rho) - np.log((1 - rho_hat) / (1 - rho))


@mistake("You differentiate in rho. The target is fixed; what training changes is rho_hat.")
def derivative_in_the_target(rho, rho_hat):
    return np.log(rho / rho_hat) - np.log((1 - rho) / (1 - rho_hat))


@mistake(
    "The second term has the wrong sign. The derivative of -(1 - rho) ln(1 - rho_hat) is + (1 - rho) / "
    "(1 - rho_hat): the inner derivative brings another minus."
)
def inner_derivative_forgotten(rho, rho_hat):
    return -rho / rho_hat - (1 - rho) / (1 - rho_hat)


@mistake("Half of the derivative is missing. The term with 1 - rho_hat depends on rho_hat, too.")
def derivative_of_one_term(rho, rho_hat):
    return -rho / rho_hat


@mistake(
    "This is the difference rho_hat - rho. It has the right sign, but the slope of the divergence is larger: "
    "divide by rho_hat (1 - rho_hat)."
)
def difference_only(rho, rho_hat):
    return rho_hat - rho


@mistake("You add up over the units. Return one derivative for each unit, shape (H,).")
def sum_of_derivatives(rho, rho_hat):
    return sparsity_grad(rho, rho_hat).sum()


def grad_as_one_fraction(rho, rho_hat):
    return (rho_hat - rho) / (rho_hat * (1 - rho_hat))


def grad_by_differences(rho, rho_hat):
    h = 1e-6
    return (sparsity_kl(rho, rho_hat + h) - sparsity_kl(rho, rho_hat - h)) / (2 * h)


def grad_in_torch(rho, rho_hat):
    import torch

    r = torch.tensor(rho_hat, requires_grad=True)
    kl = rho * (rho / r).log() + (1 - rho) * ((1 - rho) / (1 - r)).log()
    return torch.autograd.grad(kl.sum(), r)[0]


def grad_in_a_loop(rho, rho_hat):
    gradient = np.empty(len(rho_hat), dtype=np.float32)
    for j, r in enumerate(rho_hat):
        gradient[j] = (1 - rho) / (1 - r) - rho / r
    return gradient


E7 = Exercise(
    id="E7",
    title="The sparsity penalty",
    mirrors="Crowley's lecture, the divergence of a mean activity from its target (CR17), and its slope in "
    "CR19",
    purpose="write the penalty that makes hidden units seldom active, and differentiate it",
    minutes=15,
    statement="""
A hidden unit with mean activity $\\hat\\rho_j$ is compared with a target $\\rho$ as if both were
probabilities of being active:

$$ KL(\\rho\\,\\Vert\\,\\hat\\rho_j)=\\sum_{\\text{active, not active}}\\text{(target probability)}\\cdot
\\ln\\frac{\\text{target probability}}{\\text{actual probability}}. $$

`rho` is a number and `rho_hat` has shape `(H,)`; all lie between 0 and 1, both excluded. Write two functions.

1. `sparsity_kl(rho, rho_hat)`: the divergence of each unit, in nats, shape `(H,)`.
2. `sparsity_grad(rho, rho_hat)`: the derivative of each divergence in $\\hat\\rho_j$, shape `(H,)`. Find it
   on paper; a descent step must push units that are too active down, and the others up.
""",
    functions=(
        Function(
            reference=sparsity_kl,
            points=1,
            outputs=(Output("divergences", "(H,)"),),
            inputs=activities,
            right="Both outcomes are counted, weighted by the target: zero on target, positive to both "
            "sides.",
            hints=(
                "There are two outcomes: active, with target probability rho and actual probability "
                "rho_hat, and not active, with 1 - rho and 1 - rho_hat.",
                "`rho * np.log(rho / rho_hat)` is the first of two terms. Write the second in the same way.",
            ),
            mistakes=(
                arguments_exchanged,
                one_term_only,
                second_term_not_weighted,
                second_term_subtracted,
                negative_divergence,
                in_bits,
                sum_over_units,
                cross_entropy,
            ),
            alternatives=(kl_with_a_sum_of_logarithms, kl_by_scipy, kl_in_lists, kl_in_torch),
        ),
        Function(
            reference=sparsity_grad,
            points=1,
            outputs=(Output("derivatives", "(H,)"),),
            inputs=activities,
            right="Zero on target, positive above it, negative below, and without limit towards the ends.",
            hints=(
                "Only two terms of the divergence contain rho_hat: -rho ln(rho_hat) and -(1 - rho) "
                "ln(1 - rho_hat).",
                "Check yourself with a difference quotient: (sparsity_kl(rho, r + h) - sparsity_kl(rho, r - "
                "h)) / (2 h) with h = 1e-6.",
            ),
            mistakes=(
                gradient_sign,
                gradient_of_the_reversed_divergence,
                derivative_in_the_target,
                inner_derivative_forgotten,
                derivative_of_one_term,
                difference_only,
                sum_of_derivatives,
            ),
            alternatives=(grad_as_one_fraction, grad_by_differences, grad_in_torch, grad_in_a_loop),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E8


def sparse_ae_loss(params, X, rho, beta):
    """Return the loss of a sparse autoencoder on the batch X (M, N): a number."""
    _, a1, _, a2 = layers(params, X)
    reconstruction = 0.5 * ((a2 - X) ** 2).sum(axis=1).mean()
    return reconstruction + beta * sparsity_kl(rho, a1.mean(axis=0)).sum()


def sparse_ae_grads(params, X, rho, beta):
    """Return the gradients of the loss on X (M, N): a dict with the keys of params."""
    return backwards(params, X, rho, beta)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slope(z):
    return sigmoid(z) * (1 - sigmoid(z))


def layers(params, X):
    """Return z1, a1, z2, a2 of the forward pass."""
    z1 = X @ params["W1"] - params["theta1"]
    z2 = sigmoid(z1) @ params["W2"] - params["theta2"]
    return z1, sigmoid(z1), z2, sigmoid(z2)


def backwards(
    params,
    X,
    rho,
    beta,
    *,
    output=lambda error, z2: error * slope(z2),
    pressure=lambda a1, rho: sparsity_grad(rho, a1.mean(axis=0)),
    hidden=lambda back, press, z1: slope(z1) * (back + press),
):
    """Return the gradients; three steps can be gone wrong at."""
    z1, a1, z2, a2 = layers(params, X)
    delta2 = output(a2 - X, z2)  # (M, N)
    delta1 = hidden(delta2 @ params["W2"].T, beta * pressure(a1, rho), z1)  # (M, H)
    return {
        "W1": X.T @ delta1 / len(X),
        "theta1": -delta1.mean(axis=0),
        "W2": a1.T @ delta2 / len(X),
        "theta2": -delta2.mean(axis=0),
    }


def batches(rng):
    """Yield networks with offsets and batches: all sizes differ, targets are met by no unit."""
    small = {
        "W1": np.array([[1.0, -2], [0.5, 1], [-1, 1]]),
        "theta1": np.array([0.5, -0.5]),
        "W2": np.array([[1.0, 0, -1], [2, 1, 1]]),
        "theta2": np.array([0.0, 1, -1]),
    }
    yield small, np.array([[1.0, 0, 0], [0, 1, 1]]), 0.1, 0.0
    yield small, np.array([[1.0, 0, 0], [0, 1, 1]]), 0.1, 0.5
    for M, N, H, beta in [(7, 4, 3, 0.8), (5, 3, 6, 3.0), (12, 8, 2, 0.2), (6, 5, 4, 0.0)]:
        params = {
            "W1": np.round(rng.normal(size=(N, H)), 3),
            "theta1": np.round(rng.normal(size=H), 3),
            "W2": np.round(rng.normal(size=(H, N)), 3),
            "theta2": np.round(rng.normal(size=N), 3),
        }
        yield params, np.round(rng.uniform(size=(M, N)), 3), round(rng.uniform(0.03, 0.2), 3), beta


def with_sums(gradients, M):
    """Return gradients of the sum over the batch instead of the mean."""
    return {name: M * value for name, value in gradients.items()}


@mistake(
    "The factor 1/2 of the squared error is missing. It is there so that the derivative of the error is the "
    "error itself."
)
def no_half(params, X, rho, beta):
    *_, a2 = layers(params, X)
    return sparse_ae_loss(params, X, rho, beta) + 0.5 * ((a2 - X) ** 2).sum(axis=1).mean()


@mistake(
    "You average the squared errors over the pixels as well. Sum over the pixels, average over the samples."
)
def mean_over_pixels(params, X, rho, beta):
    _, a1, _, a2 = layers(params, X)
    return 0.5 * ((a2 - X) ** 2).mean() + beta * sparsity_kl(rho, a1.mean(axis=0)).sum()


@mistake("You add up the errors of the samples. The reconstruction loss is their mean over the batch.")
def sum_over_samples(params, X, rho, beta):
    _, a1, _, a2 = layers(params, X)
    return 0.5 * ((a2 - X) ** 2).sum() + beta * sparsity_kl(rho, a1.mean(axis=0)).sum()


@mistake(
    "The penalty is divided by the number of samples. The samples are averaged already in rho_hat: add beta "
    "times the sum of the divergences, once."
)
def penalty_divided_by_samples(params, X, rho, beta):
    return sparse_ae_loss(params, X, rho, beta / len(X))


@mistake("The penalty is missing. Add beta times the sum of the divergences of all hidden units.")
def no_penalty(params, X, rho, beta):
    return sparse_ae_loss(params, X, rho, 0.0)


@mistake("You average the divergences over the hidden units. The penalty is their sum, times beta.")
def penalty_averaged_over_units(params, X, rho, beta):
    return sparse_ae_loss(params, X, rho, beta / len(params["theta1"]))


@mistake(
    "You take the divergence of every single activity and average afterwards. A unit may be active for some "
    "samples: average its *activity* over the batch first, then take one divergence a unit."
)
def divergence_of_each_sample(params, X, rho, beta):
    _, a1, _, _ = layers(params, X)
    return sparse_ae_loss(params, X, rho, 0.0) + beta * sparsity_kl(rho, a1).sum(axis=1).mean()


@mistake(
    "You take one mean activity for all units together. Each unit has its own: average over the samples "
    "only, axis 0, and add up the divergences."
)
def one_activity_for_all_units(params, X, rho, beta):
    _, a1, _, _ = layers(params, X)
    return sparse_ae_loss(params, X, rho, 0.0) + beta * sparsity_kl(rho, a1.mean())


@mistake("The arguments of the divergence are exchanged. The target rho comes first, KL(rho || rho_hat).")
def divergence_exchanged(params, X, rho, beta):
    _, a1, _, _ = layers(params, X)
    return sparse_ae_loss(params, X, rho, 0.0) + beta * sparsity_kl(a1.mean(axis=0), rho).sum()


@mistake("Your offsets are added. In this course a layer is z = y @ W - theta.")
def offsets_added(params, X, rho, beta):
    return sparse_ae_loss(with_offsets_reversed(params), X, rho, beta)


@mistake("Your output layer is linear. In this exercise both layers are sigmoid.")
def linear_output(params, X, rho, beta):
    _, _, z2, a2 = layers(params, X)
    errors = ((z2 - X) ** 2 - (a2 - X) ** 2).sum(axis=1).mean()
    return sparse_ae_loss(params, X, rho, beta) + 0.5 * errors


def with_offsets_reversed(params):
    return {name: -value if name.startswith("theta") else value for name, value in params.items()}


def loss_sample_by_sample(params, X, rho, beta):
    total, mean_activity = 0.0, 0.0
    for x in X:
        a1 = 1 / (1 + np.exp(params["theta1"] - params["W1"].T @ x))
        a2 = 1 / (1 + np.exp(params["theta2"] - params["W2"].T @ a1))
        total += 0.5 * np.dot(a2 - x, a2 - x) / len(X)
        mean_activity = mean_activity + a1 / len(X)
    return total + beta * sum(kl_in_lists(rho, mean_activity))


def loss_by_einsum(params, X, rho, beta):
    from scipy.special import expit

    a1 = expit(np.einsum("mn,nh->mh", X, params["W1"]) - params["theta1"])
    error = expit(np.einsum("mh,hn->mn", a1, params["W2"]) - params["theta2"]) - X
    return np.einsum("mn,mn->", error, error) / (2 * len(X)) + beta * kl_by_scipy(rho, a1.mean(0)).sum()


def torch_loss(params, X, rho, beta):
    import torch

    a1 = torch.sigmoid(X @ params["W1"] - params["theta1"])
    a2 = torch.sigmoid(a1 @ params["W2"] - params["theta2"])
    r = a1.mean(dim=0)
    kl = rho * torch.log(rho / r) + (1 - rho) * torch.log((1 - rho) / (1 - r))
    return 0.5 * (a2 - X).square().sum(dim=1).mean() + beta * kl.sum()


def loss_in_torch(params, X, rho, beta):
    import torch

    params = {name: torch.tensor(value, dtype=torch.float32) for name, value in params.items()}
    return torch_loss(params, torch.tensor(X, dtype=torch.float32), rho, beta)


@mistake(
    "The slope of the sigmoid is missing at the output: delta2 is the error times f'(z2). Without it you "
    "descend the cross entropy, not the squared error."
)
def no_slope_at_the_output(params, X, rho, beta):
    return backwards(params, X, rho, beta, output=lambda error, z2: error)


@mistake(
    "The penalty's share is divided by the batch twice. Your gradients are averages already, and the penalty "
    "counts once: its slope enters every sample with the factor beta."
)
def penalty_divided_twice(params, X, rho, beta):
    return backwards(params, X, rho, beta / len(X))


@mistake(
    "Each sample uses its own activity for rho_hat. The mean activity belongs to the whole batch: average "
    "over the samples first, then take the slope."
)
def activity_of_one_sample(params, X, rho, beta):
    return backwards(params, X, rho, beta, pressure=lambda a1, rho: sparsity_grad(rho, a1))


@mistake(
    "You take one mean activity for all units together. Each unit has its own: average over the samples "
    "only, axis 0."
)
def slope_at_one_activity_for_all_units(params, X, rho, beta):
    return backwards(params, X, rho, beta, pressure=lambda a1, rho: sparsity_grad(rho, a1.mean()))


@mistake(
    "The slope of the penalty is added outside f'(z1). The penalty acts on activities a, not on z: add it to "
    "what comes back through the weights, and multiply the sum by f'(z1)."
)
def penalty_outside(params, X, rho, beta):
    return backwards(params, X, rho, beta, hidden=lambda back, press, z1: slope(z1) * back + press)


@mistake(
    "The slope of the sigmoid is missing at the hidden layer: multiply what comes back, the penalty "
    "included, by f'(z1)."
)
def no_slope_at_the_hidden_layer(params, X, rho, beta):
    return backwards(params, X, rho, beta, hidden=lambda back, press, z1: back + press)


@mistake("The penalty pushes the wrong way: the slope is -rho / rho_hat + (1 - rho) / (1 - rho_hat).")
def penalty_reversed(params, X, rho, beta):
    return backwards(params, X, rho, -beta)


@mistake("The penalty is missing from the gradients of the first layer. Its slope belongs into delta1.")
def no_penalty_in_the_gradients(params, X, rho, beta):
    return backwards(params, X, rho, 0.0)


@mistake(
    "You evaluate the slope of the sigmoid at the activities. It is f'(z) = f(z) (1 - f(z)), hence a (1 - "
    "a): do not apply the sigmoid a second time."
)
def slope_at_the_activities(params, X, rho, beta):
    return backwards(
        params,
        X,
        rho,
        beta,
        output=lambda error, z2: error * slope(sigmoid(z2)),
        hidden=lambda back, press, z1: slope(sigmoid(z1)) * (back + press),
    )


@mistake(
    "Your gradients are twice too large where the error enters: the derivative of 1/2 e^2 is e, not 2 e."
)
def factor_two(params, X, rho, beta):
    return backwards(params, X, rho, beta, output=lambda error, z2: 2 * error * slope(z2))


@mistake(
    "Your gradients are sums over the batch. The loss is a mean over the samples: divide by their number."
)
def gradients_summed(params, X, rho, beta):
    return with_sums(backwards(params, X, rho, beta), len(X))


@mistake(
    "The gradients of the offsets have the wrong sign. An offset is subtracted, z = y @ W - theta, so its "
    "gradient is *minus* the mean sensitivity."
)
def sign_of_the_offsets(params, X, rho, beta):
    return with_offsets_reversed(backwards(params, X, rho, beta))


@mistake(
    "Your layers add the offsets, z = y @ W + theta. In this course they are subtracted, in the forward pass "
    "and with a minus in the gradient."
)
def offsets_added_everywhere(params, X, rho, beta):
    return with_offsets_reversed(backwards(with_offsets_reversed(params), X, rho, beta))


def grads_by_torch(params, X, rho, beta):
    import torch

    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    torch_loss(leaves, torch.tensor(X), rho, beta).backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def grads_in_single_precision(params, X, rho, beta):
    import torch

    leaves = {name: torch.tensor(value).float().requires_grad_() for name, value in params.items()}
    loss = torch_loss(leaves, torch.tensor(X).float(), rho, beta)
    return dict(zip(leaves, torch.autograd.grad(loss, leaves.values()), strict=True))


def grads_by_differences(params, X, rho, beta):
    h, gradients = 1e-5, {}
    for name, value in params.items():
        gradients[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            ends = []
            for step in (h, -h):
                moved = value.copy()
                moved[place] += step
                ends.append(sparse_ae_loss(params | {name: moved}, X, rho, beta))
            gradients[name][place] = (ends[0] - ends[1]) / (2 * h)
    return gradients


def grads_sample_by_sample(params, X, rho, beta):
    M = len(X)
    a1s = [sigmoid(params["W1"].T @ x - params["theta1"]) for x in X]
    r = sum(a1s) / M
    press = beta * (r - rho) / (r * (1 - r))
    total = {name: 0 * value for name, value in params.items()}
    for x, a1 in zip(X, a1s, strict=True):
        a2 = sigmoid(params["W2"].T @ a1 - params["theta2"])
        delta2 = (a2 - x) * a2 * (1 - a2)
        delta1 = a1 * (1 - a1) * (params["W2"] @ delta2 + press)
        total["W1"] = total["W1"] + np.outer(x, delta1) / M
        total["W2"] = total["W2"] + np.outer(a1, delta2) / M
        total["theta1"] = total["theta1"] - delta1 / M
        total["theta2"] = total["theta2"] - delta2 / M
    return total


def grads_by_einsum(params, X, rho, beta):
    _, a1, _, a2 = layers(params, X)
    d2 = (a2 - X) * a2 * (1 - a2) / len(X)
    press = beta / len(X) * sparsity_grad(rho, a1.mean(axis=0))
    d1 = (np.einsum("mn,hn->mh", d2, params["W2"]) + press) * a1 * (1 - a1)
    return {
        "theta2": -np.einsum("mn->n", d2),
        "W2": np.einsum("mh,mn->hn", a1, d2),
        "theta1": -np.einsum("mh->h", d1),
        "W1": np.einsum("mn,mh->nh", X, d1),
    }


E8 = Exercise(
    id="E8",
    title="A sparse autoencoder by hand",
    mirrors="Crowley's lecture, back-propagation with the sparsity penalty (CR14 to CR19)",
    purpose="carry an error and a penalty back through two layers, each to its place",
    minutes=40,
    statement="""
Both layers are sigmoid, $f(z)=1/(1+e^{-z})$, and offsets are *subtracted*. Samples are the rows of `X`, shape
`(M, N)`:

$$ z^{(1)}=XW_1-\\theta_1,\\quad a^{(1)}=f(z^{(1)}),\\quad z^{(2)}=a^{(1)}W_2-\\theta_2,\\quad
a^{(2)}=f(z^{(2)}). $$

`params` is a dict with the keys `"W1"`, `"theta1"`, `"W2"`, `"theta2"` and arrays of the shapes `(N, H)`,
`(H,)`, `(H, N)`, `(N,)`. The loss is the mean over the samples of half the squared error, summed over the
pixels, plus the penalty of E7, once:

$$ L=\\frac1M\\sum_{m=1}^M\\tfrac12\\bigl\\lVert a^{(2)}_m-X_m\\bigr\\rVert^2+\\beta\\sum_{j=1}^H
KL(\\rho\\,\\Vert\\,\\hat\\rho_j),\\qquad \\hat\\rho_j=\\frac1M\\sum_{m=1}^M a^{(1)}_{mj}. $$

1. `sparse_ae_loss(params, X, rho, beta)`: the loss, a number.
2. `sparse_ae_grads(params, X, rho, beta)`: its gradients, a dict with the keys and shapes of `params`. With
   $\\beta=0$ they are those of an ordinary autoencoder. (You may check them yourself by difference quotients
   of your loss.)
""",
    functions=(
        Function(
            reference=sparse_ae_loss,
            points=2,
            outputs=(Output("loss", "a number"),),
            inputs=batches,
            right="The error is averaged over the samples, and the penalty of the whole batch counts once.",
            hints=(
                "Go forward first: two lines for z1 and a1, two for z2 and a2. `theta1` is subtracted from "
                "every row by itself.",
                "`((a2 - X) ** 2).sum(axis=1)` has one value a sample; `a1.mean(axis=0)` is rho_hat, one "
                "value a unit.",
            ),
            mistakes=(
                no_half,
                mean_over_pixels,
                sum_over_samples,
                penalty_divided_by_samples,
                no_penalty,
                penalty_averaged_over_units,
                divergence_of_each_sample,
                one_activity_for_all_units,
                divergence_exchanged,
                offsets_added,
                linear_output,
            ),
            alternatives=(loss_sample_by_sample, loss_by_einsum, loss_in_torch),
        ),
        Function(
            reference=sparse_ae_grads,
            points=4,
            outputs=(Output("gradients", "as params", tolerance=3e-6),),
            inputs=batches,
            right="Every factor is in its place: f' at both layers, the penalty inside the second, and each "
            "mean taken once.",
            hints=(
                "Sensitivities first: delta2 = (a2 - X) * f'(z2), shape (M, N). For the sigmoid f'(z) is "
                "a * (1 - a).",
                "What reaches the hidden layer is `delta2 @ W2.T` plus, in every row, beta times the slope "
                "of E7 at rho_hat. Times f'(z1), that is delta1, shape (M, H).",
                "The gradient of a weight matrix is (signal below).T @ (delta above) / M; that of an offset "
                "is minus the mean of delta over the batch.",
            ),
            mistakes=(
                no_slope_at_the_output,
                penalty_divided_twice,
                activity_of_one_sample,
                slope_at_one_activity_for_all_units,
                penalty_outside,
                no_slope_at_the_hidden_layer,
                penalty_reversed,
                no_penalty_in_the_gradients,
                slope_at_the_activities,
                factor_two,
                gradients_summed,
                sign_of_the_offsets,
                offsets_added_everywhere,
            ),
            alternatives=(
                grads_by_torch,
                grads_in_single_precision,
                grads_by_differences,
                grads_sample_by_sample,
                grads_by_einsum,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
Let $\\delta^{(1)}_{mj}$ be the derivative of $M\\cdot L$ in $z^{(1)}_{mj}$, with $L$ as above.

1. Show that
   $$ \\delta^{(1)}_{mj}=f'(z^{(1)}_{mj})\\Bigl(\\sum_k(W_2)_{jk}\\,\\delta^{(2)}_{mk}
   +\\beta\\Bigl(-\\frac{\\rho}{\\hat\\rho_j}+\\frac{1-\\rho}{1-\\hat\\rho_j}\\Bigr)\\Bigr),\\qquad
   \\delta^{(2)}_{mk}=(a^{(2)}_{mk}-X_{mk})\\,f'(z^{(2)}_{mk}). $$
2. Somebody sums the squared errors of the samples instead of averaging them, and still adds the penalty once.
   What takes the place of $\\beta$, if the $\\delta$ are now derivatives of that loss?
3. For which loss of a sigmoid output is $\\delta^{(2)}=a^{(2)}-X$ right?
""",
        rubric=(
            (1, "applies the chain rule to the reconstruction through both layers"),
            (
                1,
                "differentiates the mean activity in one sample's activity, and finds where the factor M "
                "cancels",
            ),
            (1, "finds the factor for the summed loss"),
            (1, "names the cross entropy and shows how its derivative cancels the slope"),
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- E9


def train_linear_ae(V, H):
    """Return decoder (N, H), loss: the best linear autoencoder of the rows of V (M, N)."""
    centred = V - V.mean(axis=0)
    _, s, axes = np.linalg.svd(centred, full_matrices=False)
    return axes[:H].T, (s[H:] ** 2).sum() / len(V)


def subspace_angle(A, B):
    """Return the largest principal angle between the columns of A and B (N, H), in radians."""
    cosines = np.linalg.svd(np.linalg.qr(A)[0].T @ np.linalg.qr(B)[0], compute_uv=False)
    return np.arccos(min(cosines.min(), 1.0))


def samples_to_learn(rng):
    """Yield samples with a mean that is not zero and a clear gap after H eigenvalues."""
    small = np.array([[2.0, 0, 1], [0, 2, 1], [1, 1, 4], [3, 1, 0]])
    yield small, 1
    yield small, 2
    for M, N, H in [(20, 5, 2), (30, 4, 1), (12, 9, 3)]:
        spread = np.concatenate([rng.uniform(2, 3, H), rng.uniform(0.3, 1, N - H)])
        axes = np.linalg.qr(rng.normal(size=(N, N)))[0]
        Z = rng.normal(size=(M, N))
        Z = np.linalg.qr(np.column_stack([np.ones(M), Z]))[0][:, 1:] if M > N else Z
        V = np.sqrt(M) * (Z * spread) @ axes.T
        yield np.round(V + 2 * rng.normal(size=N) + 1, 3), H


def pairs_of_subspaces(rng):
    """Yield pairs: a known angle, the same space mixed anew, perpendicular ones, and any."""
    A = np.array([[1.0, 0], [0, 2], [0, 0]])
    yield A, np.array([[1.0, 1], [0, 0.8], [0, 0.6]])
    yield A, A @ np.array([[1.0, 2], [3, 4]])
    yield np.array([[1.0], [1], [0], [0]]), np.array([[0.0], [0], [3], [4]])
    for N, H in [(5, 2), (9, 3), (6, 1)]:
        A = rng.normal(size=(N, H)) * rng.uniform(0.5, 3, H)
        yield A, (A + rng.uniform(0.2, 0.6) * rng.normal(size=(N, H))) @ rng.normal(size=(H, H))
    yield rng.normal(size=(8, 3)), rng.normal(size=(8, 3))


@mistake(
    "Your network has no offsets and the samples are not centred, so its space must pass through 0. PCA is "
    "affine: subtract the mean, or train offsets as well.",
    seen_in="loss",
)
def no_offsets(V, H):
    _, s, axes = np.linalg.svd(V, full_matrices=False)
    return axes[:H].T, (s[H:] ** 2).sum() / len(V)


@mistake(
    "Your loss is averaged over the pixels, N times too small. Sum the squared errors over the pixels: only "
    "so is it comparable with a sum of eigenvalues.",
    seen_in="loss",
)
def loss_averaged_over_pixels(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, loss / V.shape[1]


@mistake(
    "Your loss is half of what is asked: here the squared error stands without the factor 1/2.",
    seen_in="loss",
)
def half_the_loss(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, loss / 2


@mistake("Your loss is a sum over the samples. Divide by their number: it is a mean.", seen_in="loss")
def loss_summed(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, loss * len(V)


@mistake("Your loss is divided by M - 1. Here it is a mean over the M samples.", seen_in="loss")
def loss_divided_by_one_less(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, loss * len(V) / (len(V) - 1)


@mistake(
    "Your loss is a share of the variance. Return the mean squared error itself, summed over the pixels.",
    seen_in="loss",
)
def share_lost(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, loss / V.var(axis=0).sum()


@mistake(
    "You return what the H units keep. The loss is what they lose: the sum of the eigenvalues that are "
    "dropped.",
    seen_in="loss",
)
def energy_kept(V, H):
    decoder, loss = train_linear_ae(V, H)
    return decoder, V.var(axis=0).sum() - loss


@mistake(
    "You add up the roots of the dropped eigenvalues. Energy is a square: add up the eigenvalues themselves.",
    seen_in="loss",
)
def roots_added(V, H):
    s = np.linalg.svd(V - V.mean(axis=0), compute_uv=False)
    return train_linear_ae(V, H)[0], s[H:].sum() / np.sqrt(len(V))


@mistake(
    "Your decoder spans the directions in which the samples vary *least*. `eigh` sorts in increasing order: "
    "take the last columns.",
    seen_in="projector",
)
def least_directions(V, H):
    axes = np.linalg.svd(V - V.mean(axis=0))[2]
    return axes[::-1][:H].T, 0.0


def by_eigenvectors_mixed(V, H):
    eigenvalues, vectors = np.linalg.eigh(np.cov(V.T, bias=True))
    mixing = np.random.default_rng(0).normal(size=(H, H)) + 3 * np.eye(H)
    return vectors[:, -H:] @ mixing, eigenvalues[:-H].sum()


def by_alternating_least_squares(V, H):
    centred = V - V.mean(axis=0)
    decoder = np.random.default_rng(1).normal(size=(V.shape[1], H))
    for _ in range(300):
        codes = np.linalg.lstsq(decoder, centred.T, rcond=None)[0].T
        decoder = np.linalg.lstsq(codes, centred, rcond=None)[0].T
    return decoder.tolist(), ((centred - codes @ decoder.T) ** 2).sum(axis=1).mean()


def by_lbfgs_with_offsets(V, H):
    import torch

    X, generator = torch.tensor(V), torch.Generator().manual_seed(0)
    sizes = [(V.shape[1], H), (H,), (H, V.shape[1]), (V.shape[1],)]
    params = [0.3 * torch.randn(size, generator=generator, dtype=X.dtype) for size in sizes]
    params = [p.requires_grad_() for p in params]
    optimiser = torch.optim.LBFGS(
        params, max_iter=400, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        W1, t1, W2, t2 = params
        loss = (((X @ W1 - t1) @ W2 - t2 - X) ** 2).sum(dim=1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return params[2].T, closure()


def by_tied_gradient_descent(V, H):
    centred = V - V.mean(axis=0)
    S = centred.T @ centred / len(V)
    W = np.linalg.qr(np.random.default_rng(2).normal(size=(len(S), H)))[0]
    size = np.linalg.norm(S, 2)
    for _ in range(1500):  # Oja's subspace rule: descent on the loss near W'W = 1
        W = W + 0.3 / size * (S @ W - W @ (W.T @ S @ W))
    W = np.linalg.qr(W)[0]
    return W, np.trace(S) - np.trace(W.T @ S @ W)


def by_scikit_learn(V, H):
    from sklearn.decomposition import PCA

    pca = PCA(H, svd_solver="full").fit(V)
    errors = V - pca.inverse_transform(pca.transform(V))
    return -pca.components_.T, np.square(errors).sum(axis=1).mean()


@mistake(
    "This is the smallest angle, between the directions that agree best. Two spaces are equal only if the "
    "*largest* angle is 0: take the smallest cosine."
)
def smallest_angle(A, B):
    cosines = np.linalg.svd(np.linalg.qr(A)[0].T @ np.linalg.qr(B)[0], compute_uv=False)
    return np.arccos(min(cosines.max(), 1.0))


@mistake("Your angle is in degrees. Return radians, as `np.arccos` does.")
def in_degrees(A, B):
    return np.degrees(subspace_angle(A, B))


@mistake("You return the cosine of the angle. Apply `np.arccos`.")
def cosine_of_the_angle(A, B):
    return np.cos(subspace_angle(A, B))


@mistake("You return the sine of the angle. Apply `np.arcsin`, or `np.arccos` to the cosine.")
def sine_of_the_angle(A, B):
    return np.sin(subspace_angle(A, B))


@mistake(
    "You compare column by column. Columns that differ can span the same space: make both bases orthonormal "
    "and take singular values of A^T B."
)
def column_by_column(A, B):
    A, B = A / np.linalg.norm(A, axis=0), B / np.linalg.norm(B, axis=0)
    return np.arccos(np.clip((A * B).sum(axis=0), -1, 1)).max()


@mistake(
    "The columns have length 1 but are not perpendicular. Make each basis orthonormal first, by QR or an "
    "SVD: only then are the singular values of A^T B cosines."
)
def columns_of_length_one(A, B):
    A, B = A / np.linalg.norm(A, axis=0), B / np.linalg.norm(B, axis=0)
    return np.arccos(np.clip(np.linalg.svd(A.T @ B, compute_uv=False).min(), 0, 1))


@mistake(
    "You take singular values of A^T B as it is. They are cosines only if the columns of A and of B are "
    "orthonormal: use QR on both first."
)
def no_orthonormal_basis(A, B):
    return np.arccos(np.clip(np.linalg.svd(A.T @ B, compute_uv=False).min(), 0, 1))


@mistake(
    "You compare the matrices entry by entry, as two long vectors. Weights of equally good networks differ; "
    "what they share is the space of their columns."
)
def as_long_vectors(A, B):
    return np.arccos((A * B).sum() / np.sqrt((A**2).sum() * (B**2).sum()))


@mistake("You compare the first columns only. A space is spanned by all of them.")
def first_columns(A, B):
    cosine = abs(A[:, 0] @ B[:, 0]) / np.linalg.norm(A[:, 0]) / np.linalg.norm(B[:, 0])
    return np.arccos(min(cosine, 1.0))


@mistake("You combine all principal angles into one number. Return the largest alone.")
def root_of_the_sum_of_squares(A, B):
    cosines = np.linalg.svd(np.linalg.qr(A)[0].T @ np.linalg.qr(B)[0], compute_uv=False)
    return np.linalg.norm(np.arccos(np.minimum(cosines, 1)))


def angle_by_scipy(A, B):
    from scipy.linalg import subspace_angles

    return subspace_angles(A, B).max()


def angle_by_projectors(A, B):
    difference = A @ np.linalg.pinv(A) - B @ np.linalg.pinv(B)
    return np.arcsin(min(np.linalg.norm(difference, 2), 1))


def angle_by_the_rest(A, B):
    U = np.linalg.svd(A, full_matrices=False)[0]
    Q = np.linalg.svd(B, full_matrices=False)[0]
    return float(np.arcsin(min(1.0, np.linalg.norm(Q - U @ (U.T @ Q), ord=2))))


def angle_in_torch(A, B):
    import torch

    U, Q = (torch.linalg.qr(torch.tensor(a)).Q for a in (A, B))
    return torch.linalg.svdvals(U.T @ Q).min().clamp(max=1).acos()


E9 = Exercise(
    id="E9",
    title="PCA against a linear autoencoder",
    mirrors="Crowley's lecture, autoencoders compared with principal components (CR2 to CR8, CR14; erratum "
    "C17)",
    purpose="see that a linear autoencoder learns the eigenspace, and in which sense its weights are not "
    "unique",
    minutes=35,
    statement="""
A linear autoencoder with $H$ units codes a sample $v\\in\\mathbb R^N$ by $y=Ev-\\theta_1$ and reconstructs
it as $\\hat v=Dy-\\theta_2$: any encoder $E$, any decoder $D$, offsets of your choice. Its loss is the mean
over the samples of the squared error $\\lVert\\hat v-v\\rVert^2$, summed over the pixels, here *without* a
factor $\\frac12$.

1. `train_linear_ae(V, H)`: samples are the rows of `V`, shape `(M, N)`, and need not be centred. Return
   `decoder, loss` for the smallest loss that is possible: the matrix $D$, shape `(N, H)`, one column a
   hidden unit, and the loss. Any method is welcome, training or a formula; but a check waits little longer
   than a second in all, so that a long gradient descent is stopped. The decoder is not unique, and the check
   accepts every one that is right. There is always a clear best space; $H$ is smaller than $N$.
2. `subspace_angle(A, B)`: how far apart two decoders are. `A` and `B` have shape `(N, H)` and independent
   columns, which need not be perpendicular or of length 1. Return the largest principal angle between the
   spaces that their columns span, in radians, from 0 (the same space) to $\\frac\\pi2$. With *orthonormal*
   bases $Q_A$ and $Q_B$ the cosines of the principal angles are the singular values of
   $Q_A^{\\mathsf T}Q_B$.
""",
    functions=(
        Function(
            reference=train_linear_ae,
            points=2,
            outputs=(
                Output("decoder", "(N, H)", same="anything"),
                Output("loss", "a number"),
                Output("projector", "(N, N), onto the columns of the decoder", derived="projector"),
            ),
            inputs=samples_to_learn,
            right="The loss is the sum of the dropped eigenvalues, and your decoder spans the leading "
            "eigenvectors, whatever its columns are.",
            hints=(
                "All reconstructions lie in an affine set of H dimensions. Which one is nearest to the "
                "samples? Chapter 1 knows it.",
                "The offsets can take care of the mean: subtract it from the samples, then no offset is "
                "needed.",
                "After `np.linalg.svd(V - V.mean(axis=0), full_matrices=False)` the rows of the last factor "
                "are directions, and s**2 / M are the variances along them.",
            ),
            mistakes=(
                no_offsets,
                loss_averaged_over_pixels,
                half_the_loss,
                loss_summed,
                loss_divided_by_one_less,
                share_lost,
                energy_kept,
                roots_added,
                least_directions,
            ),
            alternatives=(
                by_eigenvectors_mixed,
                by_alternating_least_squares,
                by_lbfgs_with_offsets,
                by_tied_gradient_descent,
                by_scikit_learn,
            ),
        ),
        Function(
            reference=subspace_angle,
            points=2,
            outputs=(Output("angle", "a number"),),
            inputs=pairs_of_subspaces,
            right="Mixing the columns of a decoder changes its weights and not the angle.",
            hints=(
                "`np.linalg.qr(A)[0]` has orthonormal columns that span the same space as those of A.",
                "The largest angle has the smallest cosine. Rounding can make a cosine 1.0000000000000002, "
                "of which `np.arccos` is NaN: take the smaller of it and 1.",
            ),
            mistakes=(
                smallest_angle,
                in_degrees,
                cosine_of_the_angle,
                sine_of_the_angle,
                column_by_column,
                columns_of_length_one,
                no_orthonormal_basis,
                as_long_vectors,
                first_columns,
                root_of_the_sum_of_squares,
            ),
            alternatives=(angle_by_scipy, angle_by_projectors, angle_by_the_rest, angle_in_torch),
        ),
    ),
    derivation=Derivation(
        task="""
Let the samples be centred, with covariance $\\Sigma=\\frac1M\\sum_mv_mv_m^{\\mathsf T}$ and eigenvalues
$\\lambda_1\\ge\\dots\\ge\\lambda_N$, and let $\\lambda_H>\\lambda_{H+1}$. Show that

1. the loss of a linear autoencoder with $H$ units is never below $\\sum_{d>H}\\lambda_d$;
2. it is that sum only if the columns of the decoder span the space of the first $H$ eigenvectors;
3. with $(E,D)$ also $(A^{-1}E,\\,DA)$ is a best pair, for any invertible $A$.
""",
        rubric=(
            (1, "shows that offsets cannot help with centred samples, or reduces them to this case"),
            (1, "replaces the encoder by the best one for a given decoder, an orthogonal projection"),
            (
                2,
                "bounds the energy within a space of H dimensions by the H largest eigenvalues, with "
                "equality",
            ),
            (1, "shows that mixing the units changes no reconstruction"),
        ),
    ),
)

SET = ProblemSet(
    name="04_sparse_autoencoders",
    title="Sparse autoencoders",
    opening="""
Three exercises on [chapter 4](../04_sparse_autoencoders.ipynb): the sparsity penalty and its slope, the
gradient of a sparse autoencoder by hand, and the linear autoencoder that is an eigenspace. All you need here
is NumPy, or any other library that you like.
""",
    exercises=(E7, E8, E9),
)
