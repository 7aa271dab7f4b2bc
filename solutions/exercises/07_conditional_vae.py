"""The problem set of chapter 7: labels for both networks, labels inferred, dropout, batch normalisation.

It mirrors Problems 68.4 to 68.7 of Sayed's chapter, which change the listing (68.79). References are plain
NumPy and do not use the library's `backprop` or `cvae`, so that they can be compared. Left out: whole
training steps with dropout and batch normalisation, which the library has.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

from itertools import pairwise

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

NETWORKS = """Samples are rows, and a layer is `z = y @ W - theta`. Hidden layers are tanh, the encoder's
output is linear, the decoder's is tanh; there may be any number of hidden layers, also none. `params` is a
dict of lists, one entry a layer: weights `"We"` and offsets `"te"` of the encoder, `"Wd"` and `"td"` of the
decoder. The encoder's output is $\\operatorname{col}\\{\\mu,a\\}$, means first, $a$ being log-variances, and
$u=\\mu+e^{a/2}\\odot\\epsilon$ with draws `eps` $(B, P)$ that are given. Neither `params` nor what is in it
may be changed: `W = W - x` makes a new array, `W -= x` does not."""

# ---------------------------------------------------------------------------------------------- networks


def layers(W, theta, x, output):
    """Return the signals of all layers, the input first: tanh inside, `output` at the end."""
    y = [x]
    for ell, (w, t) in enumerate(zip(W, theta, strict=True)):
        f = output if ell == len(W) - 1 else np.tanh
        y.append(f(y[-1] @ w - t))
    return y


def sensitivities(W, y, delta):
    """Return those of all layers above the input, from that of the last one."""
    deltas = [delta]
    for ell in range(len(W) - 1, 0, -1):
        deltas.insert(0, (1 - y[ell] ** 2) * (deltas[0] @ W[ell].T))
    return deltas


def descended(W, theta, y, deltas, lr, decay):
    """Return weights and offsets after a step of size lr."""
    B = len(y[0])
    parts = zip(W, y[:-1], deltas, strict=True)
    new_W = [(1 - lr * decay) * w - lr * below.T @ d / B for w, below, d in parts]
    return new_W, [t + lr * d.mean(axis=0) for t, d in zip(theta, deltas, strict=True)]


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def divergence_boundary(mu, a):
    return np.hstack([2 * mu, np.exp(a) - 1])


def J_of(mu, a):
    return (mu**2 + np.exp(a) - a).sum(axis=1)


def energy_of(params):
    return sum((W**2).sum() for name in params if name[0] == "W" for W in params[name])


def drawn_params(rng, **networks):
    """Draw weights, and offsets that are not zero, for networks named by a letter, of these sizes."""
    params = {}
    for letter, sizes in networks.items():
        params[f"W{letter}"] = [np.round(0.6 * rng.normal(size=pair), 3) for pair in pairwise(sizes)]
        params[f"t{letter}"] = [np.round(0.5 * rng.normal(size=n), 3) for n in sizes[1:]]
    return params


def drawn_batch(rng, B, M, P):
    """Draw samples and draws."""
    return np.round(rng.uniform(-0.9, 0.9, (B, M)), 3), np.round(rng.normal(size=(B, P)), 3)


def drawn_labels(rng, B, C):
    """Draw one-hot labels; every class that fits into the batch occurs."""
    return np.eye(C)[rng.permutation(np.arange(B) % C)]


def parts_moved(old, new, change, names):
    """Return new parameters, those with these names replaced by change(old, new)."""
    return {
        name: [change(o, n) for o, n in zip(old[name], new[name], strict=True)]
        if name in names
        else new[name]
        for name in new
    }


def reversed_offsets(params):
    return {name: [-v for v in value] if name[0] == "t" else value for name, value in params.items()}


def by_autograd(params, risk, lr, dtype, *arrays):
    """Return parameters after a step by PyTorch: risk(params, *arrays) in tensors."""
    import torch

    leaves = {
        name: [torch.tensor(part, dtype=dtype, requires_grad=True) for part in parts]
        for name, parts in params.items()
    }
    risk(leaves, *(torch.tensor(array, dtype=dtype) for array in arrays)).backward()
    return {name: [leaf - lr * leaf.grad for leaf in parts] for name, parts in leaves.items()}


def torch_layers(W, theta, y, factors=None):
    """Return the last z: tanh inside, times a factor a layer if there are any."""
    import torch

    for ell, (w, t) in enumerate(zip(W, theta, strict=True)):
        if ell:
            y = torch.tanh(y) if factors is None else torch.tanh(y) * factors[ell - 1]
        y = y @ w - t
    return y


def by_differences(params, risk, lr):
    """Return parameters after a step by central differences of risk(params)."""
    d, new = 1e-5, {}
    for name, parts in params.items():
        new[name] = [part.copy() for part in parts]
        for ell, part in enumerate(parts):
            for place in np.ndindex(part.shape):
                ends = []
                for sign in (d, -d):
                    moved = {key: [v.copy() for v in value] for key, value in params.items()}
                    moved[name][ell][place] += sign
                    ends.append(risk(moved))
                new[name][ell][place] -= lr * (ends[0] - ends[1]) / (2 * d)
    return new


def one_sample_back(W, y, delta):
    """Return for one sample the gradients (in W, in theta) of each layer, and the one in the input."""
    found, back = [], None
    for ell in reversed(range(len(W))):
        found.insert(0, (np.outer(y[ell], delta), -delta))
        back = W[ell] @ delta
        delta = back * (1 - y[ell] ** 2)
    return found, back


def sample_by_sample(params, gradients_of_sample, B, lr, rho):
    """Return parameters after a step: gradients_of_sample(b) gives the gradients of each network."""
    new = {
        name: [(1 - 2 * lr * rho) * v if name[0] == "W" else v + 0 for v in value]
        for name, value in params.items()
    }
    for b in range(B):
        for letter, found in gradients_of_sample(b).items():
            for ell, (in_W, in_theta) in enumerate(found):
                new["W" + letter][ell] = new["W" + letter][ell] - lr / B * in_W
                new["t" + letter][ell] = new["t" + letter][ell] - lr / B * in_theta
    return new


# -------------------------------------------------------------------------------------------------- 68.4


def transition_delta(W1d, delta2, mu, a, eps, fprime):
    """Return the sensitivity at the encoder's output, (B, 2P), from delta2 (B, n)."""
    in_u = delta2 @ W1d[: mu.shape[1]].T  # (B, P)
    return np.hstack([in_u, in_u * eps * np.exp(a / 2) / 2]) * fprime


def cvae_step(params, h, gamma, eps, lr, rho):
    """Return the parameters after one gradient step on the risk: a dict like params."""
    return labelled_step(params, h, gamma, eps, lr, rho)


def col(x, gamma):
    return np.hstack([x, gamma])


def labelled_step(
    params,
    h,
    gamma,
    eps,
    lr,
    rho,
    *,
    transition=transition_delta,
    join=col,
    to_encoder=1,
    to_decoder=1,
    J=1,
    decay=2,
    old=True,
):
    """Return the parameters after a step with labels; some of its parts can be gone wrong at."""
    ye = layers(params["We"], params["te"], join(h, to_encoder * gamma), np.copy)
    mu, a = np.split(ye[-1], 2, axis=1)
    u = mu + np.exp(a / 2) * eps
    yd = layers(params["Wd"], params["td"], join(u, to_decoder * gamma), np.tanh)
    delta_d = sensitivities(params["Wd"], yd, 2 * (yd[-1] - h) * (1 - yd[-1] ** 2))
    Wd, td = descended(params["Wd"], params["td"], yd, delta_d, lr, decay * rho)
    first = params["Wd"][0] if old else Wd[0]
    at_output = transition(first, delta_d[0], mu, a, eps, np.ones_like(ye[-1]))
    beta = sensitivities(params["We"], ye, at_output + J * divergence_boundary(mu, a))
    We, te = descended(params["We"], params["te"], ye, beta, lr, decay * rho)
    return {"We": We, "te": te, "Wd": Wd, "td": td}


def labelled_risk(params, h, gamma, eps, rho):
    mu, a = np.split(layers(params["We"], params["te"], col(h, gamma), np.copy)[-1], 2, axis=1)
    h_hat = layers(params["Wd"], params["td"], col(mu + np.exp(a / 2) * eps, gamma), np.tanh)[-1]
    return rho * energy_of(params) + (((h - h_hat) ** 2).sum(axis=1) + J_of(mu, a)).mean()


def transitions(rng):
    """Yield first weights of a decoder, what comes back to them, and the encoder's output."""
    W1d = np.array([[1.0, 2], [3, 4], [5, 6]])
    yield W1d, np.array([[1.0, -1]]), np.array([[0.5]]), np.zeros((1, 1)), np.array([[2.0]]), np.ones((1, 2))
    for B, P, C, n in [(5, 2, 3, 4), (3, 3, 2, 6), (6, 2, 5, 3), (4, 4, 1, 5)]:
        mu, a, eps = (np.round(rng.normal(size=(B, P)), 3) for _ in range(3))
        W1d, delta2 = (np.round(rng.normal(size=size), 3) for size in ((P + C, n), (B, n)))
        yield W1d, delta2, mu, a, eps, np.round(rng.uniform(0.2, 1, (B, 2 * P)), 3)


SMALL = {
    "We": [np.array([[1.0, 0.5], [-1, 1], [0.5, -0.5], [0, 1]])],
    "te": [np.array([0.5, -0.5])],
    "Wd": [np.array([[1.0, -2], [0.5, 1], [-1, 0]])],
    "td": [np.array([-0.5, 0.5])],
}


def labelled_batches(rng):
    """Yield networks, batches with labels, draws, step size, rho: depths and sizes differ."""
    yield SMALL, np.array([[0.5, -0.5]]), np.array([[0.0, 1]]), np.array([[1.0]]), 0.25, 0.1
    for B, M, C, P, inside, outside, rho in [
        (6, 5, 3, 2, [4], [7], 0.1),
        (7, 3, 2, 1, [6, 5], [4], 0.05),
        (5, 4, 4, 3, [], [5, 6], 0.2),
        (8, 6, 2, 3, [5], [4], 0.3),
    ]:
        params = drawn_params(rng, e=[M + C, *inside, 2 * P], d=[P + C, *outside, M])
        h, eps = drawn_batch(rng, B, M, P)
        yield params, h, drawn_labels(rng, B, C), eps, round(rng.uniform(0.1, 0.3), 3), rho


def through(in_u, first, second, fprime):
    return np.hstack([in_u * first, in_u * second]) * fprime


@mistake(
    "You take the last P rows of W1d. The decoder's input is col{u, gamma}, u first: the *leading* P rows "
    "belong to u, those after them to the label."
)
def trailing_rows(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[-mu.shape[1] :].T, 1, eps * np.exp(a / 2) / 2, fprime)


@mistake("In the log-variances the factor 1/2 is missing: the derivative of exp(a / 2) is exp(a / 2) / 2.")
def half_missing(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, eps * np.exp(a / 2), fprime)


