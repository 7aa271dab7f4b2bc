"""The problem set of chapter 6: one step of the training listing, with the divergence scaled by κ.

It mirrors Problem 68.3 of Sayed's chapter, with (68.39) and (68.79). References are plain NumPy and do not
use the library's `backprop` or `vae`, so that they can be compared. Left out: training itself, which chapter
6 does in its own cells.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

from itertools import pairwise

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# -------------------------------------------------------------------------------------------------- 68.3


def vae_risk(params, h, eps, rho, kappa):
    """Return the risk of a batch h (B, M) with draws eps (B, P): a number."""
    return risk(params, h, eps, rho, kappa)


def divergence_boundary(mu, a, kappa):
    """Return the derivative of kappa J in the outputs mu, a of the encoder, (B, 2P)."""
    return kappa * np.hstack([2 * mu, np.exp(a) - 1])


def vae_step(params, h, eps, lr, rho, kappa):
    """Return the parameters after one gradient step on the risk: a dict like params."""
    return stepped(params, h, eps, lr, rho, kappa)


def layers(W, theta, x, output):
    """Return the signals of all layers, the input first: tanh inside, `output` at the end."""
    y = [x]
    for ell, (w, t) in enumerate(zip(W, theta, strict=True)):
        f = output if ell == len(W) - 1 else np.tanh
        y.append(f(y[-1] @ w - t))
    return y


def signals(params, h, eps, deviation=lambda a: np.exp(a / 2), output=np.copy):
    """Return the encoder's signals, mu, a, and the decoder's signals."""
    ye = layers(params["We"], params["te"], h, output)
    mu, a = np.split(ye[-1], 2, axis=1)  # (B, P) each
    return ye, mu, a, layers(params["Wd"], params["td"], mu + deviation(a) * eps, np.tanh)


def J_of(mu, a):
    return (mu**2 + np.exp(a) - a).sum(axis=1)


def energy_of(params, names=("We", "Wd")):
    return sum((part**2).sum() for name in names for part in params[name])


def risk(
    params,
    h,
    eps,
    rho,
    kappa,
    *,
    square=1.0,
    J=J_of,
    forward=signals,
    energy=energy_of,
    over_batch=np.mean,
):
    """Return the risk; some of its parts can be gone wrong at."""
    _, mu, a, yd = forward(params, h, eps)
    squares = ((h - yd[-1]) ** 2).sum(axis=1)  # (B,)
    return rho * energy(params) + over_batch(square * squares + kappa * J(mu, a))


def sensitivities(W, y, delta):
    """Return those of all layers above the input, from that of the last one."""
    deltas = [delta]
    for ell in range(len(W) - 1, 0, -1):
        deltas.insert(0, (1 - y[ell] ** 2) * (deltas[0] @ W[ell].T))
    return deltas


def descended(W, theta, y, deltas, lr, decay):
    """Return weights and offsets after a step of size lr."""
    B = len(y[0])
    pairs = zip(W, y[:-1], deltas, strict=True)
    new_W = [(1 - lr * decay) * w - lr * below.T @ d / B for w, below, d in pairs]
    return new_W, [t + lr * d.mean(axis=0) for t, d in zip(theta, deltas, strict=True)]


def at_the_end(error, y):
    return 2 * error * (1 - y**2)


def through_the_draw(in_u, eps, a):
    return np.hstack([in_u, in_u * eps * np.exp(a / 2) / 2])


def added(delta, mu, a, kappa):
    return delta + divergence_boundary(mu, a, kappa)


def stepped(
    params,
    h,
    eps,
    lr,
    rho,
    kappa,
    *,
    boundary=added,
    draw=through_the_draw,
    decay=2.0,
    at_end=at_the_end,
    back=sensitivities,
    old=True,
    forward=signals,
):
    """Return the parameters after a step; some of its parts can be gone wrong at."""
    ye, mu, a, yd = forward(params, h, eps)
    delta_d = back(params["Wd"], yd, at_end(yd[-1] - h, yd[-1]))
    Wd, td = descended(params["Wd"], params["td"], yd, delta_d, lr, decay * rho)
    first = params["Wd"][0] if old else Wd[0]
    at_output = boundary(draw(delta_d[0] @ first.T, eps, a), mu, a, kappa)  # (B, 2P)
    beta = back(params["We"], ye, at_output)
    We, te = descended(params["We"], params["te"], ye, beta, lr, decay * rho)
    return {"We": We, "te": te, "Wd": Wd, "td": td}


def drawn_params(rng, encoder, decoder):
    """Draw weights, and offsets that are not zero, for layers of these sizes."""
    params = {}
    for letter, sizes in (("e", encoder), ("d", decoder)):
        params[f"W{letter}"] = [np.round(0.6 * rng.normal(size=pair), 3) for pair in pairwise(sizes)]
        params[f"t{letter}"] = [np.round(0.5 * rng.normal(size=n), 3) for n in sizes[1:]]
    return params


SMALL = {
    "We": [np.array([[1.0, 0.5], [-1, 1]])],
    "te": [np.array([0.5, -0.5])],
    "Wd": [np.array([[1.0, -2]])],
    "td": [np.array([-0.5, 0.5])],
}
ONE_SAMPLE = np.array([[0.5, -0.5]])


def settings(rng):
    """Yield networks, batches, rho and kappa: depths and sizes differ, offsets are not zero."""
    yield SMALL, ONE_SAMPLE, np.array([[1.0]]), 0.1, 0.25
    for B, encoder, decoder, rho, kappa in [
        (5, [5, 3, 4], [2, 6, 5], 0.1, 0.25),
        (7, [3, 6, 5, 2], [1, 4, 3], 0.05, 1.0),
        (6, [5, 4], [2, 3, 6, 5], 0.2, 0.5),
        (4, [5, 7, 6], [3, 4, 5], 0.3, 3.0),
    ]:
        h = np.round(rng.uniform(-0.9, 0.9, (B, encoder[0])), 3)
        eps = np.round(rng.normal(size=(B, decoder[0])), 3)
        yield drawn_params(rng, encoder, decoder), h, eps, rho, kappa


def steps(rng):
    """Yield the same, with a step size."""
    for params, h, eps, rho, kappa in settings(rng):
        yield params, h, eps, round(rng.uniform(0.1, 0.3), 3), rho, kappa


def outputs_of_encoders(rng):
    """Yield means, log-variances and kappa."""
    yield np.array([[1.0, -2]]), np.log([[0.5, 2]]), 0.25
    for B, P, kappa in [(3, 1, 0.5), (4, 3, 1.0), (6, 2, 2.0), (1, 4, 0.1)]:
        yield np.round(2 * rng.normal(size=(B, P)), 3), np.round(rng.normal(size=(B, P)), 3), kappa


# ------------------------------------------------------------------------------------- 68.3, the risk


@mistake("The factor kappa is missing: it stands in front of J.")
def risk_not_scaled(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, 1.0)


@mistake("J is divided by kappa. A small kappa makes the divergence *less* important: multiply.")
def risk_divided(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, 1 / kappa)


@mistake("The squared errors are scaled, too. Only one of the three terms has the factor kappa: J.")
def risk_with_kappa_on_both(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, square=kappa)


@mistake("You scale the squared errors instead of J. A small kappa makes the divergence less important.")
def risk_with_kappa_on_the_squares(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, 1.0, square=kappa)


@mistake(
    "You add the divergence itself. Beside a squared error without the factor 1/2 belongs J, which is twice "
    "the divergence, plus P: the risk (68.39) is minus *twice* the bound, up to constants."
)
def divergence_instead_of_J(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, J=lambda mu, a: (J_of(mu, a) - mu.shape[1]) / 2)


@mistake(
    "This is minus the bound, up to constants: half the squared error and the divergence. The risk (68.39) "
    "is twice that: the squared error without 1/2, and J."
)
def minus_the_bound(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, square=0.5, J=lambda mu, a: (J_of(mu, a) - mu.shape[1]) / 2)


@mistake("You add half of J. The risk (68.39) has J in full, beside a squared error without a factor 1/2.")
def half_of_J(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa / 2)


@mistake(
    "You add twice the divergence, which is J - P. The constant changes no gradient, but the risk that is "
    "asked for has J itself: the sum of mu^2 + exp(a) - a."
)
def constant_taken_off(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, J=lambda mu, a: J_of(mu, a) - mu.shape[1])


@mistake("J is averaged over the latents. Sum over the latents, average over the samples.")
def J_averaged_over_latents(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa / eps.shape[1])


@mistake("The squared errors are averaged over the pixels. Sum over the pixels, average over the samples.")
def squares_averaged_over_pixels(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, square=1 / h.shape[1])


@mistake("You add up over the samples. Squared errors and J are averaged over the batch.")
def risk_of_the_sum(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, over_batch=np.sum)


@mistake("The offsets are restrained as well. The term with rho has the weight matrices only.")
def offsets_in_the_energy(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, energy=lambda p: energy_of(p, ("We", "te", "Wd", "td")))


@mistake("The energy of the weights is missing: rho times the sum of the squares of all weights.")
def no_energy(params, h, eps, rho, kappa):
    return risk(params, h, eps, 0.0, kappa)


@mistake("a is a log-variance: the standard deviation is exp(a / 2), not exp(a).")
def variance_for_deviation(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, forward=lambda *x: signals(*x, deviation=np.exp))


@mistake("Your offsets are added. In this course a layer is z = y @ W - theta.")
def risk_with_offsets_added(params, h, eps, rho, kappa):
    return risk(reversed_offsets(params), h, eps, rho, kappa)


@mistake("Your encoder ends in tanh. Its output is linear: a mean and a log-variance may be any numbers.")
def risk_of_a_tanh_encoder(params, h, eps, rho, kappa):
    return risk(params, h, eps, rho, kappa, forward=lambda *x: signals(*x, output=np.tanh))


@mistake("Your decoder ends linearly. Its output is tanh.")
def risk_of_a_linear_decoder(params, h, eps, rho, kappa):
    _, mu, a, _ = signals(params, h, eps)
    h_hat = layers(params["Wd"], params["td"], mu + np.exp(a / 2) * eps, np.copy)[-1]
    return rho * energy_of(params) + (((h - h_hat) ** 2).sum(axis=1) + kappa * J_of(mu, a)).mean()


def reversed_offsets(params):
    return {name: [-v for v in value] if name[0] == "t" else value for name, value in params.items()}


def risk_sample_by_sample(params, h, eps, rho, kappa):
    total = 0.0
    for sample, e in zip(h, eps, strict=True):
        y = sample
        for W, t in zip(params["We"][:-1], params["te"][:-1], strict=True):
            y = np.tanh(W.T @ y - t)
        output = params["We"][-1].T @ y - params["te"][-1]
        P = len(e)
        y = np.array([output[p] + np.exp(output[P + p] / 2) * e[p] for p in range(P)])
        for W, t in zip(params["Wd"], params["td"], strict=True):
            y = np.tanh(W.T @ y - t)
        J = sum(output[p] ** 2 + np.exp(output[P + p]) - output[P + p] for p in range(P))
        total += (np.dot(sample - y, sample - y) + kappa * J) / len(h)
    for W in params["We"] + params["Wd"]:
        total += rho * np.linalg.norm(W) ** 2
    return total


def torch_risk(params, h, eps, rho, kappa):
    import torch

    y = h
    for W, t in zip(params["We"][:-1], params["te"][:-1], strict=True):
        y = torch.tanh(y @ W - t)
    mu, a = (y @ params["We"][-1] - params["te"][-1]).chunk(2, dim=1)
    y = mu + a.exp().sqrt() * eps
    for W, t in zip(params["Wd"], params["td"], strict=True):
        y = torch.tanh(y @ W - t)
    square, J = (h - y).square().sum(), (mu.square() + a.exp() - a).sum()
    return rho * sum(W.square().sum() for W in params["We"] + params["Wd"]) + (square + kappa * J) / len(h)


def as_tensors(params, *arrays, dtype, grad=False):
    import torch

    def leaf(value):
        return torch.tensor(value, dtype=dtype, requires_grad=grad)

    moved = {name: [leaf(value) for value in values] for name, values in params.items()}
    return moved, *(torch.tensor(array, dtype=dtype) for array in arrays)


def risk_in_torch(params, h, eps, rho, kappa):
    import torch

    params, h, eps = as_tensors(params, h, eps, dtype=torch.float32)
    return torch_risk(params, h, eps, rho, kappa)


def risk_by_einsum(params, h, eps, rho, kappa):
    _, mu, a, yd = signals(params, h, eps)
    error = h - yd[-1]
    J = np.einsum("bp,bp->", mu, mu) + np.exp(a).sum() - a.sum()
    weights = np.concatenate([W.ravel() for W in params["We"] + params["Wd"]])
    return rho * weights @ weights + (np.einsum("bm,bm->", error, error) + kappa * J) / len(h)


# --------------------------------------------------------------------------------- 68.3, the boundary


@mistake("The factor kappa is missing. Where does J enter the listing? Here, and nowhere else.")
def boundary_not_scaled(mu, a, kappa):
    return divergence_boundary(mu, a, 1.0)


@mistake("You divide by kappa. A small kappa weakens the term: multiply.")
def boundary_divided(mu, a, kappa):
    return divergence_boundary(mu, a, 1 / kappa)


@mistake("Only the log-variances are scaled. J has a part for the means as well: both have the factor.")
def only_log_variances_scaled(mu, a, kappa):
    return np.hstack([2 * mu, kappa * (np.exp(a) - 1)])


@mistake("Only the means are scaled. J has a part for the log-variances as well: both have the factor.")
def only_means_scaled(mu, a, kappa):
    return np.hstack([2 * kappa * mu, np.exp(a) - 1])


@mistake(
    "You differentiate the divergence, which is half of J, up to a constant. The risk (68.37) is minus twice "
    "the bound: both of its terms are doubled."
)
def boundary_of_the_divergence(mu, a, kappa):
    return divergence_boundary(mu, a, kappa / 2)


@mistake("The derivative of mu^2 is 2 mu: the factor 2 is missing in the first half.")
def means_without_the_two(mu, a, kappa):
    return kappa * np.hstack([mu, np.exp(a) - 1])


@mistake("a is a log-variance, and J contains exp(a), not exp(a / 2). Its derivative in a is exp(a) - 1.")
def deviation_for_variance(mu, a, kappa):
    return kappa * np.hstack([2 * mu, np.exp(a / 2) - 1])


@mistake("The term -a of J is forgotten: its derivative is -1.")
def minus_one_forgotten(mu, a, kappa):
    return kappa * np.hstack([2 * mu, np.exp(a)])


@mistake("The two halves are exchanged: in the encoder's output the means come first.")
def halves_exchanged(mu, a, kappa):
    return kappa * np.hstack([np.exp(a) - 1, 2 * mu])


@mistake("The sign is wrong: J itself is differentiated, and grows with the means.")
def boundary_reversed(mu, a, kappa):
    return -divergence_boundary(mu, a, kappa)


@mistake(
    "You average over the batch already here. The boundary is the derivative of each sample's own J; the "
    "average comes with the gradients of the weights."
)
def boundary_averaged(mu, a, kappa):
    return divergence_boundary(mu, a, kappa) / len(mu)


def boundary_in_a_loop(mu, a, kappa):
    B, P = mu.shape
    x = np.empty((B, 2 * P), dtype=np.float32)
    for b in range(B):
        for p in range(P):
            x[b, p], x[b, P + p] = 2 * kappa * mu[b, p], kappa * (np.exp(a[b, p]) - 1)
    return x


def boundary_by_expm1(mu, a, kappa):
    return np.concatenate((kappa * (mu + mu), kappa * np.expm1(a)), axis=-1).tolist()


def boundary_by_torch(mu, a, kappa):
    import torch

    z = torch.tensor(np.hstack([mu, a]), requires_grad=True)
    mean, log_variance = z.chunk(2, dim=1)
    J = (mean**2 + log_variance.exp() - log_variance).sum()
    return kappa * torch.autograd.grad(J, z)[0]


def boundary_by_differences(mu, a, kappa):
    d = 1e-5
    in_mu = ((mu + d) ** 2 - (mu - d) ** 2) / (2 * d)
    in_a = (np.exp(a + d) - np.exp(a - d)) / (2 * d) - 1
    return kappa * np.column_stack([in_mu, in_a])


# ------------------------------------------------------------------------------------- 68.3, the step


@mistake("The factor kappa is missing. Where does J enter the listing? At the encoder's output.")
def step_not_scaled(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, 1.0)


@mistake("The boundary of J is divided by kappa. A small kappa weakens the term: multiply.")
def step_divided(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, 1 / kappa)


@mistake("Only the log-variances are scaled. J has a part for the means as well: both have the factor.")
def step_with_log_variances_scaled(params, h, eps, lr, rho, kappa):
    def boundary(delta, mu, a, kappa):
        return delta + only_log_variances_scaled.answer(mu, a, kappa)

    return stepped(params, h, eps, lr, rho, kappa, boundary=boundary)


@mistake("Only the means are scaled. J has a part for the log-variances as well: both have the factor.")
def step_with_means_scaled(params, h, eps, lr, rho, kappa):
    def boundary(delta, mu, a, kappa):
        return delta + only_means_scaled.answer(mu, a, kappa)

    return stepped(params, h, eps, lr, rho, kappa, boundary=boundary)


@mistake(
    "The share of J is half of what it should be. The risk has J, which is twice the divergence, beside the "
    "squared error without 1/2: the derivative is col{2 mu, exp(a) - 1}."
)
def step_with_the_divergence(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa / 2)


@mistake(
    "The sensitivity of the squared error is scaled as well, where it enters the encoder. Only one of the "
    "three terms of the risk has the factor kappa: scale the share of J before you add the two."
)
def kappa_on_delta_in_the_encoder(params, h, eps, lr, rho, kappa):
    def boundary(delta, mu, a, kappa):
        return kappa * added(delta, mu, a, 1.0)

    return stepped(params, h, eps, lr, rho, kappa, boundary=boundary)


@mistake(
    "Everything is scaled, the decoder's sensitivities, too. The decoder does not occur in J: its step does "
    "not depend on kappa."
)
def kappa_on_everything(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, at_end=lambda error, y: kappa * at_the_end(error, y))


@mistake("The term with rho is scaled as well. Only one of the three terms of the risk has the factor: J.")
def kappa_on_rho(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho * kappa, kappa)


@mistake("J does not appear in your step. Add its boundary to the sensitivity at the encoder's output.")
def no_divergence(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, 0.0)


@mistake(
    "You change the decoder's weights before the encoder's sensitivities are computed. The listing uses the "
    "old weights in all of them: first all sensitivities, then all updates."
)
def new_weights_in_the_transition(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, old=False)


@mistake(
    "You change the weights layer by layer on the way back, so that a sensitivity below goes through new "
    "weights. The listing means the old ones in all of them: first all sensitivities, then all updates."
)
def weights_changed_on_the_way(params, h, eps, lr, rho, kappa):
    def walk(W, theta, y, delta):
        W, theta = list(W), list(theta)
        for ell in reversed(range(len(W))):
            W[ell] = (1 - 2 * lr * rho) * W[ell] - lr * y[ell].T @ delta / len(h)
            theta[ell] = theta[ell] + lr * delta.mean(axis=0)
            delta = delta @ W[ell].T
            if ell:
                delta = delta * (1 - y[ell] ** 2)
        return W, theta, delta

    ye, mu, a, yd = signals(params, h, eps)
    Wd, td, in_u = walk(params["Wd"], params["td"], yd, at_the_end(yd[-1] - h, yd[-1]))
    at_output = added(through_the_draw(in_u, eps, a), mu, a, kappa)
    We, te, _ = walk(params["We"], params["te"], ye, at_output)
    return {"We": We, "te": te, "Wd": Wd, "td": td}


@mistake("The derivative of rho W^2 is 2 rho W: the factor 2 is missing, (1 - 2 lr rho) W - ....")
def half_the_decay(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, decay=1.0)


@mistake("The term with rho is missing: every weight matrix is multiplied by (1 - 2 lr rho).")
def no_decay(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, decay=0.0)


@mistake("The weights grow: (1 + 2 lr rho). A risk is made small, so its penalty shrinks them.")
def growth(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, decay=-2.0)


@mistake("The offsets shrink as well. The term with rho has the weight matrices only.")
def offsets_decay(params, h, eps, lr, rho, kappa):
    new = stepped(params, h, eps, lr, rho, kappa)
    for name in ("te", "td"):
        new[name] = [t - 2 * lr * rho * old for t, old in zip(new[name], params[name], strict=True)]
    return new


@mistake(
    "The squared error enters with half its weight: without a factor 1/2 in the risk, its derivative is "
    "2 (h_hat - h)."
)
def error_without_the_two(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, at_end=lambda error, y: at_the_end(error, y) / 2)


@mistake(
    "You descend minus the bound, half the squared error and the divergence. The risk is twice that: 2 "
    "(h_hat - h) at the end, col{2 mu, exp(a) - 1} at the encoder's output."
)
def step_on_minus_the_bound(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa / 2, at_end=lambda error, y: at_the_end(error, y) / 2)


@mistake("The decoder ends in tanh: its first sensitivity is 2 (h_hat - h) times 1 - h_hat^2.")
def no_slope_at_the_end(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr, rho, kappa, at_end=lambda error, y: 2 * error)


@mistake(
    "The slope of tanh is missing in the hidden layers: from layer to layer, a sensitivity goes back through "
    "the weights and is multiplied by 1 - y^2."
)
def no_slope_inside(params, h, eps, lr, rho, kappa):
    def back(W, y, delta):
        return sensitivities(W, [0 * signal for signal in y], delta)

    return stepped(params, h, eps, lr, rho, kappa, back=back)


@mistake(
    "The encoder's output is linear, f' = 1: what arrives there is not multiplied by 1 - y^2. Only the "
    "decoder's output is tanh."
)
def slope_at_the_encoders_output(params, h, eps, lr, rho, kappa):
    def boundary(delta, mu, a, kappa):
        return added(delta, mu, a, kappa) * (1 - np.hstack([mu, a]) ** 2)

    return stepped(params, h, eps, lr, rho, kappa, boundary=boundary)


@mistake("In the log-variances the factor 1/2 is missing: the derivative of exp(a / 2) is exp(a / 2) / 2.")
def draw_without_the_half(params, h, eps, lr, rho, kappa):
    def draw(in_u, eps, a):
        return np.hstack([in_u, in_u * eps * np.exp(a / 2)])

    return stepped(params, h, eps, lr, rho, kappa, draw=draw)


@mistake(
    "The draw is missing on the way back: the derivative of mu + exp(a / 2) eps in a is eps exp(a / 2) / 2."
)
def draw_without_eps(params, h, eps, lr, rho, kappa):
    def draw(in_u, eps, a):
        return np.hstack([in_u, in_u * np.exp(a / 2) / 2])

    return stepped(params, h, eps, lr, rho, kappa, draw=draw)


@mistake("On the way back through the draw, exp(a) stands for exp(a / 2): a is a log-variance.")
def draw_with_the_variance(params, h, eps, lr, rho, kappa):
    def draw(in_u, eps, a):
        return np.hstack([in_u, in_u * eps * np.exp(a) / 2])

    return stepped(params, h, eps, lr, rho, kappa, draw=draw)


@mistake("On the way back through the draw the two halves are exchanged: means come first, with factor 1.")
def draw_with_halves_exchanged(params, h, eps, lr, rho, kappa):
    def draw(in_u, eps, a):
        return np.hstack([in_u * eps * np.exp(a / 2) / 2, in_u])

    return stepped(params, h, eps, lr, rho, kappa, draw=draw)


@mistake(
    "Nothing comes back from the decoder through the log-variances. The draw mu + exp(a / 2) eps depends on "
    "them: multiply what reaches u by eps exp(a / 2) / 2."
)
def draw_without_log_variances(params, h, eps, lr, rho, kappa):
    def draw(in_u, eps, a):
        return np.hstack([in_u, 0 * in_u])

    return stepped(params, h, eps, lr, rho, kappa, draw=draw)


@mistake("Your step goes uphill. A risk is made small: subtract lr times the gradient.")
def step_uphill(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, -lr, rho, kappa)


@mistake("Your gradients are sums over the batch. The risk is a mean over the samples: divide by B.")
def step_with_sums(params, h, eps, lr, rho, kappa):
    return stepped(params, h, eps, lr * len(h), rho / len(h), kappa)


@mistake(
    "The offsets move the wrong way. They are subtracted, z = y @ W - theta, so their gradient is *minus* "
    "the mean sensitivity, and a step downhill adds lr times that mean."
)
def offsets_uphill(params, h, eps, lr, rho, kappa):
    new = stepped(params, h, eps, lr, rho, kappa)
    for name in ("te", "td"):
        new[name] = [2 * old - t for t, old in zip(new[name], params[name], strict=True)]
    return new


@mistake(
    "Your layers add the offsets, z = y @ W + theta. In this course they are subtracted, in the forward pass "
    "and with a minus in the gradient."
)
def step_with_offsets_added(params, h, eps, lr, rho, kappa):
    return reversed_offsets(stepped(reversed_offsets(params), h, eps, lr, rho, kappa))


@mistake("You return the gradients. Return the parameters after the step: old ones minus lr times gradient.")
def gradients_returned(params, h, eps, lr, rho, kappa):
    new = stepped(params, h, eps, lr, rho, kappa)
    return {name: [(old - n) / lr for n, old in zip(new[name], params[name], strict=True)] for name in params}


def step_by_torch(params, h, eps, lr, rho, kappa):
    import torch

    return torch_step(params, h, eps, lr, rho, kappa, dtype=torch.float64)


def step_in_single_precision(params, h, eps, lr, rho, kappa):
    import torch

    return torch_step(params, h, eps, lr, rho, kappa, dtype=torch.float32)


def torch_step(params, h, eps, lr, rho, kappa, dtype):
    leaves, h, eps = as_tensors(params, h, eps, dtype=dtype, grad=True)
    torch_risk(leaves, h, eps, rho, kappa).backward()
    return {name: [leaf - lr * leaf.grad for leaf in parts] for name, parts in leaves.items()}


def step_by_differences(params, h, eps, lr, rho, kappa):
    d, new = 1e-5, {}
    for name, parts in params.items():
        new[name] = [part.copy() for part in parts]
        for ell, part in enumerate(parts):
            for place in np.ndindex(part.shape):
                ends = []
                for sign in (d, -d):
                    moved = {key: [v.copy() for v in value] for key, value in params.items()}
                    moved[name][ell][place] += sign
                    ends.append(vae_risk(moved, h, eps, rho, kappa))
                new[name][ell][place] -= lr * (ends[0] - ends[1]) / (2 * d)
    return new


def step_sample_by_sample(params, h, eps, lr, rho, kappa):
    """Loop over the samples as the listing does, with columns; λ and δ apart."""
    new = {
        name: [(1 - 2 * lr * rho) * v if name[0] == "W" else v + 0 for v in value]
        for name, value in params.items()
    }
    B, P = eps.shape
    for sample, e in zip(h, eps, strict=True):
        ye, mu, a, yd = signals(params, sample[None], e[None])
        ye, mu, a, yd = [y[0] for y in ye], mu[0], a[0], [y[0] for y in yd]
        delta = 2 * (yd[-1] - sample) * (1 - yd[-1] ** 2)
        for ell in range(len(params["Wd"]) - 1, -1, -1):
            new["Wd"][ell] = new["Wd"][ell] - lr / B * np.outer(yd[ell], delta)
            new["td"][ell] = new["td"][ell] + lr / B * delta
            delta = params["Wd"][ell] @ delta * (1 - yd[ell] ** 2 if ell else 1)
        delta = np.r_[delta, [delta[p] * e[p] * np.exp(a[p] / 2) / 2 for p in range(P)]]
        lam = np.r_[2 * mu, np.exp(a) - 1]
        for ell in range(len(params["We"]) - 1, -1, -1):
            new["We"][ell] = new["We"][ell] - lr / B * np.outer(ye[ell], delta + kappa * lam)
            new["te"][ell] = new["te"][ell] + lr / B * (delta + kappa * lam)
            if ell:
                delta = (1 - ye[ell] ** 2) * (params["We"][ell] @ delta)
                lam = (1 - ye[ell] ** 2) * (params["We"][ell] @ lam)
    return new


def step_by_einsum(params, h, eps, lr, rho, kappa):
    ye, mu, a, yd = signals(params, h, eps)
    rate, new = lr / len(h), {"We": [], "te": [], "Wd": [], "td": []}
    d = 2 * (yd[-1] - h) * (1 - yd[-1] ** 2)
    for letter, y in (("d", yd), ("e", ye)):
        if letter == "e":
            d = np.concatenate([d + 2 * kappa * mu, d * eps / 2 * np.exp(a / 2) + kappa * np.expm1(a)], 1)
        for ell in reversed(range(len(params["W" + letter]))):
            W, t = params["W" + letter][ell], params["t" + letter][ell]
            new["W" + letter].insert(0, W - 2 * lr * rho * W - rate * np.einsum("bi,bj->ij", y[ell], d))
            new["t" + letter].insert(0, t + rate * np.einsum("bj->j", d))
            d = np.einsum("ij,bj->bi", W, d)
            d = d * (1 - y[ell] ** 2) if ell else d
    return new


PROBLEM_68_3 = Exercise(
    id="68.3",
    title="Scaled divergence term",
    mirrors="Problem 68.3 of Sayed's chapter, with the risk (68.39) and the listing (68.79); erratum S33",
    purpose="find the one place where a factor in front of the divergence enters the training step",
    minutes=45,
    statement="""
