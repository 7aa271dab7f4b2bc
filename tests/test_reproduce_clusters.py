"""The stored results of chapter 03 are what its experiments give, where the data are at hand."""

import numpy as np

from gennet import clustering, datasets, reproduce


def test_stored_embeddings_are_reproduced():
    """t-SNE is held to its trustworthiness: its points, and what they recover, move with the rounding."""
    stored, now = reproduce.stored("embeddings"), reproduce.embeddings(draws=1)
    for world, methods in now["scores"].items():
        assert methods.keys() == stored["scores"][world].keys()
        for method, scores in methods.items():
            kept = {name: values[0] for name, values in stored["scores"][world][method].items()}
            if method == "t-SNE":
                assert abs(scores["trustworthiness"][0] - kept["trustworthiness"]) < 0.01
                continue
            for name, values in scores.items():
                np.testing.assert_allclose(values, kept[name], atol=2e-4)  # stored with four digits
    _, pose = clustering.turning_head(400, 0)
    view = np.array(stored["tsne"]["head"])
    assert (
        round(clustering.truth_recovered(view, pose), 4) == stored["scores"]["head"]["t-SNE"]["recovered"][0]
    )


def test_stored_clusters_of_mnist_are_reproduced(at_hand):
    at_hand("mnist")
    stored, now = reproduce.stored("clusters_mnist"), reproduce.clusters_mnist(numbers=(), lots=1)
    images = datasets.load("mnist").split("test").x.reshape(10000, -1).astype(float)
    run = clustering.kmeans(images, np.random.default_rng(0).integers(10, size=10000), 10)
    np.testing.assert_allclose(run.objective, stored["kmeans"]["10"]["objective"][0], rtol=1e-6)
    for kind, scores in now["linkages"].items():
        assert {name: values[:1] for name, values in stored["linkages"][kind].items()} == scores
    for method, scores in now["neighbours"].items():
        margin = 0.05 if method == "t-SNE" else 0.005
        for name, values in scores.items():
            np.testing.assert_allclose(values, stored["neighbours"][method][name][:1], atol=margin)
