"""Autoencoders in PyTorch, as a practitioner writes them: sparse, denoising, deep (CR14-CR19).

The source is Crowley's lecture with Yao's slides on autoencoders. `gennet.backprop.sparse_autoencoder` has
the same loss with its gradient by hand; a test shows that one step of both is the same. Left out:
convolutions, and any law of the codes from which to draw new ones: variational autoencoders add that.
"""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import color, data
from skimage.transform import resize
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from tqdm.auto import tqdm

from gennet.backprop import Network
from gennet.eigenspace import Eigenspace

ACTIVATIONS = {"linear": nn.Identity, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


class Autoencoder(nn.Module):
    """An encoder from pixels to a code, and a decoder of the same sizes backwards (CR14).

    Build it under ``torch.set_default_dtype(torch.float64)`` where numbers must be the same on every machine,
    and after ``torch.manual_seed``: the first weights are PyTorch's.

    Parameters
    ----------
    sizes
        Units of the encoder's layers, from the N pixels to the D numbers of the code.
    hidden, code, output
        Activations of the layers between, of the code and of the reconstruction: ``"linear"``, ``"relu"``,
        ``"sigmoid"`` or ``"tanh"``.

    Raises
    ------
    ValueError
        If an activation has another name, or there are fewer than two sizes.

    Examples
    --------
    >>> deep = Autoencoder([625, 128, 15])
    >>> deep.encode(torch.zeros(3, 625)).shape, deep(torch.zeros(3, 625)).shape
    (torch.Size([3, 15]), torch.Size([3, 625]))
    """

    def __init__(
        self, sizes: Sequence[int], *, hidden: str = "tanh", code: str = "linear", output: str = "linear"
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"Autoencoder: expected sizes of pixels, ..., code; got {list(sizes)}.")
        between = [hidden] * (len(sizes) - 2)
        self.n_features = sizes[0]
        self.encoder = _layers(sizes, [*between, code])
        self.decoder = _layers(sizes[::-1], [*between, output])

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes ``(B, D)`` of samples ``(B, N)``."""
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(
                f"Autoencoder: expected samples as rows of {self.n_features} numbers, got shape "
                f"{tuple(x.shape)}. Flatten images first: images.reshape(len(images), -1)."
            )
        if x.dtype != (own := self.encoder[0].weight.dtype):
            raise ValueError(f"Autoencoder: the samples are {x.dtype}, the weights {own}. Use x.to({own}).")
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstructions ``(B, N)`` of samples."""
        return self.decoder(self.encode(x))


def _layers(sizes: Sequence[int], activations: list[str]) -> nn.Sequential:
    layers = []
    for n, m, activation in zip(sizes[:-1], sizes[1:], activations, strict=True):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"Autoencoder: no activation {activation!r}; there are {', '.join(ACTIVATIONS)}."
            )
        layers += [nn.Linear(n, m), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def sparsity_penalty(activity: Tensor, target: float) -> Tensor:
    """Return Σ_j KL(ρ ‖ ρ̂_j) for a batch of activities ``(B, H)``, in nats (CR15, CR17).

    ρ̂_j is the mean activity of unit j over the batch, ρ the target, in (0, 1).

    Raises
    ------
    ValueError
        If the target or an activity is no probability, the shape is another, or a unit is off, or on, for
        the whole batch.

    Examples
    --------
    >>> sparsity_penalty(torch.tensor([[0.1, 0.3], [0.3, 0.1]]), 0.2)  # both means are on target
    tensor(0.)
    """
    if not 0 < target < 1:
        raise ValueError(f"sparsity_penalty: the target must lie between 0 and 1, got {target}.")
    if activity.ndim != 2 or not activity.numel():
        raise ValueError(f"sparsity_penalty: expected activities (B, H), got shape {tuple(activity.shape)}.")
    low, high = activity.min().item(), activity.max().item()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f"sparsity_penalty: activities from {low:.3g} to {high:.3g}; the penalty takes them for "
            'probabilities, in (0, 1). Use code="sigmoid", or no penalty (beta = 0).'
        )
    rho_hat = activity.mean(dim=0)
    if ((rho_hat == 0) | (rho_hat == 1)).any():
        raise ValueError(
            "sparsity_penalty: a unit is off, or on, for every sample of the batch, and the penalty is "
            "infinite. Take smaller steps or larger batches."
        )
    off = (1 - target) * torch.log((1 - target) / (1 - rho_hat))
    return (target * torch.log(target / rho_hat) + off).sum()


