"""Chapter 05 at full size: the bound on handwritten digits, under a model whose evidence is known."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from tqdm.auto import tqdm

from gennet import bound, datasets
from gennet.bound import LinearGaussian

DRAWS = 10_000  # of the prior, for the average that fails


def bound_mnist(latents: Sequence[int] = (2, 8, 32), turns: int = 5) -> dict:
    """Chapter 05 on MNIST: what the bound loses on 10 000 digits, where the evidence is known.

    The model is that of Tipping and Bishop (1999), learnt from the 60 000 training digits in closed form: a
    linear decoder along the leading eigenvectors, noise of one variance in all pixels. Its evidence does not
    change when the hidden axes are turned; the bound with independent entries does.

    Parameters
    ----------
    latents
        Numbers of hidden variables P.
    turns
        How many random turns of the hidden axes.

    Returns
    -------
    dict
        All in nats, and lists over `latents`. ``noise``: standard deviation of a pixel in the model.
        ``evidence``: mean of ln f(h) over the test digits, h in [0, 1], with ``evidence_error`` its standard
        error. ``gap``: mean gap for q equal to the ``prior``, and for the best q with independent entries
        along the ``principal`` axes and along ``turned`` ones, there a list over the turns. ``shortfall``:
        how far the logarithm of the mean of f(h|u) over 10 000 draws of the prior falls below ln f(h),
        average over 100 digits. ``variance``: mean over 100 digits of the variance that one draw gives the
        gradient of the reconstruction in μ, all entries together, at the best q: along the ``path``, with the
        ``score``, and with the score of the log-likelihood minus its mean (``baseline``).

    Raises
    ------
    DataError
        If the digits are not on this machine and cannot be downloaded.
    """
    digits = datasets.load("mnist")
    known, test = (digits.split(part).x.reshape(-1, 784).astype(float) for part in ("train", "test"))
    mean = known.mean(axis=0)
    eigenvalues, phi = np.linalg.eigh(np.cov(known.T, bias=True))
    eigenvalues, phi = eigenvalues[::-1], phi[:, ::-1]
    result = {
        "latents": list(latents),
        "noise": [],
        "evidence": [],
        "evidence_error": [],
        "gap": {"prior": [], "principal": [], "turned": []},
        "shortfall": [],
        "variance": {"path": [], "score": [], "baseline": []},
    }
    for P in tqdm(latents, desc="models", disable=None):
        sigma = math.sqrt(eigenvalues[P:].mean())
        W = np.sqrt(eigenvalues[:P] / sigma**2 - 1)[:, None] * phi[:, :P].T  # (P, 784), pixels in units of σ
        model, h = LinearGaussian(W, -mean / sigma), test / sigma
        at_best = model.terms(h, *model.best_diagonal(h))
        evidence = at_best.evidence - 784 * math.log(sigma)  # back to pixels in [0, 1]
        result["noise"].append(round(sigma, 4))
        result["evidence"].append(round(evidence.mean(), 2))
        result["evidence_error"].append(round(evidence.std() / math.sqrt(len(h)), 2))
        at_prior = model.terms(h, np.zeros(P), np.zeros(P))
        result["gap"]["prior"].append(round(at_prior.gap.mean(), 2))
        result["gap"]["principal"].append(abs(round(at_best.gap.mean(), 4)))
        turned = []
        for seed in range(turns):
            turn = stats.ortho_group.rvs(P, random_state=seed)
            other = LinearGaussian(turn @ W, model.theta)
            turned.append(round(other.terms(h, *other.best_diagonal(h)).gap.mean(), 2))
        result["gap"]["turned"].append(turned)
        few = h[:100]
        result["shortfall"].append(round((model.evidence(few) - _from_prior(model, few)).mean(), 1))
        for name, variance in _variances(model, few).items():
            result["variance"][name].append(float(f"{variance:.3g}"))
    return result


def _from_prior(model: LinearGaussian, h: np.ndarray) -> np.ndarray:
    """Estimate ln f(h) of each sample as the logarithm of the mean of f(h|u) over draws of the prior."""
    P, M = model.W.shape
    outputs = np.random.default_rng(0).normal(size=(DRAWS, P)) @ model.W - model.theta  # (DRAWS, M)
    logs = -(cdist(h, outputs, "sqeuclidean") + M * math.log(2 * math.pi)) / 2  # ln f(h|u)
    return logsumexp(logs, axis=1) - math.log(DRAWS)


def _variances(model: LinearGaussian, h: np.ndarray) -> dict[str, float]:
    """Measure the variance of the gradients of the reconstruction in μ, at the best q, over 400 draws."""
    M = model.W.shape[1]
    eps = np.random.default_rng(1).normal(size=(400, len(model.W)))
    mu, a = model.best_diagonal(h)
    means = model.terms(h, mu, a).reconstruction
    variances = {"path": [], "score": [], "baseline": []}
    for one, m, b, mean in zip(h, mu, a, means, strict=True):

        def missed(u: np.ndarray, one: np.ndarray = one) -> np.ndarray:
            return one - u @ model.W + model.theta

        def log_decoder(u: np.ndarray, missed: Callable = missed) -> np.ndarray:
            return -((missed(u) ** 2).sum(axis=1) + M * math.log(2 * math.pi)) / 2

        gradients = {
            "path": bound.pathwise_gradient(m, b, eps, lambda u, missed=missed: missed(u) @ model.W.T),
            "score": bound.score_gradient(m, b, eps, log_decoder),
            "baseline": bound.score_gradient(m, b, eps, lambda u, f=log_decoder, mean=mean: f(u) - mean),
        }
        for name, (in_mean, _) in gradients.items():
            variances[name].append(in_mean.var(axis=0).sum())
    return {name: float(np.mean(values)) for name, values in variances.items()}
