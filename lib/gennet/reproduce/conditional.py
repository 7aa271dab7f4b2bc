"""Chapter 07 at full size: conditional autoencoders of handwritten digits, and recommenders (Sayed 68.3)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from torch import Tensor
from tqdm.auto import tqdm

from gennet import datasets, recommender
from gennet.cvae import ConditionalVAE, LabelInferringVAE
from gennet.recommender import Division, RatingVAE
from gennet.training import train_vae
from gennet.training.label_vae import train_label_vae
from gennet.vae import VAE, neighbour_score

from .autoencoders import _float64_on_one_thread


def conditional_mnist(
    seeds: Sequence[int] = range(3),
    lengths: Sequence[int] = (2, 10),
    etas: Sequence[float] = (0, 1, 10, 100),
    epochs: int = 6,
) -> dict:
    """Chapter 07 on MNIST: digits on demand (Example 68.3), their style, labels inferred (Problem 68.5).

    Autoencoders with 128 hidden units and Bernoulli decoders learn 10 000 images. A judge, a network of 100
    hidden units trained on 10 000 other ones, says which digit a drawing shows.

    Returns
    -------
    dict
        ``lengths``, ``etas``. ``judge``: its accuracy on 2000 test images. For each number of latents a list
        over the seeds: ``bound``, by model, the mean bound of test images in nats; ``digit from latents``, by
        model, the `neighbour_score` of μ; ``asked``: the share of 2000 draws in which the
        judge sees the digit asked for; ``redrawn``: of test images redrawn as the next digit; ``by bound``:
        the accuracy of the digit with the largest bound. ``inferring``: for each η, with the first number of
        latents, the same lists of ``accuracy`` of γ̂, of ``fit``, and of ``asked``.

    Raises
    ------
    DataError
        If the images are not on this machine and cannot be downloaded.
    """
    mnist = datasets.load("mnist")
    train, test = mnist.split("train"), mnist.split("test")
    images, labels = train.x[:20_000].reshape(-1, 784).astype(float), train.y[:20_000]
    X, y = torch.tensor(images[:10_000]), torch.tensor(labels[:10_000])
    X_new, y_new = torch.tensor(test.x[:2000].reshape(-1, 784).astype(float)), torch.tensor(test.y[:2000])
    judge = MLPClassifier(100, random_state=0, early_stopping=True)
    judge.fit(images[10_000:], labels[10_000:])
    options = {"epochs": epochs, "lr": 2e-3, "batch": 100}
    result = {
        "lengths": list(lengths),
        "etas": list(etas),
        "judge": round(float(judge.score(X_new.numpy(), y_new.numpy())), 4),
        "bound": {"without label": {}, "with label": {}},
        "digit from latents": {"without label": {}, "with label": {}},
        **{key: {} for key in ("asked", "redrawn", "by bound")},
        "inferring": {key: {} for key in ("accuracy", "fit", "asked")},
    }

    def note(where: dict, key: float, value: float) -> None:
        where.setdefault(str(key), []).append(round(float(value), 4))

    def seen(drawn: Tensor, wanted: Tensor) -> float:
        return judge.score(drawn.numpy(), wanted.numpy())

    with _float64_on_one_thread():
        for seed in tqdm(seeds, desc="seeds", disable=None):
            for P in lengths:
                chance = torch.Generator().manual_seed(seed)
                torch.manual_seed(seed)
                plain = VAE(784, P, (128,), likelihood="bernoulli")
                train_vae(plain, X, seed=seed, **options)
                torch.manual_seed(seed)
                model = ConditionalVAE(784, P, 10, (128,), likelihood="bernoulli")
                rows, new = model.extend(X, y), model.extend(X_new, y_new)
                train_vae(model, rows, seed=seed, **options)
                for name, one, learnt, tried in (
                    ("without label", plain, X, X_new),
                    ("with label", model, rows, new),
                ):
                    with torch.no_grad():
                        bound = one.elbo(tried, k=10, generator=chance).mean()
                        codes, codes_new = one.encode(learnt)[0].numpy(), one.encode(tried)[0].numpy()
                    note(result["bound"][name], P, bound)
                    note(result["digit from latents"][name], P, neighbour_score(codes, y, codes_new, y_new))
                note(result["asked"], P, seen(model.sample(y_new, generator=chance), y_new))
                note(result["redrawn"], P, seen(model.redraw(new, (y_new + 1) % 10), (y_new + 1) % 10))
                note(
                    result["by bound"], P, (model.classify(X_new, generator=chance) == y_new).double().mean()
                )
            for eta in etas:
                chance = torch.Generator().manual_seed(seed)
                torch.manual_seed(seed)
                inferring = LabelInferringVAE(784, lengths[0], 10, (128,), likelihood="bernoulli")
                train_label_vae(inferring, X, y, eta=eta, seed=seed, **options)
                with torch.no_grad():
                    right = (inferring.infer(X_new).argmax(dim=1) == y_new).double().mean()
                    fit = inferring.elbo(X_new, k=10, generator=chance).mean()
                drawn = inferring.sample(y_new, generator=chance)
                for key, value in (("accuracy", right), ("fit", fit), ("asked", seen(drawn, y_new))):
                    note(result["inferring"][key], eta, value)
    return result


def recommender_movielens(
    seeds: Sequence[int] = range(5), names: Sequence[str] = (), held_out: int = 100
) -> dict:
    """Chapter 07 on MovieLens: what a gap means, and what networks add to matrix factorisation.

    Films with at least ten ratings. In each division 100 users are held out for the test, and 100 others
    for the choice of each method's settings (by nDCG@100, by the error in stars for those that predict
    stars); with these it learns from all users but the test's. Of a held-out user's ratings 80 % are shown.

    Returns
    -------
    dict
        ``users``, ``films``, ``density``; ``recall``, ``ndcg``, ``star error``: by method a list over the
        divisions (recall@20, nDCG@100; root mean squared error of the hidden ratings in stars, cut to
        the scale);
        ``settings``: by method, what was chosen in each division.

    Raises
    ------
    DataError
        If the ratings are not on this machine and cannot be downloaded.
    """
    ratings = datasets.load("movielens").x
    ratings = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 10]
    result = {
        "users": len(ratings),
        "films": ratings.shape[1],
        "density": round(float((~np.isnan(ratings)).mean()), 4),
        **{key: {} for key in ("recall", "ndcg", "star error", "settings")},
    }
    with _float64_on_one_thread():
        for seed in tqdm(seeds, desc="divisions", disable=None):
            test = recommender.divide(ratings, held_out, seed=seed)
            known = np.where(test.train > 0, test.train, np.nan)
            valid = recommender.divide(known, held_out, seed=seed)
            for name, (method, settings) in methods(seed).items():
                if names and name not in names:
                    continue
                stars = name in STARS
                tried = [method(valid, setting) for setting in settings]
                best = int(np.argmax([-_error(valid, s) if stars else _ndcg(valid, s) for s in tried]))
                found = method(test, settings[best])
                of_users = {
                    "recall": recommender.recall(found, test.shown, test.hidden).mean(),
                    "ndcg": _ndcg(test, found),
                }
                if stars or name == "VAE, zeros":
                    of_users["star error"] = _error(test, found)
                for key, value in of_users.items():
                    result[key].setdefault(name, []).append(round(float(value), 4))
                result["settings"].setdefault(name, []).append(settings[best])
    return result


STARS = ("item means", "least squares", "VAE, masked")


Method = Callable[[Division, object], np.ndarray]


def methods(seed: int) -> dict[str, tuple[Method, Sequence[object]]]:
    """Return each method with the settings to choose from.

    Those of an autoencoder are its hidden units (0: encoder and decoder are linear), κ, and epochs.
    """

    def autoencoder(gaps: str) -> Method:
        def method(parts: Division, setting: tuple[int, float, int]) -> np.ndarray:
            units, kappa, epochs = setting
            torch.manual_seed(seed)
            mean = recommender.item_means(parts.train) if gaps == "masked" else None
            hidden = (units,) if units else ()
            model = RatingVAE(parts.train.shape[1], 64, hidden, gaps=gaps, mean=mean)
            X = torch.tensor(parts.train)
            train_vae(model, X, epochs=epochs, lr=2e-3, batch=50, kappa=kappa, seed=seed)
            return recommender.scores(model, parts.shown)

        return method

    def means(parts: Division, shrink: float) -> np.ndarray:
        return np.tile(recommender.item_means(parts.train, shrink), (len(parts.shown), 1))

    def least_squares(parts: Division, ridge: float) -> np.ndarray:
        return recommender.weighted_least_squares(parts.train, parts.shown, 8, ridge=ridge, seed=seed)

    shapes = ((0, 0.2, 60), (128, 1.0, 30))
    return {
        "popularity": (lambda parts, _: recommender.popularity(parts.train, parts.shown), (0,)),
        "truncated SVD": (
            lambda parts, P: recommender.truncated_svd(parts.train, parts.shown, P),
            (8, 16, 32, 64, 128),
        ),
        "item means": (means, (1, 3, 10)),
        "least squares": (least_squares, (3, 10, 30)),
        "VAE, zeros": (autoencoder("zeros"), shapes),
        "VAE, masked": (autoencoder("masked"), shapes),
        "VAE, multinomial": (autoencoder("multinomial"), shapes),
    }


def _ndcg(parts: Division, found: np.ndarray) -> float:
    return float(recommender.ndcg(found, parts.shown, parts.hidden).mean())


def _error(parts: Division, found: np.ndarray) -> float:
    return recommender.star_error(np.clip(found, 0.5, 5), parts.hidden)  # the scale is known