def loss(
    model: Autoencoder, x: Tensor, clean: Tensor | None = None, *, target: float = 0.05, beta: float = 0.0
) -> Tensor:
    """Return ½ ‖x̂ - x‖², averaged over the batch, plus β Σ_j KL(ρ ‖ ρ̂_j) of the code (CR16).

    What autograd makes of it is what is written by hand in `gennet.backprop.sparse_autoencoder`: CR18 at the
    output, CR19 at the code.

    Parameters
    ----------
    model
        Its code must be sigmoid if ``beta`` > 0.
    x
        The batch that goes in, ``(B, N)``.
    clean
        What should come out, if not x itself: a denoising autoencoder sees x with noise and is compared with
        x without.
    target, beta
        ρ and β. With ``beta`` 0 there is no penalty.
    """
    code = model.encode(x)
    error = model.decoder(code) - (x if clean is None else clean)
    reconstruction = 0.5 * (error**2).sum(dim=1).mean()
    return reconstruction + beta * sparsity_penalty(code, target) if beta else reconstruction


def train(
    model: Autoencoder,
    X: Tensor,
    *,
    epochs: int,
    lr: float = 1e-3,
    batch: int = 100,
    target: float = 0.05,
    beta: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
    bar: str = "",
) -> list[float]:
    """Train with Adam on mini-batches and return the mean loss of each epoch.

    Parameters
    ----------
    model
        Changed in place.
    X
        Training samples ``(M, N)``, of the dtype of the model.
    epochs, lr, batch
        Passes through the samples, step size, samples in a mini-batch.
    target, beta
        Of the sparsity penalty; mean activities are those of the mini-batch. See `loss`.
    noise
        Standard deviation of the Gaussian noise that is added to what goes in, but not to what should come
        out, anew for each batch: a denoising autoencoder.
    seed
        Of the order of the samples and of the noise.
    bar
        Title of a progress bar; none is shown if it is empty.

    Raises
    ------
    ValueError
        If X does not fit the model, is empty or holds NaN, or the penalty does not exist.
    FloatingPointError
        If the loss becomes NaN or infinite.
    """
    if not len(X):
        raise ValueError("train: there are no samples to learn from.")
    if bad := int((~torch.isfinite(X)).sum()):
        raise ValueError(f"train: {bad} of {X.numel()} values are NaN or infinite. Remove or fill them.")
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr)
    bar_format = "{desc}: {bar} {n_fmt}/{total_fmt}"  # no times: a notebook stores it
    history = []
    for epoch in tqdm(range(epochs), desc=bar, disable=not bar, bar_format=bar_format):
        total = 0.0
        for rows in torch.randperm(len(X), generator=generator).split(batch):
            x = clean = X[rows]
            if noise:
                x = clean + noise * torch.randn(clean.shape, generator=generator, dtype=X.dtype)
            value = loss(model, x, clean, target=target, beta=beta)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            total += value.item() * len(rows)
        history.append(total / len(X))
        if not math.isfinite(total):
            raise FloatingPointError(
                f"train: the loss is {total} after epoch {epoch + 1}. The steps are too large: lower lr, now "
                f"{lr:g}."
            )
    return history


@torch.no_grad()
def residual_energy(model: Autoencoder, X: Tensor) -> Tensor:
    """Return the error energy of each sample, summed over its pixels, ``(M,)``.

    It is for an autoencoder what `Eigenspace.residual_energy` is for an eigenspace.
    """
    return ((X - model(X)) ** 2).sum(dim=1)


@torch.no_grad()
def copy_weights(network: Network, layers: nn.Module) -> None:
    """Copy the weights of a hand-written network into the linear layers of a PyTorch module, in their order.

    A layer is ``y @ W - theta`` there and ``y @ weight.T + bias`` here: weight = Wᵀ, bias = -θ.

    Raises
    ------
    ValueError
        If the layers have other sizes.
    """
    linear = [layer for layer in layers.modules() if isinstance(layer, nn.Linear)]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    if sizes != network.sizes:
        raise ValueError(f"copy_weights: the network has layers of {network.sizes}, the module of {sizes}.")
    for layer, W, theta in zip(linear, network.W, network.theta, strict=True):
        layer.weight.copy_(torch.from_numpy(W.T))
        layer.bias.copy_(torch.from_numpy(-theta))


