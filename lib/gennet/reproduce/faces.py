"""Chapter 02 at full size: faces found in portraits and told apart (Crowley).

The places of the eyes in the portraits were marked by eye.
"""

import timeit

import numpy as np
from PIL import Image
from skimage import data
from skimage.feature import Cascade
from skimage.transform import resize
from sklearn.neighbors import KNeighborsClassifier
from tqdm.auto import tqdm

from gennet import datasets, face_space
from gennet.datasets import download

EYES = {  # pixels: left x, y, right x, y, marked by eye; the crews are portraits by NASA
    "astronaut": [(202, 101, 246.5, 103.5)],
    "sts107_crew_nasa": [
        (192.5, 51.5, 222.5, 52),
        (322.5, 154, 360, 155),
        (460, 86, 497, 87.5),
        (623.5, 170, 663.5, 171),
        (784, 70, 816, 70),
        (889, 169, 928.5, 167.5),
        (1052.5, 106.5, 1084, 106.5),
    ],
    "apollo11_crew_nasa": [(502, 628, 577, 628), (1002, 326, 1086, 325), (1518, 678, 1602, 673)],
}
SIZES = {"smallest": 40, "largest": 200, "step": 1.2}  # of the windows, in pixels of a portrait of 720 rows


def face_space_portraits(divisions: int = 5) -> dict:
    """Chapter 02 on three portraits with 11 faces: distance from face space beside a cascade (CR9).

    The pictures are those of `portrait`. A detector learns from 60 of the 100 shipped faces and is calibrated
    on the other 40, for each of so many random divisions; the cascade is scikit-image's, of local binary
    patterns, over the same sizes of windows.

    Returns
    -------
    dict
        ``windows`` and ``faces``: how many a portrait has; ``rate``: the share of faces asked of the
        calibration; ``components``: numbers D; ``found`` and ``false_alarms`` at that threshold, for each
        portrait a list over D of lists over divisions; ``before``: for each D and division, how many false
        alarms, in all portraits together, lie nearer to face space than the first, second, ... true face that
        is found at all; ``cascade``: faces found and false alarms in each portrait; ``seconds`` of this
        machine for the astronaut: scan, cascade, and window by window.

    Raises
    ------
    DataError
        If a portrait is not in the data folder.
    """
    faces = datasets.load("faces").x[:100, 4:22, 2:20].astype(float)  # from brows to chin
    portraits = {name: portrait(name) for name in EYES}
    components, rate, reach = [0, 1, 2, 5, 10, 20], 0.9, 1.1
    found, false_alarms = ({name: [[] for _ in components] for name in portraits} for _ in range(2))
    before = [[] for _ in components]
    for n, D in enumerate(tqdm(components, desc="components", disable=None)):
        for seed in range(divisions):
            order = np.random.default_rng(seed).permutation(100)
            detector = face_space.FaceDetector(D).fit(faces[order[:60]]).calibrate(faces[order[60:]], rate)
            distances, hits = [], []
            for name, (image, truth) in portraits.items():
                seen = detector.scan(image, **SIZES, threshold=reach)
                distances.append(seen.distances)
                hits.append(face_space.match(seen.boxes, truth))
                accepted = hits[-1][seen.distances < detector.threshold_]
                found[name][n].append(int(accepted.sum()))
                false_alarms[name][n].append(int((~accepted).sum()))
            hits = np.concatenate(hits)[np.argsort(np.concatenate(distances), kind="stable")]
            before[n].append(np.cumsum(~hits)[hits].tolist())
    return {
        "windows": {name: _windows(image.shape) for name, (image, _) in portraits.items()},
        "faces": {name: len(truth) for name, (_, truth) in portraits.items()},
        "rate": rate,
        "components": components,
        "found": found,
        "false_alarms": false_alarms,
        "before": before,
        "cascade": {name: _cascade(*pair) for name, pair in portraits.items()},
        "seconds": _seconds(portraits["astronaut"][0]),
    }