The divergence gets a factor $\\kappa>0$. Below 1, reconstructions become better and latents stray further
from the standard normal law; above 1, it is the other way round. As in chapter 6 the risk is minus *twice*
the bound, up to constants, so that what $\\kappa$ multiplies is $J$:

$$ \\mathcal P=\\rho\\sum_\\ell\\bigl(\\lVert W_{\\ell,e}\\rVert_F^2+\\lVert W_{\\ell,d}\\rVert_F^2\\bigr)
+\\frac1B\\sum_{b=1}^B\\lVert h_b-\\hat h_b\\rVert^2+\\frac\\kappa B\\sum_{b=1}^BJ(\\mu_b,a_b),\\qquad
J(\\mu,a)=\\sum_{p=1}^P\\bigl(\\mu_p^2+e^{a_p}-a_p\\bigr). $$

`params` is a dict of lists: weights `"We"` and offsets `"te"` of the encoder, `"Wd"` and `"td"` of the
decoder, one entry a layer. There may be any number of hidden layers, also none. Samples are rows, and a layer
is `z = y @ W - theta`; hidden layers are tanh, the encoder's output is linear, the decoder's is tanh. The
encoder's output is $\\operatorname{col}\\{\\mu,a\\}$, the $P$ means first, and the decoder's input
$u=\\mu+e^{a/2}\\odot\\epsilon$, with draws `eps` that are given. Neither `params` nor what is in it may be
changed: `W = W - x` makes a new array, `W -= x` does not.