PLANS = {
    "sparse": ("sigmoid", {"target": 0.1, "beta": 0.1}),
    "denoising": ("relu", {"noise": 0.3}),
}


def pretrained(kind: str, X: NDArray[np.floating], seed: int = 0, epochs: int = 60) -> Autoencoder:
    """Train an autoencoder with 100 hidden units on images without labels.

    Parameters
    ----------
    kind
        ``"sparse"``: sigmoid units, target 0.1, weight 0.1; ``"denoising"``: ReLU units, noise of standard
        deviation 0.3.
    X
        Images as rows ``(M, N)``, pixels in [0, 1].
    seed, epochs
        Of the first weights and of the training.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in PLANS:
        raise ValueError(f"pretrained: no kind {kind!r}; there are {', '.join(PLANS)}.")
    code, options = PLANS[kind]
    torch.manual_seed(seed)
    model = Autoencoder([X.shape[1], 100], code=code)
    samples = torch.tensor(X, dtype=torch.get_default_dtype())
    train(model, samples, epochs=epochs, lr=5e-3, seed=seed, **options)
    return model


def features(
    X: NDArray[np.floating], new: NDArray[np.floating], D: int, models: dict[str, Autoencoder]
) -> dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Describe images by raw pixels, by D coefficients of an eigenspace, and by the codes of autoencoders.

    The eigenspace is learnt from X. All descriptions are centred and brought to one common size, that of the
    pixels, so that one classifier treats them alike.

    Parameters
    ----------
    X, new
        Images as rows ``(M, N)``.
    D
        Coefficients of the eigenspace.
    models
        Trained autoencoders by name.

    Returns
    -------
    dict
        By name of the features a pair of arrays, for X and for the new images.
    """
    space = Eigenspace(n_components=D).fit(X)
    found = {"raw pixels": (X, new), f"PCA, {D} numbers": (space.transform(X), space.transform(new))}
    for name, model in models.items():
        found[name] = tuple(_codes(model, rows) for rows in (X, new))
    size = X.std()
    return {
        name: tuple(size * (rows - known.mean(axis=0)) / known.std() for rows in (known, other))
        for name, (known, other) in found.items()
    }


@torch.no_grad()
def _codes(model: Autoencoder, X: NDArray[np.floating]) -> NDArray[np.floating]:
    return model.encode(torch.tensor(X, dtype=torch.get_default_dtype())).numpy()


def fine_tune(
    encoder: nn.Module, X: Tensor, labels: Tensor, *, steps: int = 100, lr: float = 3e-3
) -> nn.Sequential:
    """Return a classifier: a copy of the encoder and a linear layer, trained together on labelled samples.

    Training is Adam on all samples at once; the loss is the cross entropy. The encoder itself stays as it is.

    Parameters
    ----------
    encoder
        Of an autoencoder that was trained without labels; or with its first weights, for comparison.
    X, labels
        Samples ``(M, N)`` and their classes ``(M,)``, counted from 0, the largest among them.
    steps, lr
        Steps of Adam and their size.

    Raises
    ------
    ValueError
        If there is not one label for each sample.
    """
    if labels.shape != (len(X),):
        raise ValueError(
            f"fine_tune: expected one label for each of {len(X)} samples, got shape {tuple(labels.shape)}."
        )
    body = copy.deepcopy(encoder)
    classifier = nn.Sequential(body, nn.Linear(body(X[:1]).shape[1], int(labels.max()) + 1))
    optimiser = torch.optim.Adam(classifier.parameters(), lr)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(classifier(X), labels).backward()
        optimiser.step()
    return classifier