@mistake("a is a log-variance: the standard deviation is exp(a / 2), and so is its derivative, but for 1/2.")
def variance_for_deviation(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, eps * np.exp(a) / 2, fprime)


@mistake(
    "You differentiate exp(a) eps. u = mu + exp(a / 2) eps, since a is a log-variance: the derivative in a "
    "is eps exp(a / 2) / 2."
)
def derivative_of_the_variance(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, eps * np.exp(a), fprime)


@mistake("eps is missing. u = mu + exp(a / 2) eps is linear in eps, and so is its derivative in a.")
def draw_missing(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, np.exp(a / 2) / 2, fprime)


@mistake("The two blocks are exchanged. Means come first in the encoder's output, and their factor is 1.")
def blocks_exchanged(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, eps * np.exp(a / 2) / 2, 1, fprime)


@mistake(
    "Nothing comes back through the log-variances: the second half is zero. The draw depends on them, too."
)
def means_only(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, 0 * a, fprime)


@mistake("Both halves are what reaches u. The second must be multiplied by the derivative of u in a.")
def same_in_both_halves(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, 1, fprime)


@mistake("The factor fprime is missing: it is the slope of the encoder's output layer.")
def slope_of_the_output_missing(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, 1, eps * np.exp(a / 2) / 2, 1)


@mistake("The first half is multiplied by mu. The derivative of u = mu + exp(a / 2) eps in mu is 1.")
def times_the_mean(W1d, delta2, mu, a, eps, fprime):
    return through(delta2 @ W1d[: mu.shape[1]].T, mu, eps * np.exp(a / 2) / 2, fprime)


@mistake(
    "The boundary of J is added here. Only the sensitivity of the squared error is asked for; J comes to it "
    "in the training step."
)
def divergence_added(W1d, delta2, mu, a, eps, fprime):
    return transition_delta(W1d, delta2, mu, a, eps, fprime) + divergence_boundary(mu, a) * fprime


@mistake(
    "You average over the batch already here. These are the sensitivities of each sample; the average comes "
    "with the gradients of the weights."
)
def transition_averaged(W1d, delta2, mu, a, eps, fprime):
    return transition_delta(W1d, delta2, mu, a, eps, fprime) / len(mu)


def transition_in_a_loop(W1d, delta2, mu, a, eps, fprime):
    B, P = mu.shape
    delta = np.zeros((B, 2 * P), dtype=np.float32)
    for b in range(B):
        for p in range(P):
            in_u = sum(W1d[p, i] * delta2[b, i] for i in range(W1d.shape[1]))
            delta[b, p] = in_u * fprime[b, p]
            delta[b, P + p] = in_u * 0.5 * eps[b, p] * np.exp(0.5 * a[b, p]) * fprime[b, P + p]
    return delta


def transition_by_einsum(W1d, delta2, mu, a, eps, fprime):
    P = a.shape[-1]
    s = np.concatenate([np.ones_like(a), 0.5 * eps * np.sqrt(np.exp(a))], axis=1)
    return s * fprime * np.tile(np.einsum("pi,bi->bp", W1d[:P], delta2), 2)


def transition_by_torch(W1d, delta2, mu, a, eps, fprime):
    import torch

    W1d, delta2, mu, a, eps, fprime = map(torch.tensor, (W1d, delta2, mu, a, eps, fprime))
    z = torch.cat([mu, a], dim=1).requires_grad_()
    mean, log_variance = z.chunk(2, dim=1)
    u = mean + torch.exp(log_variance / 2) * eps
    received = u @ W1d[: mu.shape[1]]
    return torch.autograd.grad(received, z, grad_outputs=delta2)[0] * fprime


def transition_with_the_whole_matrix(W1d, delta2, mu, a, eps, fprime):
    in_input = (W1d @ delta2.T).T  # (B, P + C): in u and in gamma
    in_u, _ = np.split(in_input, [mu.shape[1]], axis=1)
    return np.column_stack([in_u, in_u * (eps * np.exp(a / 2)) / 2]) * fprime


@mistake(
    "What comes back to the encoder goes through the last P rows of the decoder's first weights. The input "
    "is col{u, gamma}: the leading P rows belong to u."
)
def step_with_trailing_rows(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, transition=trailing_rows.answer)


@mistake(
    "You put the label first. The order is col{h, gamma} in the encoder's input and col{u, gamma} in the "
    "decoder's."
)
def label_first(params, h, gamma, eps, lr, rho):
    return labelled_step(
        params,
        h,
        gamma,
        eps,
        lr,
        rho,
        join=lambda x, gamma: np.hstack([gamma, x]),
        transition=trailing_rows.answer,
    )


@mistake(
    "The rows of the decoder's first weights that belong to the label get no gradient. It is "
    "y.T @ delta with the *whole* input col{u, gamma} for y, although only u goes back to the encoder."
)
def label_rows_of_the_decoder_not_moved(params, h, gamma, eps, lr, rho):
    new, P = labelled_step(params, h, gamma, eps, lr, rho), eps.shape[1]
    kept = (1 - 2 * lr * rho) * params["Wd"][0][P:]
    return new | {"Wd": [np.vstack([new["Wd"][0][:P], kept]), *new["Wd"][1:]]}


@mistake(
    "The rows of the encoder's first weights that belong to the label get no gradient. It is y.T @ delta "
    "with the whole input col{h, gamma} for y."
)
def label_rows_of_the_encoder_not_moved(params, h, gamma, eps, lr, rho):
    new, M = labelled_step(params, h, gamma, eps, lr, rho), h.shape[1]
    kept = (1 - 2 * lr * rho) * params["We"][0][M:]
    return new | {"We": [np.vstack([new["We"][0][:M], kept]), *new["We"][1:]]}


@mistake(
    "The rows of both first weights that belong to the label get no gradient. It is y.T @ delta with the "
    "whole inputs col{h, gamma} and col{u, gamma} for y."
)
def label_rows_not_moved(params, h, gamma, eps, lr, rho):
    case = params, h, gamma, eps, lr, rho
    of_decoder = label_rows_of_the_decoder_not_moved.answer(*case)["Wd"]
    return label_rows_of_the_encoder_not_moved.answer(*case) | {"Wd": of_decoder}


@mistake("Your encoder does not see the label: put gamma, not zeros, beside h.")
def encoder_without_label(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, to_encoder=0)


@mistake("Your decoder does not see the label: put gamma, not zeros, beside u.")
def decoder_without_label(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, to_decoder=0)


@mistake("The factor 1/2 of the derivative of exp(a / 2) is missing, on the way back through the draw.")
def step_with_half_missing(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, transition=half_missing.answer)


@mistake("eps is missing on the way back through the draw: the derivative of u in a is eps exp(a / 2) / 2.")
def step_with_draw_missing(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, transition=draw_missing.answer)


@mistake("The two blocks are exchanged on the way back through the draw: means come first, with factor 1.")
def step_with_blocks_exchanged(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, transition=blocks_exchanged.answer)


@mistake("Nothing comes back through the log-variances. The draw depends on them: eps exp(a / 2) / 2.")
def step_with_means_only(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, transition=means_only.answer)


@mistake("J is missing: add col{2 mu, exp(a) - 1} at the encoder's output.")
def no_divergence(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, J=0)


@mistake(
    "J enters with half its weight. The risk (68.88) has J, twice the divergence, beside the squared error "
    "without 1/2: the boundary is col{2 mu, exp(a) - 1}."
)
def half_the_divergence(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, J=0.5)


@mistake(
    "You change the decoder's weights before the encoder's sensitivities are computed. The listing uses the "
    "old weights in all of them: first all sensitivities, then all updates."
)
def new_weights_in_the_transition(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, old=False)


@mistake("The derivative of rho W^2 is 2 rho W: the factor 2 is missing, (1 - 2 lr rho) W - ....")
def half_the_decay(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, decay=1)


@mistake("The term with rho is missing: every weight matrix is multiplied by (1 - 2 lr rho).")
def no_decay(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr, rho, decay=0)


@mistake(
    "The offsets move the wrong way. They are subtracted, z = y @ W - theta, so their gradient is *minus* "
    "the mean sensitivity, and a step downhill adds lr times that mean."
)
def offsets_uphill(params, h, gamma, eps, lr, rho):
    new = labelled_step(params, h, gamma, eps, lr, rho)
    return parts_moved(params, new, lambda o, n: 2 * o - n, ("te", "td"))


@mistake("Your layers add the offsets, z = y @ W + theta. In this course they are subtracted.")
def offsets_added(params, h, gamma, eps, lr, rho):
    return reversed_offsets(labelled_step(reversed_offsets(params), h, gamma, eps, lr, rho))


@mistake("Your gradients are sums over the batch. The risk is a mean over the samples: divide by B.")
def step_with_sums(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, lr * len(h), rho / len(h))


@mistake("Your step goes uphill. A risk is made small: subtract lr times the gradient.")
def step_uphill(params, h, gamma, eps, lr, rho):
    return labelled_step(params, h, gamma, eps, -lr, rho)


def torch_cvae(params, h, gamma, eps, rho):
    import torch

    mu, a = torch_layers(params["We"], params["te"], torch.cat([h, gamma], 1)).chunk(2, dim=1)
    u = mu + torch.exp(a / 2) * eps
    h_hat = torch.tanh(torch_layers(params["Wd"], params["td"], torch.cat([u, gamma], 1)))
    data = (h - h_hat).square().sum(dim=1) + (mu.square() + a.exp() - a).sum(dim=1)
    return rho * sum(W.square().sum() for W in params["We"] + params["Wd"]) + data.mean()


def cvae_by_torch(params, h, gamma, eps, lr, rho):
    import torch

    return by_autograd(params, lambda p, *x: torch_cvae(p, *x, rho), lr, torch.float64, h, gamma, eps)


def cvae_in_single_precision(params, h, gamma, eps, lr, rho):
    import torch

    return by_autograd(params, lambda p, *x: torch_cvae(p, *x, rho), lr, torch.float32, h, gamma, eps)


def cvae_by_differences(params, h, gamma, eps, lr, rho):
    return by_differences(params, lambda p: labelled_risk(p, h, gamma, eps, rho), lr)


def cvae_sample_by_sample(params, h, gamma, eps, lr, rho):
    (B, P), We, Wd = eps.shape, params["We"], params["Wd"]

    def gradients(b):
        ye = layers(We, params["te"], np.r_[h[b], gamma[b]], np.copy)
        mu, a = ye[-1][:P], ye[-1][P:]
        yd = layers(Wd, params["td"], np.r_[mu + np.exp(a / 2) * eps[b], gamma[b]], np.tanh)
        of_decoder, back = one_sample_back(Wd, yd, 2 * (yd[-1] - h[b]) * (1 - yd[-1] ** 2))
        in_u = back[:P]
        delta = np.r_[in_u + 2 * mu, in_u * eps[b] / 2 * np.exp(a / 2) + np.exp(a) - 1]
        return {"d": of_decoder, "e": one_sample_back(We, ye, delta)[0]}

    return sample_by_sample(params, gradients, B, lr, rho)