def portrait(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a grey portrait of at most 720 rows and the places of its faces.

    Parameters
    ----------
    name
        ``"astronaut"``, which scikit-image has, or one of two crews, ``"sts107_crew_nasa"`` and
        ``"apollo11_crew_nasa"``, from the folder ``photos`` of the data folder.

    Returns
    -------
    image : ndarray of shape (H, W)
        Pixels in [0, 1].
    boxes : ndarray of shape (n, 4)
        Top, left, height and width of each face from brows to chin, as in ``x[:, 4:22, 2:20]`` of the shipped
        faces.

    Raises
    ------
    ValueError
        If there is no portrait of this name.
    DataError
        If it is not in the data folder.
    """
    if name not in EYES:
        raise ValueError(f"portrait: there is no portrait {name!r}; there are: {', '.join(EYES)}.")
    if name == "astronaut":
        picture = Image.fromarray(data.astronaut())
    else:
        file = download.folder() / "photos" / f"{name}.jpg"
        if not file.exists():
            raise datasets.DataError(
                f"portrait: there is no {file}. Put it there, or read the stored result of "
                "face_space_portraits."
            )
        picture = Image.open(file)
    image = np.asarray(picture.convert("L")) / 255
    zoom = min(1, 720 / len(image))
    if zoom < 1:
        image = resize(image, (720, round(zoom * image.shape[1])), anti_aliasing=True)
    boxes = []
    for eyes in EYES[name]:
        left_x, left_y, right_x, right_y = zoom * np.array(eyes)
        # in the mean shipped face the eyes are 8.5 pixels apart; in the crop, at row 4.5, around column 8.95
        pixel = np.hypot(right_x - left_x, right_y - left_y) / 8.5
        top = (left_y + right_y) / 2 - 4.5 * pixel
        left = (left_x + right_x) / 2 - 8.95 * pixel
        boxes.append((top, left, 18 * pixel, 18 * pixel))
    return image, np.array(boxes)


def _windows(shape: tuple[int, int]) -> int:
    """Count the windows of 18 x 18 pixels that are compared in a portrait."""
    sides = SIZES["smallest"] * SIZES["step"] ** np.arange(9)
    counts = np.rint(np.outer(18 / sides[sides <= SIZES["largest"]], shape)).astype(int) - 17
    return int(counts.prod(axis=1).sum())


def _cascade(image: np.ndarray, truth: np.ndarray) -> list[int]:
    """Return how many faces the cascade finds and how many false alarms it gives; doubles are merged."""
    seen = _detect(Cascade(data.lbp_frontal_face_cascade_filename()), image)
    boxes = np.array([(box["r"], box["c"], box["height"], box["width"]) for box in seen]).reshape(-1, 4)
    hits = face_space.match(boxes[face_space.suppress(boxes, np.zeros(len(boxes)))], truth)
    return [int(hits.sum()), int((~hits).sum())]


def _detect(cascade: Cascade, image: np.ndarray) -> list[dict]:
    """Let a cascade look at all positions of the same sizes."""
    sides = (SIZES["smallest"],) * 2, (SIZES["largest"],) * 2
    return cascade.detect_multi_scale(image, SIZES["step"], 1, *sides)


def _seconds(image: np.ndarray) -> dict[str, float]:
    """Time a scan, the cascade, and 2000 windows one by one, multiplied up to all: medians of five."""
    detector = face_space.FaceDetector().fit(datasets.load("faces").x[:100, 4:22, 2:20])
    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    windows = np.lib.stride_tricks.sliding_window_view(image, (18, 18))[::10, ::10]
    windows = windows.reshape(-1, 1, 18, 18)[:2000]
    works = {
        "scan": lambda: detector.scan(image, **SIZES, threshold=0.9),
        "cascade": lambda: _detect(cascade, image),
        "window by window": lambda: [detector.distances(window) for window in windows],
    }
    seconds = {name: np.median(timeit.repeat(work, number=1, repeat=5)) for name, work in works.items()}
    seconds["window by window"] *= _windows(image.shape) / len(windows)
    return {name: float(f"{value:.2g}") for name, value in seconds.items()}


def face_space_olivetti(divisions: int = 5) -> dict:
    """Chapter 02 on 400 photographs of 40 people: who is it? (CR11, CR12).

    Six photographs of each person are learnt from, four are tried, for each of so many random divisions.

    Returns
    -------
    dict
        The settings ``lengths`` (numbers in the code), ``skipped`` (first coefficients left out, 60 others
        kept) and ``people`` (in the population, 60 coefficients); for each of them and for each of two
        methods, "mixtures" and "nearest photograph", the share of pictures named rightly, such as
        "mixtures, lengths", lists over the divisions of lists over the settings.

    Raises
    ------
    DataError
        If the photographs are not on this machine and cannot be downloaded.
    """
    images = datasets.load("olivetti").x.astype(float)[:, ::2, ::2]  # (400, 32, 32)
    by_person = images.reshape(40, 10, 32, 32)
    lengths, skipped, people = [2, 5, 10, 20, 40, 60, 100], [0, 1, 2, 3, 5, 8], [5, 10, 20, 40]
    runs = []
    for seed in tqdm(range(divisions), desc="divisions", disable=None):
        rng = np.random.default_rng(seed)
        shuffled = rng.permuted(np.tile(np.arange(10), (40, 1)), axis=1)
        pictures = np.take_along_axis(by_person, shuffled[..., None, None], axis=1)[rng.permutation(40)]
        runs.append(
            (
                [_recognised(pictures, n) for n in lengths],
                [_recognised(pictures, 60 + k, k) for k in skipped],
                [_recognised(pictures[:k], min(60, 6 * k - 1)) for k in people],
            )
        )
    result = {"lengths": lengths, "skipped": skipped, "people": people}
    for name, part in zip(("lengths", "skipped", "people"), zip(*runs, strict=True), strict=True):
        for n, method in enumerate(("mixtures", "nearest photograph")):
            result[f"{method}, {name}"] = np.array(part)[..., n].round(4).tolist()
    return result


def _recognised(pictures: np.ndarray, n_components: int, skip: int = 0) -> tuple[float, float]:
    """Return the shares of people named by mixtures with Bayes' rule, and by the nearest photograph's code.

    Of each person's ten pictures (K, 10, R, C) the first six are learnt from, the others are tried.
    """
    person = np.arange(len(pictures))
    X, y = pictures[:, :6].reshape(-1, *pictures.shape[2:]), person.repeat(6)
    new, truth = pictures[:, 6:].reshape(-1, *pictures.shape[2:]), person.repeat(4)
    recogniser = face_space.FaceRecogniser(n_components, skip).fit(X, y)
    codes, others = (recogniser.space_.transform(images)[:, skip:] for images in (X, new))
    nearest = KNeighborsClassifier(1).fit(codes, y).score(others, truth)
    return recogniser.score(new, truth), nearest