@torch.no_grad()
def accuracy(classifier: nn.Module, X: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the share of samples ``(M, N)`` whose largest output is that of their class."""
    outputs = classifier(torch.tensor(X, dtype=torch.get_default_dtype()))  # (M, classes)
    return float((outputs.argmax(dim=1).numpy() == labels).mean())


# The question that the lecture leaves open: does an autoencoder find faces better than an eigenspace?


def windows_without_faces(side: int, n: int, seed: int = 0) -> NDArray[np.float64]:
    """Cut windows of all sizes from eight photographs in which there is nobody.

    The photographs come with scikit-learn and scikit-image: a temple, a flower, a cup of coffee, a rocket,
    coins, brick, grass and gravel. Windows that show nothing (standard deviation of the pixels below 0.02)
    are left out.

    Parameters
    ----------
    side
        Rows and columns to which windows are reduced, in pixels.
    n
        Windows from each photograph.
    seed
        Of the places and the sizes.

    Returns
    -------
    ndarray of shape (8 n, side, side), pixels in [0, 1]
    """
    rng = np.random.default_rng(seed)
    photographs = [
        load_sample_image("china.jpg"),
        load_sample_image("flower.jpg"),
        data.coffee(),
        data.rocket(),
    ]
    photographs = [color.rgb2gray(photograph) for photograph in photographs]
    photographs += [grey / 255 for grey in (data.coins(), data.brick(), data.grass(), data.gravel())]
    windows = []
    for photograph in photographs:
        wanted = len(windows) + n
        while len(windows) < wanted:
            size = rng.integers(side, min(photograph.shape) // 2)
            top, left = rng.integers(np.array(photograph.shape) - size)
            window = resize(
                photograph[top : top + size, left : left + size], (side, side), anti_aliasing=True
            )
            if window.std() >= 0.02:
                windows.append(window)
    return np.array(windows)


def standardised(windows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Bring each window to mean 0 and standard deviation 0.2, a usual contrast; flatten them, ``(M, N)``.

    Raises
    ------
    ValueError
        If the windows are not of shape ``(M, R, C)``, one holds NaN, or one is of one grey.
    """
    if windows.ndim != 3 or not windows.size:
        raise ValueError(f"standardised: expected windows (M, R, C), got shape {windows.shape}.")
    X = windows.reshape(len(windows), -1).astype(float)
    X = X - X.mean(axis=1, keepdims=True)
    spread = X.std(axis=1, keepdims=True)
    if bad := int((~(spread > 1e-9)).sum()):  # NaN included
        raise ValueError(
            f"standardised: {bad} of {len(X)} windows hold NaN or are of one grey. Leave them out."
        )
    return 0.2 * X / spread


Distance = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def face_distances(
    faces: NDArray[np.float64], D: int, seed: int = 0, steps: int = 200
) -> dict[str, Distance]:
    """Learn six distances from the same faces, five of them with codes of the same length.

    Each is a function that gives the error energy ε² of windows (CR8): what is left when the mean face is
    subtracted, or when a reconstruction from D numbers is: that of an eigenspace ("PCA"), of an eigenspace
    whose coefficients are cut off at one standard deviation ("PCA, code cut off"), of an autoencoder whose
    code is sigmoid, without and with the sparsity penalty ("sigmoid", "sparse autoencoder"), of a deep one
    whose code is linear.

    Parameters
    ----------
    faces
        Standardised windows of faces ``(M, N)``, see `standardised`.
    D
        Numbers in the code, at most M - 1.
    seed
        Of the first weights and of the order of the faces.
    steps
        Steps of Adam for each autoencoder.
    """
    space = Eigenspace(n_components=D).fit(faces)
    spread = np.sqrt(space.eigenvalues_)

    def with_code_cut_off(X: NDArray[np.float64]) -> NDArray[np.float64]:
        codes = np.clip(space.transform(X), -spread, spread)
        return ((X - space.inverse_transform(codes)) ** 2).sum(axis=1)

    N, batch = faces.shape[1], 60
    samples = torch.tensor(faces, dtype=torch.get_default_dtype())
    epochs = steps // -(-len(faces) // batch)

    def learn(sizes: list[int], lr: float, beta: float = 0.0, **activations: str) -> Distance:
        torch.manual_seed(seed)
        model = Autoencoder(sizes, **activations)
        train(model, samples, epochs=epochs, lr=lr, batch=batch, target=0.2, beta=beta, seed=seed)
        return lambda X: residual_energy(model, torch.tensor(X, dtype=samples.dtype)).numpy()

    return {
        "mean face": lambda X: ((X - space.mean_) ** 2).sum(axis=1),
        "PCA": space.residual_energy,
        "PCA, code cut off": with_code_cut_off,
        "sigmoid autoencoder": learn([N, D], 1e-2, code="sigmoid"),
        "sparse autoencoder": learn([N, D], 1e-2, beta=0.5, code="sigmoid"),
        "deep autoencoder": learn([N, 64, D], 5e-3, hidden="tanh"),
    }