1. `vae_risk(params, h, eps, rho, kappa)`: the risk, a number. `h` has the shape `(B, M)`, `eps` `(B, P)`.
2. `divergence_boundary(mu, a, kappa)`: for each sample the derivative of $\\kappa J$ in the encoder's
   outputs, where the sensitivities $\\lambda$ begin. `mu` and `a` have the shape `(B, P)`, the result
   `(B, 2P)`.
3. `vae_step(params, h, eps, lr, rho, kappa)`: the parameters after one gradient step of size `lr` on the
   risk, a dict of lists like `params`. Write the step of (68.79) first and check it with $\\kappa=1$; then
   find out what changes. (You can check it by difference quotients of your risk.)
""",
    functions=(
        Function(
            reference=vae_risk,
            points=1,
            outputs=(Output("risk", "a number"),),
            inputs=settings,
            right="The factor stands before J alone, squared errors and J are summed over pixels and latents "
            "and averaged over the batch.",
            hints=(
                "Write a small function for the signals of one network, and use it twice; between the two "
                "stands the draw.",
                "`np.split(output, 2, axis=1)` gives mu and a. Of each sample you need "
                "`((h - h_hat) ** 2).sum(axis=1)` and `(mu**2 + np.exp(a) - a).sum(axis=1)`.",
            ),
            mistakes=(
                risk_not_scaled,
                risk_divided,
                risk_with_kappa_on_both,
                risk_with_kappa_on_the_squares,
                divergence_instead_of_J,
                minus_the_bound,
                half_of_J,
                constant_taken_off,
                J_averaged_over_latents,
                squares_averaged_over_pixels,
                risk_of_the_sum,
                offsets_in_the_energy,
                no_energy,
                variance_for_deviation,
                risk_with_offsets_added,
                risk_of_a_tanh_encoder,
                risk_of_a_linear_decoder,
            ),
            alternatives=(risk_sample_by_sample, risk_in_torch, risk_by_einsum),
        ),
        Function(
            reference=divergence_boundary,
            points=1,
            outputs=(Output("boundary", "(B, 2P)"),),
            inputs=outputs_of_encoders,
            right="Both parts of J are differentiated, means first, and both have the factor.",
            hints=(
                "J is a sum of terms of one latent each. Differentiate mu^2 in mu, and exp(a) - a in a.",
                "`np.hstack([in_mu, in_a])` puts (B, P) and (B, P) side by side.",
            ),
            mistakes=(
                boundary_not_scaled,
                boundary_divided,
                only_log_variances_scaled,
                only_means_scaled,
                boundary_of_the_divergence,
                means_without_the_two,
                deviation_for_variance,
                minus_one_forgotten,
                halves_exchanged,
                boundary_reversed,
                boundary_averaged,
            ),
            alternatives=(
                boundary_in_a_loop,
                boundary_by_expm1,
                boundary_by_torch,
                boundary_by_differences,
            ),
        ),
        Function(
            reference=vae_step,
            points=4,
            outputs=(Output("params", "as params", tolerance=3e-6),),
            inputs=steps,
            right="The factor acts at the encoder's output, on the share of J; the decoder moves as without "
            "it.",
            hints=(
                "Backwards through the decoder: delta = 2 (h_hat - h) (1 - h_hat^2) at its output; from a "
                "hidden layer's upper neighbour, delta = (1 - y^2) * (delta_above @ W.T).",
                "What reaches u is `delta_first @ Wd[0].T`, shape (B, P). At the encoder's output it enters "
                "twice: as it is for the means, times eps exp(a / 2) / 2 for the log-variances. Add "
                "`divergence_boundary(mu, a, kappa)`.",
                "Then every W becomes (1 - 2 lr rho) W - lr y.T @ delta / B, with y below and delta above, "
                "and every theta becomes theta + lr times the mean of delta. All sensitivities come first, "
                "then all updates.",
            ),
            mistakes=(
                step_not_scaled,
                step_divided,
                step_with_log_variances_scaled,
                step_with_means_scaled,
                step_with_the_divergence,
                kappa_on_delta_in_the_encoder,
                kappa_on_everything,
                kappa_on_rho,
                no_divergence,
                new_weights_in_the_transition,
                weights_changed_on_the_way,
                half_the_decay,
                no_decay,
                growth,
                offsets_decay,
                error_without_the_two,
                step_on_minus_the_bound,
                no_slope_at_the_end,
                no_slope_inside,
                slope_at_the_encoders_output,
                draw_without_the_half,
                draw_without_eps,
                draw_with_the_variance,
                draw_with_halves_exchanged,
                draw_without_log_variances,
                step_uphill,
                step_with_sums,
                offsets_uphill,
                step_with_offsets_added,
                gradients_returned,
            ),
            alternatives=(
                step_by_torch,
                step_in_single_precision,
                step_by_differences,
                step_sample_by_sample,
                step_by_einsum,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
Let the sensitivities $\\delta_\\ell$ be derivatives of $\\lVert h-\\hat h\\rVert^2$ and $\\lambda_\\ell$
those of $J$, both in $z_\\ell$, and let $\\mathcal L_\\kappa=\\mathbb E_q\\ln f(h\\mid u)-\\kappa\\,
D_{KL}(q\\,\\Vert\\,f(u))$.

1. Show that (68.79) with $\\kappa$ is (68.79) with $\\kappa x_b$ in place of the boundary $x_b$ of (68.63),
   or equally with $\\beta_\\ell=\\delta_\\ell+\\kappa\\lambda_\\ell$ in the encoder, and that no other line
   changes.
2. The sources call $\\mathcal L_\\kappa$ a lower bound of $\\ln f(h)$ for $\\kappa\\in(0,1]$. For which
   $\\kappa$ is it one, whatever $q$ is? Give a $q$ that decides for all the others.
""",
        rubric=(
            (1, "says which sensitivities do not contain J at all, and why the decoder's step is unchanged"),
            (1, "shows by the recursion that the factor may stand at the boundary or in the sum"),
            (1, "proves the bound for kappa of at least 1"),
            (1, "shows that below 1 the exact posterior breaks it, unless that is the prior"),
        ),
    ),
)

SET = ProblemSet(
    name="06_training_a_vae",
    title="Training a variational autoencoder",
    opening="""
One exercise on [chapter 6](../06_training_a_vae.ipynb): the risk, the boundary of the divergence and one
whole training step, with a factor in front of the divergence. All you need here is NumPy, or any other
library that you like.
""",
    exercises=(PROBLEM_68_3,),
)
