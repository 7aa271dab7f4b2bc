"""The sparse autoencoder of Crowley's lecture with its gradient by hand (CR14-CR19).

The lecture's ρ, the mean activity that hidden units are meant to have, is `target` here. Where a formula of
the lecture needs a correction (errata C10, C11) the corrected form is used. One step is `loss_and_gradients`,
then `descend`; the loop around it is two lines and stands in the chapter.
"""

import numpy as np
from numpy.typing import ArrayLike

from .network import Array, Gradients, Network, forward, gradients


def mean_activity(a: ArrayLike) -> Array:
    """Return the mean activity of each hidden unit, ρ̂_j = 1/M Σ_m a_jm (CR15).

    Parameters
    ----------
    a
        Activities, shape ``(M, H)``.

    Returns
    -------
    ndarray of shape (H,), each above 0 and below 1.

    Raises
    ------
    ValueError
        If the shape is another, an activity is NaN or no number in [0, 1], or a unit is always off or always
        on: then its divergence from the target does not exist.
    """
    a = np.asarray(a, dtype=float)
    if a.ndim != 2 or not a.size:
        raise ValueError(f"mean_activity: expected activities (M, H), samples as rows, got shape {a.shape}.")
    _refuse_nan("mean_activity", "activities", a)
    if a.min() < 0 or a.max() > 1:
        raise ValueError(
            f"mean_activity: activities from {a.min():.3g} to {a.max():.3g}; the sparsity penalty takes them "
            "for probabilities, in (0, 1). Use sigmoid hidden units, or no penalty (beta = 0)."
        )
    rho_hat = a.mean(axis=0)
    if stuck := int(np.sum((rho_hat == 0) | (rho_hat == 1))):
        raise ValueError(
            f"mean_activity: {stuck} of {len(rho_hat)} hidden units are off, or on, for every sample; the "
            "sparsity penalty is infinite there. Begin with smaller weights, or take smaller steps."
        )
    return rho_hat


def sparsity_kl(target: float, rho_hat: ArrayLike) -> Array:
    """Return the divergence of each unit's mean activity from the target, in nats (CR17).

    KL(ρ ‖ ρ̂) = ρ ln(ρ / ρ̂) + (1 - ρ) ln((1 - ρ) / (1 - ρ̂)): zero where they are equal, else positive.

    Examples
    --------
    >>> sparsity_kl(0.1, [0.2, 0.1, 0.05]).round(6)
    array([0.03669 , 0.      , 0.020654])
    """
    target, rho_hat = _inside(target, rho_hat)
    return target * np.log(target / rho_hat) + (1 - target) * np.log((1 - target) / (1 - rho_hat))


def sparsity_slope(target: float, rho_hat: ArrayLike) -> Array:
    """Return the derivative of `sparsity_kl` in ρ̂: -ρ / ρ̂ + (1 - ρ) / (1 - ρ̂), as it stands in CR19.

    Examples
    --------
    >>> sparsity_slope(0.1, [0.2, 0.1, 0.05]).round(6)  # too active: positive, so descent pushes it down
    array([ 0.625   ,  0.      , -1.052632])
    """
    target, rho_hat = _inside(target, rho_hat)
    return -target / rho_hat + (1 - target) / (1 - rho_hat)


def loss_and_gradients(
    network: Network, X: ArrayLike, target: float = 0.05, beta: float = 0.0
) -> tuple[float, Gradients]:
    """Return the loss of a sparse autoencoder and its gradients, by back-propagation.

    The loss is the mean over the M samples of ½ ‖a⁽²⁾ - X‖², plus β Σ_j KL(ρ ‖ ρ̂_j) once (CR16). The penalty
    belongs to the whole batch; since the gradients are means over samples, its slope enters each sample's
    sensitivity with the factor β, neither more nor less (erratum C11).

    Parameters
    ----------
    network
        Two layers of weights, from N pixels to H units and back; the hidden units sigmoid if ``beta`` > 0.
    X
        The batch, shape ``(M, N)``: the input and also what the output should be.
    target
        ρ, the mean activity wanted of every hidden unit, in (0, 1).
    beta
        β, the weight of the penalty; with 0 this is an ordinary autoencoder.

    Raises
    ------
    ValueError
        If the network is no autoencoder with one hidden layer, if X does not fit it, is empty or holds NaN,
        or if ``beta`` > 0 and the activities do not lie in (0, 1).
    """
    if len(network.W) != 2 or network.sizes[0] != network.sizes[2]:
        raise ValueError(
            f"loss_and_gradients: expected layers of N, H and N units, got {network.sizes}. "
            "Deeper autoencoders are in gennet.autoencoder."
        )
    X = np.asarray(X, dtype=float)
    if not X.size:
        raise ValueError("loss_and_gradients: the batch is empty; a mean over no samples does not exist.")
    _refuse_nan("loss_and_gradients", "pixels", X)
    z, y = forward(network, X)
    (X, a_1, a_2), (_, z_1, z_2) = y, z
    f_1, f_2 = network.f
    loss = 0.5 * ((a_2 - X) ** 2).sum(axis=1).mean()
    pressure = 0.0
    if beta:
        rho_hat = mean_activity(a_1)  # (H,): of the whole batch, so before any sensitivity
        loss += beta * sparsity_kl(target, rho_hat).sum()
        pressure = beta * sparsity_slope(target, rho_hat)  # (H,)
    delta_2 = (a_2 - X) * f_2.prime(z_2)  # (M, N), CR18
    delta_1 = f_1.prime(z_1) * (delta_2 @ network.W[1].T + pressure)  # (M, H), CR19
    return float(loss), gradients(y, [None, delta_1, delta_2])


def _refuse_nan(caller: str, what: str, values: Array) -> None:
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{caller}: {bad} of {values.size} {what} are NaN or infinite. Remove or fill them.")


def _inside(target: float, rho_hat: ArrayLike) -> tuple[float, Array]:
    rho_hat = np.asarray(rho_hat, dtype=float)
    for name, values in (("target", target), ("rho_hat", rho_hat)):
        if not np.all((np.asarray(values) > 0) & (np.asarray(values) < 1)):
            raise ValueError(f"sparsity: {name} must lie between 0 and 1, both excluded; got {values}.")
    return target, rho_hat