P4 = Exercise(
    id="68.4",
    title="Labels for encoder and decoder",
    mirrors="Problem 68.4 of Sayed's chapter, with (68.85) to (68.95) and the listing (68.79)",
    purpose="see what a label changes in a training step, and what it leaves as it was",
    minutes=40,
    statement=f"""
{NETWORKS}

Now each sample $h$ $(M)$ comes with a label $\\gamma$ $(C)$, one-hot, and both networks see it: the encoder's
input is $h'=\\operatorname{{col}}\\{{h,\\gamma\\}}$, the decoder's
$u'=\\operatorname{{col}}\\{{u,\\gamma\\}}$, labels last. Reconstructed is $h$ alone. The risk is

$$ \\mathcal P=\\rho\\sum_\\ell\\bigl(\\lVert W_{{\\ell,e}}\\rVert_F^2+\\lVert W_{{\\ell,d}}\\rVert_F^2\\bigr)
+\\frac1B\\sum_{{b=1}}^B\\bigl(\\lVert h_b-\\hat h_b\\rVert^2+J(\\mu_b,a_b)\\bigr),\\qquad
J(\\mu,a)=\\sum_{{p=1}}^P\\bigl(\\mu_p^2+e^{{a_p}}-a_p\\bigr). $$

1. `transition_delta(W1d, delta2, mu, a, eps, fprime)`: the sensitivity $\\delta_{{L_e,e}}$ of
   $\\lVert h-\\hat h\\rVert^2$ at the encoder's output, shape `(B, 2P)`, without the share of $J$. `W1d` has
   the shape `(P + C, n)`; `delta2`, `(B, n)`, is the sensitivity of the decoder's layer to which `W1d` leads;
   `mu`, `a` and `eps` have the shape `(B, P)`; `fprime`, `(B, 2P)`, is the slope of the encoder's output
   layer, which need not be 1 here.
2. `cvae_step(params, h, gamma, eps, lr, rho)`: the parameters after one gradient step of size `lr` on the
   risk, a dict of lists like `params`. `gamma` has the shape `(B, C)`.
""",
    functions=(
        Function(
            reference=transition_delta,
            points=2,
            outputs=(Output("delta", "(B, 2P)"),),
            inputs=transitions,
            right="Only the rows that belong to u lead back to the encoder, once for the means and once for "
            "the log-variances.",
            hints=(
                "The label does not depend on the encoder. Which rows of W1d multiply u, and which gamma?",
                "`delta2 @ W1d[:P].T` is the derivative in u, shape (B, P). u = mu + exp(a / 2) eps: "
                "differentiate it in mu and in a.",
            ),
            mistakes=(
                trailing_rows,
                half_missing,
                variance_for_deviation,
                derivative_of_the_variance,
                draw_missing,
                blocks_exchanged,
                means_only,
                same_in_both_halves,
                slope_of_the_output_missing,
                times_the_mean,
                divergence_added,
                transition_averaged,
            ),
            alternatives=(
                transition_in_a_loop,
                transition_by_einsum,
                transition_by_torch,
                transition_with_the_whole_matrix,
            ),
        ),
        Function(
            reference=cvae_step,
            points=3,
            outputs=(Output("params", "as params", tolerance=3e-6),),
            inputs=labelled_batches,
            right="Both inputs are enlarged, their whole length enters the gradients, and only u leads back.",
            hints=(
                "Begin with your step of 68.3 (with kappa = 1) and enlarge both inputs: "
                "`np.hstack([h, gamma])`, `np.hstack([u, gamma])`.",
                "Three lines change: the two inputs, and the transition, where `transition_delta` comes in "
                "with fprime = 1. The gradients of the first weights use the enlarged inputs by themselves.",
                "At the encoder's output: `transition_delta(...) + np.hstack([2 * mu, np.exp(a) - 1])`.",
            ),
            mistakes=(
                step_with_trailing_rows,
                label_first,
                label_rows_of_the_decoder_not_moved,
                label_rows_of_the_encoder_not_moved,
                label_rows_not_moved,
                encoder_without_label,
                decoder_without_label,
                step_with_half_missing,
                step_with_draw_missing,
                step_with_blocks_exchanged,
                step_with_means_only,
                no_divergence,
                half_the_divergence,
                new_weights_in_the_transition,
                half_the_decay,
                no_decay,
                offsets_uphill,
                offsets_added,
                step_with_sums,
                step_uphill,
            ),
            alternatives=(
                cvae_by_torch,
                cvae_in_single_precision,
                cvae_by_differences,
                cvae_sample_by_sample,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
Show that the listing (68.79) holds with $h'$ and $u'$ in place of $h$ and $u$:

1. derive the sensitivity at the encoder's output, (68.94), by the chain rule through all entries of $u'$;
2. say which sensitivities and gradients change their formula, and which only their size.
""",
        rubric=(
            (
                1,
                "writes the sum over all entries of the decoder's input and drops those of the label, with a "
                "reason",
            ),
            (1, "differentiates the draw in means and log-variances, and finds the leading rows"),
            (1, "goes through the other lines of the listing, the gradients of both first weights included"),
        ),
    ),
)

# -------------------------------------------------------------------------------------------------- 68.5


def classifier_boundary(W1d, delta2, gamma_hat, gamma, P, eta):
    """Return the sensitivity at the label network's output, before its softmax: (B, C)."""
    r = delta2 @ W1d[P:].T  # (B, C), the derivative in gamma_hat
    return through_softmax(r, gamma_hat) + eta * (gamma_hat - gamma)


def parallel_cvae_step(params, h, gamma, eps, lr, rho, eta):
    """Return the parameters after one gradient step on the risk: a dict like params."""
    return parallel_step(params, h, gamma, eps, lr, rho, eta)


def through_softmax(r, gamma_hat):
    return gamma_hat * (r - (gamma_hat * r).sum(axis=1, keepdims=True))


def parallel_step(
    params,
    h,
    gamma,
    eps,
    lr,
    rho,
    eta,
    *,
    boundary=classifier_boundary,
    transition=transition_delta,
    fed=lambda gamma_hat, gamma: gamma_hat,
    J=1,
    decay=2,
    decay_of_labels=2,
    old=True,
):
    """Return the parameters of three networks after a step; some of its parts can be gone wrong at."""
    P = eps.shape[1]
    ye = layers(params["We"], params["te"], h, np.copy)
    yc = layers(params["Wc"], params["tc"], h, softmax)
    mu, a = np.split(ye[-1], 2, axis=1)
    joined = np.hstack([mu + np.exp(a / 2) * eps, fed(yc[-1], gamma)])
    yd = layers(params["Wd"], params["td"], joined, np.tanh)
    delta_d = sensitivities(params["Wd"], yd, 2 * (yd[-1] - h) * (1 - yd[-1] ** 2))
    Wd, td = descended(params["Wd"], params["td"], yd, delta_d, lr, decay * rho)
    first = params["Wd"][0] if old else Wd[0]
    at_output = transition(first, delta_d[0], mu, a, eps, np.ones_like(ye[-1]))
    beta = sensitivities(params["We"], ye, at_output + J * divergence_boundary(mu, a))
    delta_c = sensitivities(params["Wc"], yc, boundary(first, delta_d[0], yc[-1], gamma, P, eta))
    We, te = descended(params["We"], params["te"], ye, beta, lr, decay * rho)
    Wc, tc = descended(params["Wc"], params["tc"], yc, delta_c, lr, decay_of_labels * rho)
    return {"We": We, "te": te, "Wd": Wd, "td": td, "Wc": Wc, "tc": tc}


def parallel_risk(params, h, gamma, eps, rho, eta):
    mu, a = np.split(layers(params["We"], params["te"], h, np.copy)[-1], 2, axis=1)
    gamma_hat = layers(params["Wc"], params["tc"], h, softmax)[-1]
    h_hat = layers(params["Wd"], params["td"], col(mu + np.exp(a / 2) * eps, gamma_hat), np.tanh)[-1]
    data = ((h - h_hat) ** 2).sum(axis=1) + J_of(mu, a) - eta * (gamma * np.log(gamma_hat)).sum(axis=1)
    return rho * energy_of(params) + data.mean()


def label_outputs(rng):
    """Yield first weights of a decoder, what comes back to them, probabilities, one-hot labels, P, eta."""
    W1d = np.array([[9.0, 9], [1, 2], [3, 4], [5, 6]])
    right, thought = np.array([[1.0, 0, 0]]), np.array([[0.5, 0.25, 0.25]])
    yield W1d, np.array([[1.0, -0.5]]), thought, right, 1, 0.0
    yield W1d, np.array([[1.0, -0.5]]), thought, right, 1, 2.0
    for B, P, C, n, eta in [(5, 2, 3, 4, 0.5), (4, 3, 2, 5, 1.0), (7, 1, 5, 3, 3.0), (6, 4, 4, 2, 0.3)]:
        W1d, delta2 = rng.normal(size=(P + C, n)).round(3), rng.normal(size=(B, n)).round(3)
        yield W1d, delta2, softmax(rng.normal(size=(B, C))), drawn_labels(rng, B, C), P, eta


def parallel_batches(rng):
    """Yield three networks, batches with labels, draws, step size, rho, eta: all sizes differ."""
    small = {
        "We": [np.array([[1.0, 0.5], [-1, 1]])],
        "te": [np.array([0.5, -0.5])],
        "Wd": [np.array([[1.0, -2], [0.5, 1], [-1, 0], [1, 1]])],
        "td": [np.array([-0.5, 0.5])],
        "Wc": [np.array([[1.0, 0, -1], [0.5, -0.5, 1]])],
        "tc": [np.array([0.5, -1, 0])],
    }
    yield small, np.array([[0.5, -0.5]]), np.array([[0.0, 1, 0]]), np.array([[1.0]]), 0.25, 0.1, 2.0
    for B, M, C, P, inside, outside, beside, rho, eta in [
        (6, 5, 3, 2, [4], [7], [6], 0.1, 0.7),
        (7, 3, 2, 1, [6, 5], [4], [5, 7], 0.05, 3.0),
        (5, 4, 4, 3, [], [5, 6], [], 0.2, 0.0),
        (8, 6, 2, 3, [5], [4], [3], 0.3, 1.5),
    ]:
        params = drawn_params(rng, e=[M, *inside, 2 * P], d=[P + C, *outside, M], c=[M, *beside, C])
        h, eps = drawn_batch(rng, B, M, P)
        yield params, h, drawn_labels(rng, B, C), eps, round(rng.uniform(0.1, 0.3), 3), rho, eta


@mistake(
    "The softmax is missing on the way back from the decoder. gamma_hat is not entry-wise in z: every "
    "probability depends on every z, so what comes back is multiplied by diag(gamma_hat) - gamma_hat "
    "gamma_hat^T."
)
def no_softmax_jacobian(W1d, delta2, gamma_hat, gamma, P, eta):
    return delta2 @ W1d[P:].T + eta * (gamma_hat - gamma)


@mistake(
    "You treat the softmax like a sigmoid in each entry, with slope gamma_hat (1 - gamma_hat). Every "
    "probability depends on every z: the entries off the diagonal, -gamma_hat(c) gamma_hat(d), are missing."
)
def diagonal_of_the_jacobian(W1d, delta2, gamma_hat, gamma, P, eta):
    return gamma_hat * (1 - gamma_hat) * (delta2 @ W1d[P:].T) + eta * (gamma_hat - gamma)


@mistake(
    "Nothing comes back from the decoder. gamma_hat is an input of the decoder, so the squared error depends "
    "on it, too: through the last C rows of W1d."
)
def decoder_part_missing(W1d, delta2, gamma_hat, gamma, P, eta):
    return eta * (gamma_hat - gamma)


@mistake(
    "The cross entropy is missing. What else makes entry c mean class c? Its share is eta (gamma_hat - "
    "gamma)."
)
def cross_entropy_missing(W1d, delta2, gamma_hat, gamma, P, eta):
    return through_softmax(delta2 @ W1d[P:].T, gamma_hat)


@mistake(
    "The cross entropy has the wrong sign. The risk is made small, and it has *minus* eta gamma ln "
    "gamma_hat: the share is eta (gamma_hat - gamma)."
)
def cross_entropy_reversed(W1d, delta2, gamma_hat, gamma, P, eta):
    return through_softmax(delta2 @ W1d[P:].T, gamma_hat) - eta * (gamma_hat - gamma)


@mistake("The factor eta of the cross entropy is missing.")
def eta_missing(W1d, delta2, gamma_hat, gamma, P, eta):
    return through_softmax(delta2 @ W1d[P:].T, gamma_hat) + gamma_hat - gamma


@mistake("Everything has the factor eta. It belongs to the cross entropy alone.")
def eta_on_both(W1d, delta2, gamma_hat, gamma, P, eta):
    return eta * (through_softmax(delta2 @ W1d[P:].T, gamma_hat) + gamma_hat - gamma)


@mistake(
    "The softmax is applied to the cross entropy twice. eta (gamma_hat - gamma) is its derivative in z "
    "already; only what comes from the decoder still has to go back through the softmax."
)
def jacobian_on_both(W1d, delta2, gamma_hat, gamma, P, eta):
    return through_softmax(delta2 @ W1d[P:].T + eta * (gamma_hat - gamma), gamma_hat)


@mistake(
    "You differentiate the cross entropy in gamma_hat, -gamma / gamma_hat, and stop there. Asked is the "
    "derivative in z, before the softmax: it simplifies to gamma_hat - gamma."
)
def cross_entropy_in_the_probabilities(W1d, delta2, gamma_hat, gamma, P, eta):
    return through_softmax(delta2 @ W1d[P:].T, gamma_hat) - eta * gamma / gamma_hat


@mistake(
    "You take the first C rows of W1d. The decoder's input is col{u, gamma_hat}: the label's rows come after "
    "the P rows of u."
)
def leading_rows(W1d, delta2, gamma_hat, gamma, P, eta):
    C = gamma_hat.shape[1]
    return through_softmax(delta2 @ W1d[:C].T, gamma_hat) + eta * (gamma_hat - gamma)


@mistake(
    "You average over the batch already here. These are the sensitivities of each sample; the average comes "
    "with the gradients of the weights."
)
def boundary_averaged(W1d, delta2, gamma_hat, gamma, P, eta):
    return classifier_boundary(W1d, delta2, gamma_hat, gamma, P, eta) / len(gamma)


def boundary_with_matrices(W1d, delta2, gamma_hat, gamma, P, eta):
    rows = []
    for d, g, label in zip(delta2, gamma_hat, gamma, strict=True):
        rows.append((np.diag(g) - np.outer(g, g)) @ (W1d[P:] @ d) + eta * (g - label))
    return rows


def boundary_by_einsum(W1d, delta2, gamma_hat, gamma, P, eta):
    C = gamma_hat.shape[1]
    jacobian = np.einsum("bc,cd->bcd", gamma_hat, np.eye(C)) - np.einsum("bc,bd->bcd", gamma_hat, gamma_hat)
    in_z = np.einsum("bcd,dn,bn->bc", jacobian, W1d[-C:], delta2)
    return (in_z + eta * (gamma_hat - gamma)).astype(np.float32)


def boundary_by_torch(W1d, delta2, gamma_hat, gamma, P, eta):
    import torch

    W1d, delta2, gamma_hat, gamma = map(torch.tensor, (W1d, delta2, gamma_hat, gamma))
    z = gamma_hat.log().requires_grad_()
    share = (delta2 * (torch.softmax(z, dim=1) @ W1d[P:])).sum()
    entropy = torch.nn.functional.cross_entropy(z, gamma, reduction="sum")
    return torch.autograd.grad(share + eta * entropy, z)[0]


def boundary_in_loops(W1d, delta2, gamma_hat, gamma, P, eta):
    B, C = gamma.shape
    delta = np.zeros((B, C))
    for b in range(B):
        r = [W1d[P + c] @ delta2[b] for c in range(C)]
        mean = sum(gamma_hat[b, c] * r[c] for c in range(C))
        for c in range(C):
            delta[b, c] = gamma_hat[b, c] * (r[c] - mean) + eta * (gamma_hat[b, c] - gamma[b, c])
    return delta


@mistake(
    "The softmax is missing on the way back from the decoder to the label network. gamma_hat is not "
    "entry-wise in z: multiply by diag(gamma_hat) - gamma_hat gamma_hat^T."
)
def step_without_softmax_jacobian(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=no_softmax_jacobian.answer)


@mistake(
    "You treat the softmax like a sigmoid in each entry, with slope gamma_hat (1 - gamma_hat). Every "
    "probability depends on every z: use diag(gamma_hat) - gamma_hat gamma_hat^T."
)
def step_with_a_diagonal_jacobian(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=diagonal_of_the_jacobian.answer)


@mistake(
    "Nothing comes back from the decoder to the label network, as if gamma_hat were a constant. It is an "
    "input of the decoder: add what comes through the last C rows of its first weights."
)
def gradient_stopped(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=decoder_part_missing.answer)


@mistake(
    "Your decoder is fed the true label. In this structure it receives the estimate gamma_hat; the true "
    "label occurs in the cross entropy alone."
)
def true_label_fed(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(
        params,
        h,
        gamma,
        eps,
        lr,
        rho,
        eta,
        boundary=decoder_part_missing.answer,
        fed=lambda gamma_hat, gamma: gamma,
    )


@mistake(
    "Your decoder is fed the true label, and yet something comes back from it to the label network. Feed it "
    "gamma_hat; the true label occurs in the cross entropy alone."
)
def true_label_fed_and_gradient_kept(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, fed=lambda gamma_hat, gamma: gamma)


@mistake(
    "Your decoder is fed the most probable class, one-hot. It receives the probabilities themselves: a "
    "maximum has no useful derivative."
)
def most_probable_class_fed(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(
        params,
        h,
        gamma,
        eps,
        lr,
        rho,
        eta,
        fed=lambda gamma_hat, gamma: np.eye(gamma.shape[1])[gamma_hat.argmax(axis=1)],
    )


@mistake(
    "The cross entropy has the wrong sign. The risk is made small, and it has *minus* eta gamma ln "
    "gamma_hat: its share is + eta (gamma_hat - gamma)."
)
def step_with_cross_entropy_reversed(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=cross_entropy_reversed.answer)


@mistake("The cross entropy is missing. What makes entry c mean class c? Add eta (gamma_hat - gamma).")
def step_without_cross_entropy(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=cross_entropy_missing.answer)


@mistake("The factor eta of the cross entropy is missing.")
def step_without_eta(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, boundary=eta_missing.answer)


@mistake(
    "What comes back to the encoder goes through the last P rows of the decoder's first weights. The input "
    "is col{u, gamma_hat}: the leading P rows belong to u."
)
def parallel_step_with_trailing_rows(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, transition=trailing_rows.answer)


@mistake("The label network's weights are not restrained. The term with rho has all weight matrices.")
def label_network_not_restrained(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, decay_of_labels=0)


@mistake(
    "The label network does not move. It has a sensitivity at its output, and gradients like the others."
)
def label_network_not_moved(params, h, gamma, eps, lr, rho, eta):
    new = parallel_step(params, h, gamma, eps, lr, rho, eta)
    return new | {name: params[name] for name in ("Wc", "tc")}


@mistake("J is missing: add col{2 mu, exp(a) - 1} at the encoder's output.")
def parallel_step_without_divergence(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, J=0)


@mistake(
    "You change the decoder's weights before the other sensitivities are computed. The listing uses the old "
    "weights in all of them: first all sensitivities, then all updates."
)
def parallel_step_with_new_weights(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, old=False)


@mistake("The derivative of rho W^2 is 2 rho W: the factor 2 is missing, (1 - 2 lr rho) W - ....")
def parallel_step_with_half_the_decay(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr, rho, eta, decay=1, decay_of_labels=1)


@mistake(
    "The offsets move the wrong way. They are subtracted, z = y @ W - theta, so their gradient is *minus* "
    "the mean sensitivity, and a step downhill adds lr times that mean."
)
def parallel_step_with_offsets_uphill(params, h, gamma, eps, lr, rho, eta):
    new = parallel_step(params, h, gamma, eps, lr, rho, eta)
    return parts_moved(params, new, lambda o, n: 2 * o - n, ("te", "td", "tc"))


@mistake("Your gradients are sums over the batch. The risk is a mean over the samples: divide by B.")
def parallel_step_with_sums(params, h, gamma, eps, lr, rho, eta):
    return parallel_step(params, h, gamma, eps, lr * len(h), rho / len(h), eta)


def torch_parallel(params, h, gamma, eps, rho, eta):
    import torch

    mu, a = torch_layers(params["We"], params["te"], h).chunk(2, dim=1)
    z = torch_layers(params["Wc"], params["tc"], h)
    u = mu + torch.exp(a / 2) * eps
    joined = torch.cat([u, torch.softmax(z, dim=1)], 1)
    h_hat = torch.tanh(torch_layers(params["Wd"], params["td"], joined))
    data = (h - h_hat).square().sum(dim=1) + (mu.square() + a.exp() - a).sum(dim=1)
    energy = sum(W.square().sum() for name in ("We", "Wd", "Wc") for W in params[name])
    return rho * energy + data.mean() + eta * torch.nn.functional.cross_entropy(z, gamma.argmax(dim=1))


def parallel_by_torch(params, h, gamma, eps, lr, rho, eta):
    import torch

    return by_autograd(
        params, lambda p, *x: torch_parallel(p, *x, rho, eta), lr, torch.float64, h, gamma, eps
    )


def parallel_in_single_precision(params, h, gamma, eps, lr, rho, eta):
    import torch

    return by_autograd(
        params, lambda p, *x: torch_parallel(p, *x, rho, eta), lr, torch.float32, h, gamma, eps
    )


def parallel_by_differences(params, h, gamma, eps, lr, rho, eta):
    return by_differences(params, lambda p: parallel_risk(p, h, gamma, eps, rho, eta), lr)


def parallel_sample_by_sample(params, h, gamma, eps, lr, rho, eta):
    (B, P), We, Wd, Wc = eps.shape, params["We"], params["Wd"], params["Wc"]

    def gradients(b):
        ye = layers(We, params["te"], h[b], np.copy)
        yc = layers(Wc, params["tc"], h[b], np.copy)
        g = np.exp(yc[-1]) / np.exp(yc[-1]).sum()
        mu, a = ye[-1][:P], ye[-1][P:]
        yd = layers(Wd, params["td"], np.r_[mu + np.exp(a / 2) * eps[b], g], np.tanh)
        of_decoder, back = one_sample_back(Wd, yd, 2 * (yd[-1] - h[b]) * (1 - yd[-1] ** 2))
        in_u, in_label = back[:P], back[P:]
        delta = np.r_[in_u + 2 * mu, in_u * eps[b] / 2 * np.exp(a / 2) + np.exp(a) - 1]
        delta_c = g * (in_label - g @ in_label) + eta * (g - gamma[b])
        return {
            "d": of_decoder,
            "e": one_sample_back(We, ye, delta)[0],
            "c": one_sample_back(Wc, yc, delta_c)[0],
        }

    return sample_by_sample(params, gradients, B, lr, rho)


P5 = Exercise(
    id="68.5",
    title="A network for the label",
    mirrors="Problem 68.5 of Sayed's chapter, with its Fig. 68.21 and the listing (68.79)",
    purpose="train an encoder that needs no label, and carry a gradient back through a softmax",
    minutes=45,
    statement=f"""
An encoder that must be told the label cannot compress what has none. So let the encoder see $h$ alone, and
put a second network beside it, which also sees $h$ and ends in a softmax: its output $\\hat\\gamma$ are
probabilities of the $C$ classes. The decoder's input is $\\operatorname{{col}}\\{{u,\\hat\\gamma\\}}$, the
$P$ entries of $u$ first. The true label $\\gamma$, one-hot, occurs in the risk only:

$$ \\mathcal P=\\rho\\sum_{{W}}\\lVert W\\rVert_F^2+\\frac1B\\sum_{{b=1}}^B\\Bigl(
\\lVert h_b-\\hat h_b\\rVert^2+J(\\mu_b,a_b)-\\eta\\sum_{{c=1}}^C\\gamma_b(c)\\ln\\hat\\gamma_b(c)\\Bigr), $$

where the first sum has all weight matrices of the three networks, and
$J(\\mu,a)=\\sum_p(\\mu_p^2+e^{{a_p}}-a_p)$.

{NETWORKS} The label network has weights `"Wc"` and offsets `"tc"`, its hidden layers are tanh.

1. `classifier_boundary(W1d, delta2, gamma_hat, gamma, P, eta)`: the sensitivity at the label network's
   output, that is, for each sample the derivative of
   $\\lVert h-\\hat h\\rVert^2-\\eta\\sum_c\\gamma(c)\\ln\\hat\\gamma(c)$ in the $z$ from which the softmax
   makes $\\hat\\gamma$; shape `(B, C)`. `W1d`, `(P + C, n)`, are the decoder's first weights, `delta2`,
   `(B, n)`, is the sensitivity of the layer to which they lead; `gamma_hat` and `gamma` have the shape
   `(B, C)`.
2. `parallel_cvae_step(params, h, gamma, eps, lr, rho, eta)`: the parameters after one gradient step of size
   `lr` on the risk, a dict of lists like `params`.
""",
    functions=(
        Function(
            reference=classifier_boundary,
            points=2,
            outputs=(Output("delta", "(B, C)"),),
            inputs=label_outputs,
            right="Both contributions arrive: that of the decoder through the whole softmax, that of the "
            "cross entropy as gamma_hat - gamma.",
            hints=(
                "Two contributions. First r, the derivative of the squared error in gamma_hat: through the "
                "rows of W1d that belong to the label.",
                "The softmax has the derivatives d gamma_hat(c) / d z(d) = gamma_hat(c) ((c == d) - "
                "gamma_hat(d)). Multiplied by r: gamma_hat * (r - sum(gamma_hat * r)), in each row.",
                "The derivative of -sum_c gamma(c) ln gamma_hat(c) in z is gamma_hat - gamma, for a label "
                "that sums to 1.",
            ),
            mistakes=(
                no_softmax_jacobian,
                diagonal_of_the_jacobian,
                decoder_part_missing,
                cross_entropy_missing,
                cross_entropy_reversed,
                eta_missing,
                eta_on_both,
                jacobian_on_both,
                cross_entropy_in_the_probabilities,
                leading_rows,
                boundary_averaged,
            ),
            alternatives=(
                boundary_with_matrices,
                boundary_by_einsum,
                boundary_by_torch,
                boundary_in_loops,
            ),
        ),
        Function(
            reference=parallel_cvae_step,
            points=4,
            outputs=(Output("params", "as params", tolerance=3e-6),),
            inputs=parallel_batches,
            right="Three networks descend one risk: the decoder's error reaches both, each through its own "
            "rows.",
            hints=(
                "Forwards: encoder and label network on h, then the decoder on "
                "`np.hstack([u, gamma_hat])`. The true label is not needed there.",
                "Backwards: the decoder as ever; the encoder from `transition_delta` of 68.4 plus the share "
                "of J; the label network from `classifier_boundary`.",
                "Then the same updates for all three. A softmax is safe as exp(z - z.max()), divided by its "
                "sum, in each row.",
            ),
            mistakes=(
                step_without_softmax_jacobian,
                step_with_a_diagonal_jacobian,
                gradient_stopped,
                true_label_fed,
                true_label_fed_and_gradient_kept,
                most_probable_class_fed,
                step_with_cross_entropy_reversed,
                step_without_cross_entropy,
                step_without_eta,
                parallel_step_with_trailing_rows,
                label_network_not_restrained,
                label_network_not_moved,
                parallel_step_without_divergence,
                parallel_step_with_new_weights,
                parallel_step_with_half_the_decay,
                parallel_step_with_offsets_uphill,
                parallel_step_with_sums,
            ),
            alternatives=(
                parallel_by_torch,
                parallel_in_single_precision,
                parallel_by_differences,
                parallel_sample_by_sample,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. Derive the sensitivity at the label network's output,
   $\\delta_c=(\\operatorname{diag}\\hat\\gamma-\\hat\\gamma\\hat\\gamma^{\\mathsf T})\\,\\underline W\\,
   \\delta_{2,d}+\\eta(\\hat\\gamma-\\gamma)$, where $\\underline W$ are the last $C$ rows of $W_{1,d}$.
2. Why is the recursion (68.46) of no use across the softmax, and why is it of use below it?
3. What could $\\hat\\gamma$ become in training with $\\eta=0$? What is used to compress, and what to generate
   a sample of a given class, when training is over?
""",
        rubric=(
            (1, "derives the Jacobian of the softmax and applies it to what comes from the decoder"),
            (1, "shows that the cross entropy's derivative in z is the difference of the probabilities"),
            (1, "names the condition that the recursion needs and where it fails"),
            (
                1,
                "sees that without the cross entropy the entries are free numbers of the code, and says "
                "which networks are used afterwards",
            ),
        ),
    ),
)

# -------------------------------------------------------------------------------------------------- 68.6


def dropout_forward_backward(params, h, eps, masks, keep):
    """Return loss, gradients: a number, and a dict like params."""
    return dropped(params, h, eps, masks, keep)


def inverted(m, k):
    return m / k


def masked_layers(W, theta, x, factors, output, before):
    """Return signals as the next layer sees them, and without their factors; `before` tanh, if asked."""
    y, bare = [x], [x]
    for ell, (w, t) in enumerate(zip(W, theta, strict=True)):
        z = y[-1] @ w - t
        if ell == len(W) - 1:
            return [*y, output(z)], bare
        bare.append(np.tanh(factors[ell] * z if before else z))
        y.append(bare[-1] if before else factors[ell] * bare[-1])
    return y, bare


def masked_back(W, seen, slopes, factors, delta):
    """Return the gradients in W and theta, averaged over the batch, and the sensitivity in the input."""
    in_W, in_theta = [], []
    for ell in reversed(range(len(W))):
        in_W.insert(0, seen[ell].T @ delta / len(delta))
        in_theta.insert(0, -delta.mean(axis=0))
        delta = delta @ W[ell].T
        if ell:
            delta = slopes[ell] * factors[ell - 1] * delta
    return (in_W, in_theta), delta


def slope_of(bare, y):
    return 1 - bare**2


def dropped(
    params,
    h,
    eps,
    masks,
    keep,
    *,
    forth=inverted,
    back=inverted,
    seen=lambda bare, y, m: y,
    slope=slope_of,
    before=False,
    J=1.0,
    over_batch=1.0,
):
    """Return loss and gradients with dropout; some of its parts can be gone wrong at."""
    inside = len(params["We"]) - 1
    forwards = [forth(m, k) for m, k in zip(masks, keep, strict=True)]
    backwards = [back(m, k) for m, k in zip(masks, keep, strict=True)]
    ye, bare_e = masked_layers(params["We"], params["te"], h, forwards[:inside], np.copy, before)
    mu, a = np.split(ye[-1], 2, axis=1)
    u = mu + np.exp(a / 2) * eps
    yd, bare_d = masked_layers(params["Wd"], params["td"], u, forwards[inside:], np.tanh, before)
    loss = over_batch * (((h - yd[-1]) ** 2).sum(axis=1) + J * J_of(mu, a)).mean()

    def one_back(W, y, bare, masks, factors, delta):
        slopes = [slope(*pair) for pair in zip(bare, y, strict=False)]
        below = [y[0], *(seen(*part) for part in zip(bare[1:], y[1:], masks, strict=False))]
        return masked_back(W, below, slopes, factors, delta)

    delta = 2 * (yd[-1] - h) * (1 - yd[-1] ** 2)
    of_decoder, in_u = one_back(params["Wd"], yd, bare_d, masks[inside:], backwards[inside:], delta)
    at_output = np.hstack([in_u, in_u * eps * np.exp(a / 2) / 2]) + J * divergence_boundary(mu, a)
    of_encoder, _ = one_back(params["We"], ye, bare_e, masks[:inside], backwards[:inside], at_output)
    found = {"We": of_encoder[0], "te": of_encoder[1], "Wd": of_decoder[0], "td": of_decoder[1]}
    return loss, {name: [over_batch * part for part in parts] for name, parts in found.items()}


def masked_batches(rng):
    """Yield networks, batches, draws, a mask for each hidden layer and the probabilities of its ones."""
    small = {
        "We": [np.array([[1.0, 0.5], [-1, 1]])],
        "te": [np.array([0.5, -0.5])],
        "Wd": [np.array([[1.0, -1]]), np.array([[1.0, 2], [-1, 1]])],
        "td": [np.array([-0.5, 0.5]), np.array([0.5, 0])],
    }
    h, eps = np.array([[0.5, -0.5], [0, 0.5]]), np.array([[1.0], [-1]])
    yield small, h, eps, [np.array([[1.0, 0], [1, 1]])], [0.5]
    for B, M, P, inside, outside, keep in [
        (6, 5, 2, [4], [7], [0.8, 0.5]),
        (7, 3, 1, [6, 5], [4], [0.9, 0.6, 0.7]),
        (5, 4, 3, [6], [5, 7], [0.4, 0.75, 0.5]),
        (4, 5, 2, [3], [6], [1.0, 1.0]),
    ]:
        params = drawn_params(rng, e=[M, *inside, 2 * P], d=[P, *outside, M])
        masks = [drawn_mask(rng, B, n, k) for n, k in zip(inside + outside, keep, strict=True)]
        yield params, *drawn_batch(rng, B, M, P), masks, keep


def drawn_mask(rng, B, n, k):
    """Draw a mask; if k is below 1, both values occur in every column but perhaps the first."""
    mask = (rng.random((B, n)) < k).astype(float)
    if k < 1:
        mask[0, 1:], mask[1, 1:] = 1.0, 0.0
    return mask


@mistake(
    "The gradients of the weights use the signal without mask. The next layer saw the masked signal, divided "
    "by k: that one belongs in y.T @ delta.",
    seen_in="gradients",
)
def unmasked_signal_in_the_gradient(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, seen=lambda bare, y, m: bare)


@mistake(
    "The gradients of the weights use the masked signal without the division by k. Use what the next layer "
    "saw: m * y / k.",
    seen_in="gradients",
)
def signal_not_divided_in_the_gradient(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, seen=lambda bare, y, m: m * bare)


@mistake(
    "The masks act forwards only. What is multiplied by m / k forwards is multiplied by m / k backwards, and "
    "the gradients of the weights use the masked signal.",
    seen_in="gradients",
)
def masks_forwards_only(params, h, eps, masks, keep):
    return dropped(
        params, h, eps, masks, keep, back=lambda m, k: np.ones_like(m), seen=lambda bare, y, m: bare
    )


@mistake(
    "The slope of tanh is taken at the masked signal. It belongs to z, which the mask does not touch: 1 - "
    "tanh(z)^2, with the signal *before* mask and division.",
    seen_in="gradients",
)
def slope_of_the_masked_signal(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, slope=lambda bare, y: 1 - y**2)


@mistake(
    "The mask is missing on the way back. A unit that is off has no influence on the loss: its sensitivity "
    "is zero. Multiply by m / k as in the forward pass.",
    seen_in="gradients",
)
def no_mask_backwards(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, back=lambda m, k: np.ones_like(m))


@mistake(
    "On the way back the mask is there, but not the division by k. What is multiplied by m / k forwards is "
    "multiplied by m / k backwards.",
    seen_in="gradients",
)
def not_divided_backwards(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, back=lambda m, k: m)


@mistake(
    "The mask is missing on the way back, and only the division by k is there. A unit that is off has "
    "sensitivity zero.",
    seen_in="gradients",
)
def only_divided_backwards(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, back=lambda m, k: np.ones_like(m) / k)


@mistake(
    "The division by k is missing. Without it a layer passes on the share k of its signal in training and "
    "all of it at test: match the scale of training to that of the test, m * y / k."
)
def no_division(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, forth=lambda m, k: m, back=lambda m, k: m)


@mistake(
    "You multiply by k. That is the opposite direction: masked signals are on average too small. Divide."
)
def multiplied_by_k(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, forth=lambda m, k: m * k, back=lambda m, k: m * k)


@mistake(
    "You divide by 1 - k. k is the probability that a unit is *kept*: divide by k itself. With k = 1 "
    "nothing is dropped."
)
def divided_by_the_other_probability(params, h, eps, masks, keep):
    def other(m, k):
        return m / (1 - k) if k < 1 else m

    return dropped(params, h, eps, masks, keep, forth=other, back=other)


@mistake("You switch off the units whose mask is 1. A 1 means that the unit is kept.")
def mask_reversed(params, h, eps, masks, keep):
    return dropped(params, h, eps, [1 - m for m in masks], keep)


@mistake("There is no dropout at all: the masks are not used.")
def masks_not_used(params, h, eps, masks, keep):
    return dropped(params, h, eps, [np.ones_like(m) for m in masks], [1.0] * len(keep))


@mistake(
    "The mask is applied to z, before the activation. Dropped are signals: m * tanh(z) / k, not "
    "tanh(m * z / k)."
)
def masked_before_the_activation(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, before=True)


@mistake("Only the mask of the first sample is used, for all of them. Each sample has a mask of its own.")
def one_mask_for_all(params, h, eps, masks, keep):
    return dropped(params, h, eps, [np.tile(m[0], (len(m), 1)) for m in masks], keep)


@mistake("J is missing. The loss is the squared error plus J, as without dropout.")
def dropout_without_divergence(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, J=0.0)


@mistake(
    "J enters with half its weight. Beside the squared error without 1/2 belongs J, which is twice the "
    "divergence, plus P."
)
def dropout_with_half_the_divergence(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, J=0.5)


@mistake("You add up over the batch. Loss and gradients are means over the samples.")
def dropout_summed(params, h, eps, masks, keep):
    return dropped(params, h, eps, masks, keep, over_batch=float(len(h)))


@mistake(
    "The gradients of the offsets have the wrong sign. An offset is subtracted, z = y @ W - theta, so its "
    "gradient is *minus* the mean sensitivity.",
    seen_in="gradients",
)
def sign_of_the_offsets(params, h, eps, masks, keep):
    loss, found = dropped(params, h, eps, masks, keep)
    return loss, reversed_offsets(found)


@mistake("Your layers add the offsets, z = y @ W + theta. In this course they are subtracted.")
def dropout_with_offsets_added(params, h, eps, masks, keep):
    loss, found = dropped(reversed_offsets(params), h, eps, masks, keep)
    return loss, reversed_offsets(found)


def torch_dropout(params, h, eps, masks, keep):
    import torch

    inside = len(params["We"]) - 1
    factors = [torch.as_tensor(m).to(h) / k for m, k in zip(masks, keep, strict=True)]
    mu, a = torch_layers(params["We"], params["te"], h, factors[:inside]).chunk(2, dim=1)
    z = torch_layers(params["Wd"], params["td"], mu + torch.exp(a / 2) * eps, factors[inside:])
    data = (h - torch.tanh(z)).square().sum(dim=1) + (mu.square() + a.exp() - a).sum(dim=1)
    return data.mean()


def dropout_by_autograd(params, h, eps, masks, keep, dtype):
    import torch

    leaves = {
        name: [torch.tensor(part, dtype=dtype, requires_grad=True) for part in parts]
        for name, parts in params.items()
    }
    loss = torch_dropout(leaves, *(torch.tensor(x, dtype=dtype) for x in (h, eps)), masks, keep)
    loss.backward()
    return loss, {name: [leaf.grad for leaf in parts] for name, parts in leaves.items()}


def dropout_by_torch(params, h, eps, masks, keep):
    import torch

    return dropout_by_autograd(params, h, eps, masks, keep, torch.float64)


def dropout_in_single_precision(params, h, eps, masks, keep):
    import torch

    return dropout_by_autograd(params, h, eps, masks, keep, torch.float32)


def dropout_by_differences(params, h, eps, masks, keep):
    moved = by_differences(params, lambda p: dropped(p, h, eps, masks, keep)[0], 1.0)
    gradients = {name: [p - m for p, m in zip(params[name], moved[name], strict=True)] for name in params}
    return dropped(params, h, eps, masks, keep)[0], gradients


def dropout_sample_by_sample(params, h, eps, masks, keep):
    (B, P), inside, total = eps.shape, len(params["We"]) - 1, 0.0
    found = {name: [np.zeros_like(v) for v in value] for name, value in params.items()}
    for b in range(B):
        factors = [m[b] / k for m, k in zip(masks, keep, strict=True)]
        parts, y = [], h[b]
        for letter, mine in (("e", factors[:inside]), ("d", factors[inside:])):
            W, t = params["W" + letter], params["t" + letter]
            for ell in range(len(W)):
                z = W[ell].T @ y - t[ell]
                parts.append((letter, ell, y, z))
                y = z if ell == len(W) - 1 else np.tanh(z) * mine[ell]
            if letter == "e":
                mu, a = y[:P], y[P:]
                y = mu + np.exp(a / 2) * eps[b]
        y = np.tanh(y)
        total += ((h[b] - y) ** 2).sum() + (mu**2 + np.exp(a) - a).sum()
        back, factors = 2 * (y - h[b]) * (1 - y**2), factors[::-1]
        for letter, ell, below, z in reversed(parts):
            if ell < len(params["W" + letter]) - 1:
                back = back * factors.pop(0) * (1 - np.tanh(z) ** 2)
            elif letter == "e":
                back = np.r_[back + 2 * mu, back * eps[b] / 2 * np.exp(a / 2) + np.exp(a) - 1]
            found["W" + letter][ell] += np.outer(below, back) / B
            found["t" + letter][ell] -= back / B
            back = params["W" + letter][ell] @ back
    return total / B, found


P6 = Exercise(
    id="68.6",
    title="Dropout",
    mirrors="Problem 68.6 of Sayed's chapter, with the listing (68.79)",
    purpose="carry a mask through a network in both directions, and know what must not be dropped",
    minutes=35,
    statement=f"""
Dropout (N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, 2014) switches off hidden
units at random, for every sample and every step anew: a hidden layer with signal $y$ passes on

$$ \\tilde y=\\frac{{m\\odot y}}{{k}},\\qquad m(j)\\in\\{{0,1\\}},\\quad \\Pr(m(j)=1)=k. $$

The division by $k$ keeps the mean of the signal, so that at test time nothing is dropped and nothing scaled.
The encoder's output and the decoder's are never dropped.

{NETWORKS}

Write `dropout_forward_backward(params, h, eps, masks, keep)`. Here the masks are given: `masks` is a list of
arrays of zeros and ones, `(B, n)`, one for each *hidden* layer, those of the encoder first, and `keep` is the
list of their $k$. Return

1. `loss`: $\\frac1B\\sum_b\\bigl(\\lVert h_b-\\hat h_b\\rVert^2+J(\\mu_b,a_b)\\bigr)$ with
   $J(\\mu,a)=\\sum_p(\\mu_p^2+e^{{a_p}}-a_p)$, without a term for the weights;
2. `gradients`: its derivatives, a dict of lists like `params`.
""",
    functions=(
        Function(
            reference=dropout_forward_backward,
            points=4,
            outputs=(
                Output("loss", "a number"),
                Output("gradients", "as params", tolerance=3e-6),
            ),
            inputs=masked_batches,
            right="The same factor m / k forwards and backwards, and the gradients of the weights use what "
            "the next layer saw.",
            hints=(
                "Forwards one line changes: after tanh of a hidden layer, y = m / k * y. The first masks are "
                "the encoder's: it has len(We) - 1 hidden layers.",
                "Backwards, the sensitivity in z of a hidden layer gets the same factor: delta = m / k * (1 "
                "- tanh(z)^2) * (delta_above @ W.T). Mind that 1 - y^2 is the slope only for the y before "
                "the mask.",
                "The gradient of W is y.T @ delta / B with the masked y. At the encoder's output and in u "
                "nothing is dropped.",
            ),
            mistakes=(
                unmasked_signal_in_the_gradient,
                signal_not_divided_in_the_gradient,
                no_mask_backwards,
                not_divided_backwards,
                only_divided_backwards,
                masks_forwards_only,
                slope_of_the_masked_signal,
                no_division,
                multiplied_by_k,
                divided_by_the_other_probability,
                mask_reversed,
                masks_not_used,
                masked_before_the_activation,
                one_mask_for_all,
                dropout_without_divergence,
                dropout_with_half_the_divergence,
                dropout_summed,
                sign_of_the_offsets,
                dropout_with_offsets_added,
            ),
            alternatives=(
                dropout_by_torch,
                dropout_in_single_precision,
                dropout_by_differences,
                dropout_sample_by_sample,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. Write down the listing (68.79) with dropout: which lines change, and how?
2. Let $m$ be drawn as above and $y$ be fixed. Show that $\\tilde y=m\\odot y/k$ has the mean $y$, and find
   the variance of $\\tilde y(j)$.
3. Somebody treats the encoder's output $\\operatorname{col}\\{\\mu,a\\}$ as a hidden layer and sets entries
   of it to zero. What does a zero mean there, and what happens to $J$?
""",
        rubric=(
            (
                1,
                "changes forward lines, sensitivities and weight gradients, each with the right signal or "
                "factor, and says when masks are drawn",
            ),
            (1, "computes mean and variance"),
            (1, "sees that a log-variance of zero is a variance of one, not the absence of anything"),
        ),
    ),
)

# -------------------------------------------------------------------------------------------------- 68.7


def bn(z, scale, shift, eps, delta):
    """Return out, dz (B, n), dscale, dshift (n,): forwards and backwards through one layer."""
    return normalised(z, scale, shift, eps, delta)


def bn_test(z, scale, shift, eps, running_mean, running_var):
    """Return out (B, n) with moments (n,) that are kept from training."""
    return scale * (z - running_mean) / np.sqrt(running_var + eps) + shift


def centre(delta, z_bar):
    return delta - delta.mean(axis=0) - z_bar * (delta * z_bar).mean(axis=0)


def normalised(z, scale, shift, eps, delta, *, back=centre, ddof=0, outer=True):
    """Return forwards and backwards; some parts can be gone wrong at."""
    deviation = np.sqrt(z.var(axis=0, ddof=ddof) + eps)
    z_bar = (z - z.mean(axis=0)) / deviation
    dz = (scale if outer else 1) / deviation * back(delta, z_bar)
    return scale * z_bar + shift, dz, (delta * z_bar).sum(axis=0), delta.sum(axis=0)


def layers_to_normalise(rng):
    """Yield batches with means and spreads of all sizes, factors of both signs, and sensitivities."""
    yield (
        np.array([[1.0], [3]]),
        np.array([2.0]),
        np.array([0.5]),
        0.01,
        np.array([[1.0], [0]]),
    )
    for B, n, eps in [(5, 3, 1e-5), (8, 2, 0.1), (3, 4, 0.5), (6, 1, 1e-5)]:
        z = rng.normal(size=(B, n)) * rng.uniform(0.5, 2, n) + 3 * rng.normal(size=n)
        scale, shift = rng.uniform(0.4, 2, n) * rng.choice([-1, 1], n), rng.normal(size=n)
        delta = rng.normal(size=(B, n)) + 0.5
        yield z.round(3), scale.round(3), shift.round(3), eps, delta.round(3)
    z = np.round(rng.normal(size=(4, 2)), 3)
    z[:, 0] = 1.5  # a unit that is the same for all samples
    yield z, np.array([0.8, -1.5]), np.array([0.25, -1]), 0.25, np.round(rng.normal(size=(4, 2)), 3)


def layers_at_test(rng):
    """Yield batches, one of a single sample, and kept moments that are not those of the batch."""
    yield np.array([[1.0], [3]]), np.array([2.0]), np.array([0.5]), 0.25, np.array([1.0]), np.array([2.0])
    for B, n, eps in [(1, 3, 1e-5), (5, 2, 0.3), (7, 4, 0.1)]:
        z, scale, shift = rng.normal(size=(B, n)), rng.normal(size=n), rng.normal(size=n)
        mean, var = rng.normal(size=n), rng.uniform(0.2, 3, n)
        yield z.round(3), scale.round(3), shift.round(3), eps, mean.round(3), var.round(3)


@mistake(
    "You treat mean and variance of the batch as constants. Both depend on every sample: two more terms come "
    "back, delta - mean(delta) - z_bar * mean(delta * z_bar).",
    seen_in="dz",
)
def statistics_as_constants(z, scale, shift, eps, delta):
    return normalised(z, scale, shift, eps, delta, back=lambda delta, z_bar: delta)


@mistake(
    "The term of the mean is missing. A constant added to all z changes nothing, so the sensitivities of a "
    "unit must add up to zero: subtract mean(delta).",
    seen_in="dz",
)
def mean_term_missing(z, scale, shift, eps, delta):
    def back(delta, z_bar):
        return delta - z_bar * (delta * z_bar).mean(axis=0)

    return normalised(z, scale, shift, eps, delta, back=back)


@mistake(
    "The term of the variance is missing. If all z are stretched by a factor, the output hardly changes, "
    "so this direction must be taken out: subtract z_bar * mean(delta * z_bar).",
    seen_in="dz",
)
def variance_term_missing(z, scale, shift, eps, delta):
    return normalised(z, scale, shift, eps, delta, back=lambda delta, z_bar: delta - delta.mean(axis=0))


@mistake(
    "The factor scale is missing in dz: out = scale * z_bar + shift, so the chain rule begins with it.",
    seen_in="dz",
)
def scale_missing_in_dz(z, scale, shift, eps, delta):
    return normalised(z, scale, shift, eps, delta, outer=False)


@mistake(
    "The division by the standard deviation is missing in dz. z_bar = (z - mean) / sqrt(var + eps): its "
    "derivative has the same divisor.",
    seen_in="dz",
)
def deviation_missing_in_dz(z, scale, shift, eps, delta):
    out, dz, dscale, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz * np.sqrt(z.var(axis=0) + eps), dscale, dshift


@mistake(
    "In dz you subtract sums over the batch. The two terms are means: mean(delta) and mean(delta * z_bar).",
    seen_in="dz",
)
def sums_in_dz(z, scale, shift, eps, delta):
    def back(delta, z_bar):
        return delta - delta.sum(axis=0) - z_bar * (delta * z_bar).sum(axis=0)

    return normalised(z, scale, shift, eps, delta, back=back)


@mistake(
    "In the term of the variance stands z - mean where z_bar belongs: it is divided by the standard "
    "deviation, in both places.",
    seen_in="dz",
)
def centred_but_not_divided(z, scale, shift, eps, delta):
    def back(delta, z_bar):
        away = z - z.mean(axis=0)
        return delta - delta.mean(axis=0) - away * (delta * away).mean(axis=0)

    return normalised(z, scale, shift, eps, delta, back=back)


@mistake(
    "Your variance is the unbiased one, divided by B - 1. Here, as everywhere in batch normalisation, it is "
    "divided by B."
)
def unbiased_variance(z, scale, shift, eps, delta):
    return normalised(z, scale, shift, eps, delta, ddof=1)


@mistake(
    "You normalise each sample over its units. Batch normalisation takes each unit over the samples: axis 0.",
    seen_in="out",
)
def over_the_units(z, scale, shift, eps, delta):
    z_bar = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + eps)
    return scale * z_bar + shift, *normalised(z, scale, shift, eps, delta)[1:]


@mistake("You divide by the variance. Divide by its root, sqrt(var + eps).", seen_in="out")
def divided_by_the_variance(z, scale, shift, eps, delta):
    z_bar = (z - z.mean(axis=0)) / (z.var(axis=0) + eps)
    return scale * z_bar + shift, *normalised(z, scale, shift, eps, delta)[1:]


@mistake("eps stands outside the root. It is added to the variance: sqrt(var + eps).", seen_in="out")
def eps_outside_the_root(z, scale, shift, eps, delta):
    z_bar = (z - z.mean(axis=0)) / (z.std(axis=0) + eps)
    return scale * z_bar + shift, *normalised(z, scale, shift, eps, delta)[1:]


@mistake(
    "eps is missing. It is added to the variance, so that a unit that is the same for all samples is not "
    "divided by zero.",
    seen_in="out",
)
def eps_missing(z, scale, shift, eps, delta):
    tiny = 1e-12
    return normalised(z, scale, shift, tiny, delta)


@mistake("You return z_bar. The output is scale * z_bar + shift.", seen_in="out")
def normalised_only(z, scale, shift, eps, delta):
    ones, zeros = np.ones_like(scale), np.zeros_like(shift)
    return normalised(z, ones, zeros, eps, delta)


@mistake(
    "shift is subtracted. Here it is added, in place of the offset: scale * z_bar + shift.", seen_in="out"
)
def shift_subtracted(z, scale, shift, eps, delta):
    return normalised(z, scale, -shift, eps, delta)


@mistake(
    "dscale is the sum of delta * z. What is multiplied by scale is z_bar, the normalised one.",
    seen_in="dscale",
)
def dscale_with_z(z, scale, shift, eps, delta):
    out, dz, _, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, (delta * z).sum(axis=0), dshift


@mistake(
    "dscale is the sum of delta * (z - mean). What is multiplied by scale is z_bar, which is divided by the "
    "standard deviation, too.",
    seen_in="dscale",
)
def dscale_not_divided(z, scale, shift, eps, delta):
    out, dz, _, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, (delta * (z - z.mean(axis=0))).sum(axis=0), dshift


@mistake(
    "dscale is the sum of delta times the output. What is multiplied by scale is z_bar, the normalised one.",
    seen_in="dscale",
)
def dscale_with_the_output(z, scale, shift, eps, delta):
    out, dz, _, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, (delta * out).sum(axis=0), dshift


@mistake(
    "dscale and dshift are averaged over the batch. delta is the derivative of the whole loss, which every "
    "sample reaches through the same scale and shift: add up.",
    seen_in="dscale dshift",
)
def parameters_averaged(z, scale, shift, eps, delta):
    out, dz, dscale, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, dscale / len(z), dshift / len(z)


@mistake(
    "dshift has the wrong sign: the shift is added, so its gradient is the sum of delta.", seen_in="dshift"
)
def dshift_reversed(z, scale, shift, eps, delta):
    out, dz, dscale, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, dscale, -dshift


@mistake(
    "dscale and dshift come in the wrong order. The results are out, dz, dscale, dshift.",
    seen_in="dscale dshift",
)
def dscale_and_dshift_exchanged(z, scale, shift, eps, delta):
    out, dz, dscale, dshift = normalised(z, scale, shift, eps, delta)
    return out, dz, dshift, dscale


def bn_step_by_step(z, scale, shift, eps, delta):
    """Go back through every operation: product, root, variance, differences, mean."""
    B = len(z)
    mean = z.sum(axis=0) / B
    away = z - mean
    var = (away**2).sum(axis=0) / B
    inverse = (var + eps) ** -0.5
    z_bar = away * inverse
    dz_bar = delta * scale
    d_inverse = (dz_bar * away).sum(axis=0)
    d_var = -0.5 * d_inverse * inverse**3
    d_away = dz_bar * inverse + 2 * away * d_var / B
    d_mean = -d_away.sum(axis=0)
    return z_bar * scale + shift, d_away + d_mean / B, (delta * z_bar).sum(axis=0), delta.sum(axis=0)


def torch_bn(z, scale, shift, eps, delta, dtype):
    import torch

    z, scale, shift = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (z, scale, shift))
    out = torch.nn.functional.batch_norm(z, None, None, scale, shift, training=True, eps=eps)
    out.backward(torch.tensor(delta, dtype=dtype))
    return out, z.grad, scale.grad, shift.grad


def bn_by_torch(z, scale, shift, eps, delta):
    import torch

    return torch_bn(z, scale, shift, eps, delta, torch.float64)


def bn_in_single_precision(z, scale, shift, eps, delta):
    import torch

    return torch_bn(z, scale, shift, eps, delta, torch.float32)


def bn_in_loops(z, scale, shift, eps, delta):
    B, n = z.shape
    out, dz, dscale, dshift = np.empty((B, n)), np.empty((B, n)), [], []
    for j in range(n):
        m = sum(z[:, j]) / B
        s = np.sqrt(sum((z[b, j] - m) ** 2 for b in range(B)) / B + eps)
        bar = [(z[b, j] - m) / s for b in range(B)]
        dshift.append(sum(delta[:, j]))
        dscale.append(sum(delta[b, j] * bar[b] for b in range(B)))
        for b in range(B):
            out[b, j] = scale[j] * bar[b] + shift[j]
            dz[b, j] = scale[j] / (B * s) * (B * delta[b, j] - dshift[j] - bar[b] * dscale[j])
    return [out, dz, dscale, dshift]


def bn_with_a_jacobian(z, scale, shift, eps, delta):
    """Write the derivative of a unit's z_bar in its z as a matrix of B rows and columns."""
    B = len(z)
    away = z - z.mean(axis=0)
    deviation = np.sqrt(np.einsum("bn,bn->n", away, away) / B + eps)
    z_bar = away / deviation
    jacobian = np.eye(B)[:, :, None] - 1 / B - np.einsum("bn,cn->bcn", z_bar, z_bar) / B
    dz = np.einsum("bcn,cn,n->bn", jacobian, delta, scale / deviation)
    return z_bar * scale + shift, dz, np.einsum("bn,bn->n", delta, z_bar), np.einsum("bn->n", delta)


@mistake(
    "You use mean and variance of this batch. At test they are the ones that are kept: a sample's output "
    "must not depend on the others in its batch."
)
def batch_statistics_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + eps) + shift


@mistake("The variance is that of this batch. At test the kept one is used, as for the mean.")
def batch_variance_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - running_mean) / np.sqrt(z.var(axis=0) + eps) + shift


@mistake("You divide by the variance. Divide by its root, sqrt(running_var + eps).")
def variance_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - running_mean) / (running_var + eps) + shift


@mistake("eps is missing: sqrt(running_var + eps), as in training.")
def eps_missing_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - running_mean) / np.sqrt(running_var) + shift


@mistake("eps stands outside the root. It is added to the variance: sqrt(running_var + eps).")
def eps_outside_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - running_mean) / (np.sqrt(running_var) + eps) + shift


@mistake("You return the normalised z. Multiply by scale and add shift, as in training.")
def normalised_only_at_test(z, scale, shift, eps, running_mean, running_var):
    return (z - running_mean) / np.sqrt(running_var + eps)


@mistake("shift is subtracted. Here it is added: scale * z_bar + shift.")
def shift_subtracted_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * (z - running_mean) / np.sqrt(running_var + eps) - shift


@mistake("The mean is not subtracted. Normalised is z - running_mean.")
def mean_forgotten_at_test(z, scale, shift, eps, running_mean, running_var):
    return scale * z / np.sqrt(running_var + eps) + shift


def test_mode_as_one_affine_map(z, scale, shift, eps, running_mean, running_var):
    gain = scale * (running_var + eps) ** -0.5
    return np.einsum("bn,n->bn", z, gain) + (shift - gain * running_mean)


def test_mode_by_torch(z, scale, shift, eps, running_mean, running_var):
    import torch

    z, scale, shift, mean, var = map(torch.tensor, (z, scale, shift, running_mean, running_var))
    return torch.nn.functional.batch_norm(z, mean, var, scale, shift, training=False, eps=eps)


def test_mode_sample_by_sample(z, scale, shift, eps, running_mean, running_var):
    rows = []
    for sample in z:
        parts = zip(sample, scale, shift, running_mean, running_var, strict=True)
        rows.append([g * (x - m) / (v + eps) ** 0.5 + b for x, g, b, m, v in parts])
    return rows


P7 = Exercise(
    id="68.7",
    title="Batch normalisation",
    mirrors="Problem 68.7 of Sayed's chapter, with the listing (68.79); erratum S47",
    purpose="differentiate through a mean and a variance to which every sample contributes",
    minutes=35,
    statement="""
Batch normalisation (S. Ioffe and C. Szegedy, 2015) stands between the product $z=yW$ of a hidden layer and
its activation. For every unit, with mean $m$ and variance $v$ over the $B\\ge2$ samples of the batch,

$$ m=\\frac1B\\sum_bz_b,\\qquad v=\\frac1B\\sum_b(z_b-m)^2,\\qquad
\\bar z_b=\\frac{z_b-m}{\\sqrt{v+\\varepsilon}},\\qquad \\mathrm{out}_b=\\gamma_s\\,\\bar z_b+\\beta_s . $$

$\\gamma_s$ (`scale`) and $\\beta_s$ (`shift`, which is *added*) are learnt, one of each for a unit; an offset
$\\theta$ before the normalisation would be lost with the mean, so there is none. $\\varepsilon$ (`eps`) is a
small number, not a draw.

1. `bn(z, scale, shift, eps, delta)`: forwards and backwards through this layer. `z` has the shape `(B, n)`,
   `scale` and `shift` `(n,)`, and `delta`, `(B, n)`, is the derivative of a loss in `out`. Return
   `out, dz, dscale, dshift`: the output, and the derivatives of the same loss in `z`, `scale` and `shift`.
   (Nothing is averaged here: whether the loss is a sum over the samples or a mean is in `delta`.)
2. `bn_test(z, scale, shift, eps, running_mean, running_var)`: the output when training is over, with moments
   `(n,)` that were kept from training. Each sample is treated by itself, and there may be only one.
""",
    functions=(
        Function(
            reference=bn,
            points=3,
            outputs=(
                Output("out", "(B, n)"),
                Output("dz", "(B, n)"),
                Output("dscale", "(n,)"),
                Output("dshift", "(n,)"),
            ),
            inputs=layers_to_normalise,
            right="Every sample is reached on three ways, directly, through the mean and through the "
            "variance: a unit's sensitivities add up to zero.",
            hints=(
                "Forwards: `z.mean(axis=0)` and `z.var(axis=0)` (which divides by B). Then dshift and dscale "
                "are sums over the batch, of delta and of delta * z_bar.",
                "Go back one operation at a time: from out to z_bar, from z_bar to z directly, to v, to m; "
                "from v and m to every z.",
                "What comes out is scale / sqrt(v + eps) * (delta - mean(delta) - z_bar * mean(delta * "
                "z_bar)), with means over the batch.",
            ),
            mistakes=(
                unbiased_variance,
                over_the_units,
                divided_by_the_variance,
                eps_outside_the_root,
                eps_missing,
                normalised_only,
                shift_subtracted,
                statistics_as_constants,
                mean_term_missing,
                variance_term_missing,
                scale_missing_in_dz,
                deviation_missing_in_dz,
                sums_in_dz,
                centred_but_not_divided,
                dscale_with_z,
                dscale_not_divided,
                dscale_with_the_output,
                parameters_averaged,
                dshift_reversed,
                dscale_and_dshift_exchanged,
            ),
            alternatives=(
                bn_step_by_step,
                bn_by_torch,
                bn_in_single_precision,
                bn_in_loops,
                bn_with_a_jacobian,
            ),
        ),
        Function(
            reference=bn_test,
            points=1,
            outputs=(Output("out", "(B, n)"),),
            inputs=layers_at_test,
            right="With kept moments the layer is one fixed affine map, the same for a sample in any batch.",
            hints=(
                "It is the formula of training, with other moments.",
                "`scale * (z - running_mean) / np.sqrt(running_var + eps) + shift`.",
            ),
            mistakes=(
                batch_statistics_at_test,
                batch_variance_at_test,
                variance_at_test,
                eps_missing_at_test,
                eps_outside_at_test,
                normalised_only_at_test,
                shift_subtracted_at_test,
                mean_forgotten_at_test,
            ),
            alternatives=(
                test_mode_as_one_affine_map,
                test_mode_by_torch,
                test_mode_sample_by_sample,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. With $\\delta$ for derivatives in $\\mathrm{out}$ and bars for means over the batch, show that
   $$ \\frac{\\partial}{\\partial z}=\\frac{\\gamma_s}{\\sqrt{v+\\varepsilon}}\\odot\\bigl(\\delta
   -\\overline{\\delta}-\\bar z\\odot\\overline{\\delta\\odot\\bar z}\\bigr). $$
2. How does the listing (68.79) change? Say what takes the place of $\\theta$, why its loop over the samples
   has to go, which layers are left alone and why, and what is needed for the test.
3. What does a batch of one sample become, and what do its gradients?
""",
        rubric=(
            (1, "differentiates mean and variance in each sample"),
            (1, "collects the terms into the formula"),
            (
                1,
                "goes through the listing: scale and shift, coupled samples, outputs left alone, moments "
                "kept for the test",
            ),
            (1, "finds that a batch of one is always the shift, and its gradient in z zero"),
        ),
    ),
)

SET = ProblemSet(
    name="07_conditional_vae",
    title="Conditional variational autoencoders",
    opening="""
Four exercises on [chapter 7](../07_conditional_vae.ipynb), each a change to the training step of chapter 6:
labels for both networks, a third network that infers the label, dropout, and batch normalisation. All you
need here is NumPy, or any other library that you like.
""",
    exercises=(P4, P5, P6, P7),
)
