"""The PyTorch autoencoder: the same step as by hand, sparsity, denoising, and what it shares with PCA.

Everything is trained in float64, briefly; margins are those seen over several seeds, doubled.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from gennet import datasets
from gennet.autoencoder import (
    PLANS,
    Autoencoder,
    accuracy,
    copy_weights,
    face_distances,
    features,
    fine_tune,
    loss,
    pretrained,
    residual_energy,
    sparsity_penalty,
    standardised,
    train,
    windows_without_faces,
)
from gennet.backprop import LINEAR, RELU, SIGMOID, TANH, Network, descend, draw, forward
from gennet.backprop.sparse_autoencoder import loss_and_gradients, sparsity_kl
from gennet.eigenspace import Eigenspace

NAMES = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Everything in float64, on one thread: small matrices gain nothing from two."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def pair(code: str, output: str, seed: int = 0) -> tuple[Network, Autoencoder]:
    """Return a network of 6, 4 and 6 units with offsets, and the module with the same weights."""
    rng = np.random.default_rng(seed)
    drawn = draw([6, 4, 6], [NAMES[code], NAMES[output]], rng)
    network = Network(drawn.W, [rng.normal(size=4), rng.normal(size=6)], drawn.f)
    model = Autoencoder([6, 4], code=code, output=output)
    copy_weights(network, model)
    return network, model


def batch(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(9, 6))


@pytest.mark.equation("CR14", "CR16", "CR18", "CR19")
@pytest.mark.parametrize("output", NAMES)
@pytest.mark.parametrize(("code", "beta"), [("sigmoid", 0.7), *((name, 0.0) for name in NAMES)])
def test_one_step_equals_one_step_by_hand(code: str, output: str, beta: float):
    network, model = pair(code, output)
    X, target, lr = batch(), 0.2, 0.3
    by_hand, gradient = loss_and_gradients(network, X, target, beta)
    stepped = descend(network, gradient, lr)

    optimiser = torch.optim.SGD(model.parameters(), lr)
    value = loss(model, torch.from_numpy(X), target=target, beta=beta)
    value.backward()
    optimiser.step()

    assert value.item() == pytest.approx(by_hand, abs=1e-12)
    layers = [model.encoder[0], model.decoder[0]]
    for layer, W, theta in zip(layers, stepped.W, stepped.theta, strict=True):
        assert np.abs(layer.weight.detach().numpy().T - W).max() < 1e-10
        assert np.abs(-layer.bias.detach().numpy() - theta).max() < 1e-10
    assert np.abs(model(torch.from_numpy(X)).detach().numpy() - forward(stepped, X).y[2]).max() < 1e-10


@pytest.mark.equation("CR15", "CR17")
def test_penalty_is_that_of_the_mean_activities():
    activity = np.random.default_rng(2).uniform(0.01, 0.99, size=(20, 5))
    ours = sparsity_penalty(torch.from_numpy(activity), 0.1).item()
    assert ours == pytest.approx(sparsity_kl(0.1, activity.mean(axis=0)).sum(), abs=1e-12)


def test_shapes_of_a_deep_autoencoder():
    model = Autoencoder([20, 12, 7, 3], hidden="relu", code="tanh", output="sigmoid")
    x = torch.rand(5, 20)
    assert model.encode(x).shape == (5, 3) and model(x).shape == (5, 20)
    sizes = [(layer.in_features, layer.out_features) for layer in model.modules() if hasattr(layer, "bias")]
    assert sizes == [(20, 12), (12, 7), (7, 3), (3, 7), (7, 12), (12, 20)]
    kinds = [type(layer).__name__ for layer in [*model.encoder, *model.decoder]]
    assert kinds[1::2] == ["ReLU", "ReLU", "Tanh", "ReLU", "ReLU", "Sigmoid"]
    assert (model.encode(x).abs() <= 1).all() and (model(x) >= 0).all() and (model(x) <= 1).all()
    energies = [((r - a) ** 2).sum().item() for r, a in zip(model(x), x, strict=True)]
    assert residual_energy(model, x).tolist() == pytest.approx(energies)


def digits() -> np.ndarray:
    return datasets.load("digits").x.reshape(-1, 64).astype(float)


def test_linear_autoencoder_is_pca():
    """Its least loss is the sum of the dropped eigenvalues, its decoder spans the leading eigenvectors."""
    X = digits()[:300]
    X = X - X.mean(axis=0)
    space = Eigenspace().fit(X)
    torch.manual_seed(0)
    model = Autoencoder([64, 3])
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(model, torch.from_numpy(X))
        value.backward()
        return value

    optimiser.step(closure)
    energy = residual_energy(model, torch.from_numpy(X)).mean().item()
    assert energy == pytest.approx(space.total_energy_ - space.eigenvalues_[:3].sum(), rel=1e-6)
    decoder = np.linalg.qr(model.decoder[0].weight.detach().numpy())[0]  # (64, 3)
    cosines = np.linalg.svd(space.components_[:3] @ decoder, compute_uv=False)
    assert cosines.min() > 1 - 1e-6

    # the same subspace has many weights: any invertible mixing of the code leaves the loss alone
    mixing = torch.tensor(np.random.default_rng(3).normal(size=(3, 3)))
    before = loss(model, torch.from_numpy(X)).item()
    with torch.no_grad():
        model.decoder[0].weight.copy_(model.decoder[0].weight @ mixing)
        model.encoder[0].weight.copy_(torch.linalg.solve(mixing, model.encoder[0].weight))
        model.encoder[0].bias.copy_(torch.linalg.solve(mixing, model.encoder[0].bias))
    assert loss(model, torch.from_numpy(X)).item() == pytest.approx(before, rel=1e-10)


def test_training_repeats_itself_and_learns():
    X = torch.from_numpy(digits()[:200])

    def history() -> list[float]:
        torch.manual_seed(0)
        return train(Autoencoder([64, 16], code="sigmoid", output="sigmoid"), X, epochs=10, lr=1e-2, seed=4)

    first = history()
    assert first == history() and len(first) == 10
    assert first[-1] < 0.6 * first[0]


def test_mean_activity_follows_its_target():
    X = torch.from_numpy(digits()[:300])
    for target in (0.05, 0.3):
        torch.manual_seed(0)
        model = Autoencoder([64, 10], code="sigmoid", output="sigmoid")
        train(model, X, epochs=60, lr=2e-2, target=target, beta=20.0, batch=300)
        activity = model.encode(X).detach().mean(dim=0)
        assert (activity - target).abs().max() < 0.5 * target


def test_denoising_beats_an_autoencoder_that_never_saw_noise():
    X = torch.from_numpy(digits())
    known, new = X[:1000], X[1000:]
    noisy = new + 0.3 * torch.from_numpy(np.random.default_rng(5).normal(size=new.shape))
    error = {}
    for noise in (0.0, 0.3):
        torch.manual_seed(0)
        model = Autoencoder([64, 100], code="relu", output="sigmoid")
        train(model, known, epochs=60, lr=5e-3, noise=noise)
        error[noise] = ((model(noisy) - new) ** 2).sum(dim=1).mean().item()
    assert error[0.3] < 0.75 * error[0.0]
    assert error[0.3] < 0.5 * ((noisy - new) ** 2).sum(dim=1).mean().item()


def test_what_comes_out_is_compared_with_the_clean_images():
    _, model = pair("tanh", "linear")
    clean, noisy = torch.from_numpy(batch(1)), torch.from_numpy(batch(2))
    expected = 0.5 * ((model(noisy) - clean) ** 2).sum(dim=1).mean()
    assert loss(model, noisy, clean).item() == pytest.approx(expected.item(), abs=1e-14)


@pytest.mark.parametrize("code", ["tanh", "relu", "linear"])
def test_codes_that_are_no_probabilities_are_refused_in_words(code: str):
    X = torch.from_numpy(3 * batch())
    _, model = pair(code, "linear")
    with pytest.raises(ValueError, match=r'activities from .* to .*Use code="sigmoid", or no penalty'):
        train(model, X, epochs=1, beta=0.5, target=0.1)
    train(model, X, epochs=1)  # without the penalty any code will do


def test_other_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="a unit is off, or on, for every sample"):
        sparsity_penalty(torch.tensor([[0.0, 0.5], [0.0, 0.4]]), 0.1)
    with pytest.raises(ValueError, match="activities from nan to nan"):
        sparsity_penalty(torch.tensor([[float("nan"), 0.5]]), 0.1)
    for shape in ((3,), (0, 3)):
        with pytest.raises(ValueError, match=r"expected activities \(B, H\), got shape"):
            sparsity_penalty(torch.full(shape, 0.5), 0.1)
    for target in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="target must lie between 0 and 1"):
            sparsity_penalty(torch.rand(3, 2), target)
    with pytest.raises(ValueError, match="no activation 'softplus'; there are linear, relu"):
        Autoencoder([6, 4], code="softplus")
    with pytest.raises(ValueError, match="expected sizes of pixels"):
        Autoencoder([6])
    _, model = pair("sigmoid", "sigmoid")
    for shape in ((5, 7), (6,), (5, 2, 3)):
        with pytest.raises(ValueError, match="expected samples as rows of 6 numbers, got shape"):
            model(torch.ones(shape))
    with pytest.raises(ValueError, match=r"samples are torch.float32, the weights torch.float64"):
        model(torch.ones((5, 6), dtype=torch.float32))
    with pytest.raises(ValueError, match="no samples to learn from"):
        train(model, torch.ones((0, 6)), epochs=1)
    with pytest.raises(ValueError, match="3 of 54 values are NaN or infinite"):
        X = torch.from_numpy(batch())
        X[4, :3] = float("inf")
        train(model, X, epochs=1)
    with pytest.raises(ValueError, match=r"the network has layers of \[6, 4, 6\], the module of \[6, 5, 6\]"):
        copy_weights(pair("sigmoid", "sigmoid")[0], Autoencoder([6, 5]))


def test_divergence_is_said_in_words():
    _, model = pair("linear", "linear")
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) after epoch \d+.*lower lr"):
        train(model, torch.from_numpy(batch()), epochs=500, lr=1e100)


def test_bar_is_shown_only_when_it_has_a_title(capsys: pytest.CaptureFixture):
    _, model = pair("tanh", "linear")
    train(model, torch.from_numpy(batch()), epochs=2)
    assert capsys.readouterr().err == ""
    train(model, torch.from_numpy(batch()), epochs=2, bar="a small network")
    assert "a small network" in capsys.readouterr().err


# Features for few labels


def test_features_are_centred_and_of_one_size_and_learnt_from_the_first_images_only():
    X = digits()[:200]
    known, new = X[:150], X[150:]
    models = {kind: pretrained(kind, known, epochs=2) for kind in PLANS}
    described = features(known, new, 5, models)
    assert [of_known.shape[1] for of_known, _ in described.values()] == [64, 5, 100, 100]
    for of_known, of_new in described.values():
        assert np.abs(of_known.mean(axis=0)).max() < 1e-12
        assert len(of_new) == 50
    one_alone = features(known, new[:1], 5, models)  # no new image has a say in another's description
    for name, (_, of_new) in described.items():
        assert np.abs(one_alone[name][1] - of_new[:1]).max() < 1e-12
    with pytest.raises(ValueError, match="no kind 'deep'; there are sparse, denoising"):
        pretrained("deep", known)


def test_fine_tuning_learns_the_labels_and_leaves_the_encoder_alone():
    data = datasets.load("digits")
    X, labels = torch.from_numpy(digits()[:100]), torch.from_numpy(data.y[:100].astype(int))
    torch.manual_seed(0)
    encoder = Autoencoder([64, 100], code="relu").encoder
    kept = encoder[0].weight.clone()
    classifier = fine_tune(encoder, X, labels)
    assert torch.equal(encoder[0].weight, kept) and not torch.equal(classifier[0][0].weight, kept)
    assert accuracy(classifier, X.numpy(), labels.numpy()) > 0.95
    assert accuracy(classifier, digits()[100:300], data.y[100:300]) > 0.6
    with pytest.raises(ValueError, match=r"expected one label for each of 100 samples, got shape \(99,\)"):
        fine_tune(encoder, X, labels[1:])


# Faces by distance


def test_windows_are_brought_to_one_contrast():
    windows = np.random.default_rng(6).uniform(size=(3, 5, 4)) * [[[0.1]], [[1]], [[7]]]
    X = standardised(windows)
    assert X.shape == (3, 20)
    assert np.abs(X.mean(axis=1)).max() < 1e-12 and np.abs(X.std(axis=1) - 0.2).max() < 1e-12
    windows[1] = 0.5
    windows[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="2 of 3 windows hold NaN or are of one grey"):
        standardised(windows)
    with pytest.raises(ValueError, match=r"expected windows \(M, R, C\), got shape \(20,\)"):
        standardised(X[0])


def test_windows_without_faces_show_something_and_repeat_themselves():
    windows = windows_without_faces(16, 3)
    assert windows.shape == (24, 16, 16) and windows.min() >= 0 and windows.max() <= 1
    assert (windows.reshape(24, -1).std(axis=1) >= 0.02).all()
    assert np.array_equal(windows, windows_without_faces(16, 3))


def test_distances_are_error_energies_of_what_they_are_called():
    data = datasets.load("faces")
    faces = standardised(data.x[:40])
    distances = face_distances(faces[:30], 8, steps=60)
    new = faces[30:]
    space = Eigenspace(n_components=8).fit(faces[:30])
    mean = ((new - faces[:30].mean(axis=0)) ** 2).sum(axis=1)
    assert distances["mean face"](new) == pytest.approx(mean)
    assert distances["PCA"](new) == pytest.approx(space.residual_energy(new))
    assert (distances["PCA, code cut off"](new) >= distances["PCA"](new) - 1e-12).all()
    # a code that is cut off costs nothing where it lies within one standard deviation
    at_home = space.inverse_transform(0.9 * np.sqrt(space.eigenvalues_)[None])
    assert distances["PCA, code cut off"](at_home)[0] < 1e-20
    assert [*distances][3:] == ["sigmoid autoencoder", "sparse autoencoder", "deep autoencoder"]
    for name in [*distances][3:]:
        assert distances[name](new).shape == (10,)
        assert distances[name](faces[:30]).mean() < distances["mean face"](faces[:30]).mean()


def test_bounded_code_has_walls():
    """Far from the faces, PCA follows as far as its directions lead; a sigmoid code stays in its box."""
    faces = standardised(datasets.load("faces").x[:60])
    distances = face_distances(faces, 15, steps=100)
    far = faces.mean(axis=0) + 50 * Eigenspace(n_components=15).fit(faces).components_[:1]
    assert distances["PCA"](far)[0] < 1e-18
    for name in ("PCA, code cut off", "sigmoid autoencoder", "sparse autoencoder"):
        assert distances[name](far)[0] > 0.25 * distances["mean face"](far)[0]
