"""Grey portraits of people who do not exist, in which every cause of variation is an argument.

Eigenspace coding works for faces in controlled light, of known orientation, normalised in position and
size, little occluded, and not too many (Crowley's five limits): here each of these can be changed alone. A
face is a relief, a superellipsoid with smooth bumps, with a painted reflectance, turned in space and lit as a
matt (Lambertian) surface. Left out on purpose: cast shadows, gloss, perspective, colour, and any claim to the
statistics of real photographs.
"""

from functools import lru_cache
from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike

OCCLUDERS = ("bottom", "top", "left", "right", "eyes")
EVERYDAY = {  # spreads for `random_faces` that give an everyday collection, roughly aligned
    "pose": 8.0,
    "expression": 0.7,
    "light": 30.0,
    "misalignment": 0.5,
    "scale": 0.03,
    "noise": 0.01,
}

_RANGES = {  # of the arguments of `synthetic_faces`, in degrees, pixels and fractions
    "yaw": (-40.0, 40.0),  # beyond, the nose hides too much for the few iterations of `_hit`
    "pitch": (-30.0, 30.0),
    "roll": (-360.0, 360.0),
    "expression": (-1.0, 1.0),
    "mouth_open": (0.0, 1.0),
    "light_azimuth": (-90.0, 90.0),
    "light_elevation": (-90.0, 90.0),
    "light_strength": (0.0, 1.0),
    "shift_right": (-1e4, 1e4),
    "shift_down": (-1e4, 1e4),
    "scale": (0.1, 10.0),
    "occlusion": (0.0, 1.0),
    "noise": (0.0, 10.0),
}
_BACKGROUND = 0.6
_OCCLUDER_GREY = 0.12
_SAMPLES = 2  # samples of a pixel along each axis

# Lengths are in units of half the height of the head, x to the right of the picture, y up, z to the viewer.
# Each trait: mean, spread between people, and how much of it goes with a sturdy build (one latent number).
_TRAITS = {
    "width": (0.67, 0.030, 0.016),
    "square": (0.22, 0.07, 0.08),  # 0: the lower face is a half ellipse, 0.5: a square jaw
    "taper": (0.17, 0.06, -0.035),
    "depth": (0.86, 0.03, 0.0),
    "chin": (1.0, 0.3, 0.2),
    "cheek": (1.0, 0.35, 0.0),
    "hollow": (0.5, 0.6, 0.0),
    "ear": (1.0, 0.15, 0.0),
    "eye_x": (0.275, 0.018, 0.0),
    "eye_y": (0.0, 0.025, 0.0),
    "eye_w": (0.126, 0.010, 0.0),
    "eye_h": (0.050, 0.008, -0.004),
    "eye_tilt": (0.008, 0.012, 0.0),
    "lid": (0.6, 0.3, 0.0),
    "brow_y": (0.165, 0.022, -0.014),
    "brow_w": (0.165, 0.015, 0.0),
    "brow_thick": (0.027, 0.006, 0.006),
    "brow_arch": (0.030, 0.014, -0.008),
    "brow_tilt": (-0.004, 0.014, 0.0),
    "nose_y": (-0.36, 0.035, 0.0),
    "nose_w": (1.0, 0.15, 0.06),
    "nose_h": (1.0, 0.16, 0.06),
    "bridge": (1.0, 0.25, 0.0),
    "mouth_y": (-0.605, 0.035, 0.0),
    "mouth_w": (0.230, 0.025, 0.0),
    "upper_lip": (0.035, 0.008, -0.004),
    "lower_lip": (0.052, 0.011, -0.005),
    "lip_shade": (0.72, 0.06, 0.0),
    "hairline": (0.55, 0.07, 0.0),
    "hair_round": (0.25, 0.12, 0.0),
    "hair_thick": (0.075, 0.018, 0.0),
    "temple": (0.22, 0.06, 0.0),
    "peak": (0.0, 0.03, 0.0),
}


@lru_cache(maxsize=4096)
def _person(identity: int) -> SimpleNamespace:
    """Every trait of one person; person 0 has every trait at its mean and is symmetric."""
    rng = np.random.default_rng([2020, identity])
    normal = np.clip(rng.standard_normal(len(_TRAITS) + 2), -2, 2) * (identity > 0)
    uniform = rng.random(11) if identity > 0 else np.full(11, 0.5)
    sturdy, part = normal[-2:]
    p = SimpleNamespace(sturdy=sturdy)
    for z, (name, (mean, spread, with_build)) in zip(normal[:-2], _TRAITS.items(), strict=True):
        setattr(p, name, mean + spread * z + with_build * sturdy)
    p.mouth_y = min(p.mouth_y, p.nose_y - 0.205)  # a mouth stays below its nose
    p.skin = 0.56 + 0.40 * uniform[0]
    p.iris = 0.08 + 0.28 * uniform[1]
    p.hair = 0.05 + 0.55 * uniform[2] ** 2
    p.brow_dark = 0.55 + 0.40 * uniform[3]
    p.cloth = 0.15 + 0.65 * uniform[4]
    p.hair_soft = 0.05 + 0.08 * uniform[5]
    p.part = 0.12 * part
    p.phase = 2 * np.pi * uniform[6] * (identity > 0)
    p.crown = 2.0  # the height to which hair grows at the sides
    p.long = p.beard = p.moustache = 0.0
    p.glasses = identity > 0 and uniform[7] < 0.18
    style, variant, other = uniform[8:]
    if identity > 0 and sturdy < -0.1:  # long hair: a fringe, a side parting, or open
        p.long = 0.4 + 0.8 * other
        p.hair_thick += 0.05
        p.temple += 0.18
        if style < 0.35:
            p.hairline, p.hair_round = 0.28 + 0.10 * variant, 0.05
        elif style < 0.70:
            p.part = np.copysign(0.25, part)
        else:
            p.hair_round += 0.25
    elif identity > 0:
        if style < 0.20:  # bald, or on the way
            p.hairline, p.hair_round, p.hair_thick, p.part = 0.70 + 0.2 * variant, 0.6, 0.03, 0.0
            if variant > 0.5:
                p.hairline, p.crown = 2.0, 0.45
        elif style < 0.40:
            p.hairline, p.hair_round = 0.37 + 0.08 * variant, 0.05
        if other < 0.25:
            p.beard = p.moustache = 0.4 + 2 * other
        elif other < 0.35:
            p.moustache = 0.8
        elif other < 0.60:
            p.beard = p.moustache = 0.15
    return p


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """Go smoothly from 0 to 1 while `distance` goes from -width/2 to width/2."""
    t = np.minimum(np.maximum(distance / width + 0.5, 0), 1)
    return t * t * (3 - 2 * t)


def _spot(u: np.ndarray, v: ArrayLike = 0.0) -> np.ndarray:
    """Gaussian spot of height 1 and unit width."""
    return np.exp(-0.5 * (u * u + v * v))


def _bumps(p: SimpleNamespace, smile: float, gape: float) -> np.ndarray:
    """Rows (x, y, width, height, elevation) of the Gaussian bumps of a face; |x| stands for both sides."""
    nose, mouth, eye = p.nose_y, p.mouth_y - 0.025 * smile, p.eye_x
    up, drop = max(smile, 0), 0.10 * gape
    fold = p.mouth_w + 0.06 + 0.03 * up
    return np.array(
        [
            (0, nose + 0.34, 0.070 * p.nose_w, 0.13, 0.060 * p.bridge * p.nose_h),  # bridge of the nose
            (0, nose + 0.17, 0.080 * p.nose_w, 0.11, 0.085 * p.nose_h),
            (0, nose + 0.02, 0.085 * p.nose_w, 0.085, 0.115 * p.nose_h),  # tip
            (0.105 * p.nose_w, nose - 0.03, 0.050 * p.nose_w, 0.055, 0.045),  # wings
            (0.215 * p.nose_w, nose, 0.060, 0.10, -0.020),
            (0, mouth + 0.03, 0.17, 0.055, 0.050 - 0.020 * up),  # upper lip
            (0, mouth - 0.05 - drop, 0.15, 0.060, 0.055),  # lower lip
            (0, mouth - 0.135 - drop, 0.17, 0.045, -0.030),
            (0, -0.86 - 0.8 * drop, 0.16, 0.10, 0.080 * p.chin),
            (eye - 0.02, 0.08 + 0.3 * p.brow_y, 0.20, 0.055, 0.040 + 0.012 * p.sturdy),  # brow ridge
            (eye - 0.04, p.eye_y + 0.015, 0.16, 0.085, -0.080),  # socket
            (eye, p.eye_y - 0.005, 0.085, 0.055, 0.050),  # eyeball
            (eye - 0.02, p.eye_y - 0.12, 0.12, 0.045, -0.018),
            (0.37 + 0.01 * up, -0.20 + 0.05 * up, 0.15, 0.11, 0.050 * p.cheek + 0.035 * up),  # cheek bone
            (0.42, -0.50, 0.12, 0.16, -0.05 * p.hollow),  # hollow of the cheek
            (0.22, 0.45, 0.20, 0.16, 0.020),  # forehead
            (0.50, 0.22, 0.12, 0.13, -0.020),  # temple
            (fold, p.mouth_y + 0.06 + 0.02 * up, 0.05, 0.08, -0.015 - 0.02 * up),
        ]
    )


def _relief(bumps: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height b(x, y) of the relief at n points, and its slopes db/dx and db/dy."""
    ax = np.abs(x)
    b, b_x, b_y = np.zeros((3, x.size))
    for cx, cy, sx, sy, elevation in bumps:
        u, v = (ax - cx) / sx, (y - cy) / sy
        bump = elevation * _spot(u, v)
        b += bump
        b_x -= bump * u / sx
        b_y -= bump * v / sy
    return b, b_x * np.sign(x), b_y


def _hit(
    X: np.ndarray,
    Y: np.ndarray,
    turn: np.ndarray,
    centre: tuple[float, float, float],
    size: tuple[float, float, float, float],
    shape: tuple[float, float, float],
    pixel: float,
    bumps: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Where the line of sight through each picture point first meets a turned, bumpy superellipsoid.

    In the head's frame the solid is (x / w(y))^2 + (1 - k) (y / h)^2 + k (y / h)^4 + ((z - b) / d)^2 = 1 with
    ``size = (w, h above, h below, d)`` and ``shape = (k above, k below, taper)``: w(y) narrows downwards by
    `taper`, and b(x, y) is the relief. With w(y) taken from the point found before, and (y / h)^4 and b(x, y)
    replaced by their tangents there, the depth t along the line of sight solves a quadratic equation. Returns
    the indices of the points near the solid, their coverage in [0, 1], their place (x, y, z) in the head's
    frame, and the outward normal there, of any length.
    """
    w, above, below, d = size
    k_above, k_below, taper = shape
    sight = turn[2]
    at_once = sight[2] == 1.0 or (bumps is None and not any(shape))  # seen from the front, or an ellipsoid
    cX, cY, _ = turn @ centre
    margin = 1.05 + pixel
    index = np.flatnonzero(((X - cX) / max(w, d)) ** 2 + ((Y - cY) / max(above, below)) ** 2 < margin**2)
    ox, oy, oz = (turn[0, i] * X[index] + turn[1, i] * Y[index] - centre[i] for i in range(3))
    y, id2 = oy, 1 / d**2
    base, rise = oz, sight[2]  # z - b(x, y) along the line of sight is base + t rise, to first order
    for _ in range(1 if at_once else 3):
        low = y < 0
        width = w * (1 - taper * np.where(low, y * y, 0))
        h, k = np.where(low, below, above), np.where(low, k_below, k_above)
        q = np.minimum((y / h) ** 2, 1.3)
        iw2, ih2 = 1 / width**2, (1 - k + 2 * k * q) / h**2  # the tangent in y^2
        a = sight[0] ** 2 * iw2 + sight[1] ** 2 * ih2 + rise**2 * id2
        half = ox * sight[0] * iw2 + oy * sight[1] * ih2 + base * rise * id2
        rest = ox * ox * iw2 + oy * oy * ih2 + base**2 * id2 - 1 - k * q * q
        inside = half * half / a - rest  # 1 at the centre of the outline, 0 on it
        t = (np.sqrt(np.maximum(a * inside, 0)) - half) / a
        x, y, z = ox + t * sight[0], oy + t * sight[1], oz + t * sight[2]
        nz = base + t * rise
        if bumps is not None:
            front = _step(z - 0.1, 0.4)  # the back of the head has no relief
            b, b_x, b_y = (front * c for c in _relief(bumps, x, y))
            rise = np.maximum(sight[2] - b_x * sight[0] - b_y * sight[1], 0.3)
            base = oz - b + t * (sight[2] - rise)
    coverage = np.clip(0.5 + 0.42 * inside / pixel, 0, 1)

    # half the gradient of the left-hand side, times d^2
    nx, ny = d * d * x * iw2, d * d * y * ih2
    ny += np.where(low, 2 * d * d * taper * w * y * x * x * iw2 / width, 0)
    if bumps is not None:
        nx, ny = nx - nz * b_x, ny - nz * b_y
    return index, coverage, (x + centre[0], y + centre[1], z + centre[2]), (nx, ny, nz)


def _skin(
    p: SimpleNamespace, x: np.ndarray, y: np.ndarray, smile: float, gape: float, pixel: float
) -> np.ndarray:
    """Reflectance of the face at points (x, y): skin, beard, mouth, eyes, brows, glasses, in this order."""
    ax = np.abs(x)
    up, down, drop = max(smile, 0), max(-smile, 0), 0.10 * gape
    skin = np.full(x.shape, p.skin)

    # hollows that light hardly reaches: corners of the eyes, under eyes, nose and lip, folds, nostrils
    skin *= 1 - 0.20 * _spot((ax - p.eye_x + 0.07) / 0.12, (y - p.eye_y - 0.05) / 0.06)
    skin *= 1 - 0.10 * _spot((ax - p.eye_x) / 0.12, (y - p.eye_y + 0.10) / 0.04)
    skin *= 1 - 0.10 * _spot(x / (0.11 * p.nose_w), (y - p.nose_y + 0.12) / 0.03)
    skin *= 1 - 0.10 * _spot((ax - 0.17 * p.nose_w) / 0.02, (y - p.nose_y + 0.03) / 0.045)
    skin *= 1 - 0.16 * _spot(x / 0.14, (y - p.mouth_y + 0.13 + drop) / 0.03)
    along = np.clip((p.nose_y - y) / (p.nose_y - p.mouth_y), 0, 1.2)
    fold = 0.16 * p.nose_w + (p.mouth_w + 0.06 + 0.03 * up - 0.15 * p.nose_w) * along
    ends = _step(p.nose_y + 0.03 - y, 0.08) * _step(y - p.mouth_y + 0.02, 0.1)
    skin *= 1 - (0.06 + 0.12 * up) * _spot((ax - fold) / 0.025) * ends
    skin *= 1 - 0.55 * _spot((ax / p.nose_w - 0.066) / 0.032, (y - p.nose_y + 0.085) / 0.018)

    # beard and moustache
    jaw = _step(-0.30 - y - 0.35 * (1 - (ax / p.width) ** 2), 0.15)
    jaw *= 1 - _spot(x / p.mouth_w, (y - p.mouth_y + 0.02) / 0.06)
    over_lip = _spot((ax - 0.10) / 0.13, (y - p.mouth_y - 0.085 + 0.4 * ax * ax) / 0.035)
    hairy = np.minimum(p.beard * jaw + p.moustache * over_lip, 1)
    skin += hairy * (np.minimum(1.1 * p.hair, skin) - skin)

    # mouth: m runs from 0 in the middle to 1 in the corner
    soft = max(0.02, pixel)
    half_width = p.mouth_w * (1 + 0.18 * up - 0.05 * down - 0.06 * gape)
    m = np.minimum(ax / half_width, 1)
    line = p.mouth_y + 0.09 * smile * (m * m - 0.35) + 0.014 * m * m - 0.010 * _spot(x / 0.05)
    arc = np.sqrt(1 - m * m)
    ceiling, floor = line + 0.03 * gape * arc, line - 0.105 * gape * arc
    top = ceiling + p.upper_lip * (1 - 0.15 * up) * (1 - m * m) * (1.15 - 0.3 * _spot(x / 0.035))
    bottom = floor - p.lower_lip * (1 - 0.10 * up) * arc
    within = _step(1 - ax / half_width, 0.1)
    lips = _step(top - y, soft) * _step(y - bottom, soft) * within
    skin *= 1 - (1 - p.lip_shade) * lips * np.where(y < line, 0.75, 1)
    skin *= 1 - 0.50 * (1 - gape) * _spot((y - line) / 0.014) * _step(1.06 - ax / half_width, 0.25)
    skin *= 1 - 0.22 * _spot((ax - half_width) / 0.03, (y - line) / 0.025)
    hole = _step(ceiling - y, soft) * _step(y - floor, soft) * within * gape / (gape + 0.1)
    teeth = _step(y - ceiling + 0.05, soft) * _step(0.8 - m, 0.2)
    skin += hole * (0.10 + 0.60 * teeth - skin)

    # eyes: e runs from -1 in the inner corner to 1 in the outer corner
    soft = max(0.014, pixel)
    e = (ax - p.eye_x) / p.eye_w
    level = y - p.eye_y - p.eye_tilt * e
    lens = np.maximum(1 - e * e, 0)
    upper, lower = 1.05 * p.eye_h * (1 - 0.25 * up) * lens**0.75, -0.8 * p.eye_h * (1 - 0.4 * up) * lens
    radius = np.hypot(ax - p.eye_x, level - 0.35 * p.eye_h + 0.012)
    eye = 0.80 * (1 - 0.35 * _step(level - upper + 0.03, 0.05))  # the white, under the shadow of the lid
    eye += _step(0.050 - radius, soft) * (p.iris - eye)
    eye += _step(0.024 - radius, soft) * (0.03 - eye)
    skin += _step(upper - level, soft) * _step(level - lower, soft) * (lens > 0) * (eye - skin)
    skin *= 1 - 0.70 * _spot((level - upper - 0.006) / 0.013) * _step(1.1 - np.abs(e), 0.25)
    skin *= 1 - 0.20 * _spot((level - lower + 0.004) / 0.010) * _step(1.0 - np.abs(e), 0.3)
    skin *= 1 - 0.25 * p.lid * _spot((level - upper - 0.042) / 0.014) * _step(1.0 - np.abs(e), 0.5)

    # brows
    e = (ax - p.eye_x - 0.01) / p.brow_w
    raised = 0.015 * up - 0.035 * down * (1 - e) + 0.02 * gape
    arch = p.brow_arch * (1 - (e - 0.3) ** 2) + p.brow_tilt * e + raised
    thick = np.maximum(p.brow_thick * (1.05 - 0.4 * e), 0.008)
    brow = _spot((y - p.eye_y - p.brow_y - arch) / thick) * _step(1 - np.abs(e), 0.5)
    skin += p.brow_dark * brow * (min(0.9 * p.hair, 0.55 * p.skin) - skin)

    if p.glasses:
        rim = np.hypot(((ax - p.eye_x - 0.005) / 0.195) ** 2, ((y - p.eye_y + 0.02) / 0.15) ** 2) ** 0.5
        bar = _step(0.09 - ax, 0.03) + _step(ax - 0.2 - p.eye_x, 0.03)
        frame = _spot((rim - 1) / 0.08) + bar * _spot((y - p.eye_y - 0.03) / 0.014)
        skin += 0.85 * np.minimum(frame, 1) * (0.10 - skin)
    return skin


def _render(
    shape: tuple[int, int],
    identity: int,
    yaw: float,
    pitch: float,
    roll: float,
    smile: float,
    gape: float,
    azimuth: float,
    elevation: float,
    strength: float,
    right: float,
    down: float,
    scale: float,
) -> np.ndarray:
    """One image (R, C) without occluder and noise: layers from back to front, averaged over each pixel."""
    p = _person(identity)
    rows, cols = shape
    unit = 0.44 * min(rows, 1.25 * cols) * scale * _SAMPLES  # samples in half a head
    pixel = 1 / unit
    X = (np.arange(cols * _SAMPLES) + 0.5 - (cols / 2 + right) * _SAMPLES) / unit
    Y = -(np.arange(rows * _SAMPLES) + 0.5 - (rows / 2 + down) * _SAMPLES) / unit
    X, Y = np.tile(X, Y.size), np.repeat(Y, X.size)

    # roll turns the camera: points and light go to the body's frame, in which yaw and pitch turn the head
    a, b, c = np.deg2rad([yaw, pitch, roll])
    unroll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turn = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    turn = turn @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    X, Y = unroll[0, 0] * X + unroll[0, 1] * Y, unroll[1, 0] * X + unroll[1, 1] * Y
    a, b = np.deg2rad([azimuth, elevation])
    light = unroll @ np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])

    def lit(normal: tuple[ArrayLike, ...], light: np.ndarray) -> np.ndarray:
        cosine = sum(n * towards for n, towards in zip(normal, light, strict=True))
        return 1 - strength + strength * np.maximum(cosine / np.sqrt(sum(n * n for n in normal)), 0)

    def cylinder(u: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:  # its normals, u = -1 ... 1 across
        return u, 0.0, np.sqrt(np.maximum(1 - u * u, 0.04))

    def strands(u: np.ndarray) -> np.ndarray:
        return 1 + 0.06 * np.cos(21 * u + p.phase) + 0.05 * np.cos(43 * u + 2.3 * p.phase)

    image = np.full(X.shape, _BACKGROUND)

    def paint(where: np.ndarray | slice, coverage: np.ndarray, value: np.ndarray) -> None:
        image[where] += coverage * (value - image[where])

    hair_w = p.width + 0.8 * p.hair_thick
    if p.long:  # behind the neck, hanging from the back of the head
        x = X + 0.35 * turn[0, 2]
        fall = 1 + 0.12 * np.maximum(-Y, 0) * np.exp(np.minimum(Y, 0))
        dome = np.sqrt(np.maximum(1 - (np.maximum(Y, 0) / (1 + p.hair_thick)) ** 2, 0))
        edge = (hair_w + 0.06) * fall * dome + 0.02 * np.cos(7 * Y + p.phase) - np.abs(x)
        edge = np.minimum(edge, 0.97 + p.hair_thick - Y)
        hair = 0.7 * p.hair * strands(x) * lit(cylinder(x / (hair_w + 0.1)), light)
        paint(slice(None), _step(edge, 0.06) * _step(Y + p.long + 0.5 * x * x, 0.14), hair)

    where = np.flatnonzero(Y < -0.3)
    x, y = X[where], Y[where]
    u = x / (0.38 + 0.035 * p.sturdy + 0.12 * np.maximum(-y - 1.05, 0))
    neck = 0.92 * p.skin * (1 - 0.42 * _spot((y + 0.92) / 0.20)) * lit(cylinder(u), light)
    paint(where, _step(1 - np.abs(u), 5 * pixel) * _step(-0.4 - y, 0.1), neck)
    collar = _step(-1.25 - 0.3 * x * x - y, 0.06) * _step(-1.12 - 1.25 * x * x - y, 0.05)
    paint(where, collar * _step(1.6 - np.abs(x), 0.1), p.cloth * lit((x / 1.8, 0.35, 0.8), light))

    # from here on in the head's frame; hair is a shell around the head, painted where it grows, behind the
    # face and again in front of it
    light = turn.T @ light
    thick = p.hair_thick
    size = (hair_w, 1 + thick, 1 + thick, p.depth + thick)
    shell, outline, (x, y, z), normal = _hit(X, Y, turn, (0, 0, -0.03), size, (0.2, 0.1, 0), pixel)
    u = x / hair_w
    front = y - p.hairline + p.hair_round * u * u - p.part * u + p.peak * _spot(u / 0.12)
    sides = np.minimum(0.6 * (y + (min(0.75, 0.9 * p.long) if p.long else -0.02)), p.crown - y)
    grows = np.maximum(front, np.minimum(sides, 0.8 * (p.temple * p.depth - z)))
    ragged = 0.016 * np.cos(11 * u + p.phase) + 0.010 * np.cos(23 * u + 2 * p.phase)
    ragged += 0.006 * np.cos(53 * u + 3 * p.phase)
    root = 0.75 + 0.25 * _step(grows - 0.03, 0.2)
    hair = p.hair * root * strands(u / (1.5 - np.maximum(y, -0.2)) + p.part) * lit(normal, light)
    paint(shell, outline * _step(sides + ragged, p.hair_soft), hair)

    size, outer = (p.width, 1.0, 1 + 0.08 * gape, p.depth), (0.2, p.square, p.taper)
    bumps = _bumps(p, smile, gape)
    where, coverage, (x, y, z), normal = _hit(X, Y, turn, (0, 0, 0), size, outer, pixel, bumps)
    paint(where, coverage, _skin(p, x, y, smile, gape, pixel) * lit(normal, light))

    if not p.long:
        head, depth = np.zeros((2, X.size))
        head[where], depth[where] = coverage, turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
        size = (0.095 * p.ear, 0.16 * p.ear, 0.18 * p.ear, 0.13)
        for side in (-0.96, 0.96):
            centre = (side * p.width, -0.06, -0.06)
            where, coverage, (x, y, z), normal = _hit(X, Y, turn, centre, size, (0, 0, 0), pixel)
            nearer = _step(turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z - depth[where], 0.12)
            skin = 0.92 * p.skin * (1 - 0.25 * _spot((np.abs(x) - p.width) / 0.03, (y + 0.04) / 0.09))
            paint(where, coverage * (1 - head[where] * (1 - nearer)), skin * lit(normal, light))

    paint(shell, outline * _step(grows + ragged, p.hair_soft), hair)
    return image.reshape(rows, _SAMPLES, cols, _SAMPLES).mean(axis=(1, 3))


def _cover(image: np.ndarray, fraction: float, occluder: str) -> None:
    """Paint a dark band over this fraction of the window, in place; its edge covers pixels in part."""
    if occluder in ("left", "right"):
        image = image.T  # a view, so that the band is made of rows
    rows = len(image)
    height = fraction * rows
    start = {"bottom": rows - height, "right": rows - height, "eyes": (rows - height) / 2}.get(occluder, 0.0)
    row = np.arange(rows)
    covered = np.clip(np.minimum(row + 1, start + height) - np.maximum(row, start), 0, 1)
    image += covered[:, None] * (_OCCLUDER_GREY - image)


def synthetic_faces(
    identity: ArrayLike,
    *,
    yaw: ArrayLike = 0.0,
    pitch: ArrayLike = 0.0,
    roll: ArrayLike = 0.0,
    expression: ArrayLike = 0.0,
    mouth_open: ArrayLike = 0.0,
    light_azimuth: ArrayLike = 0.0,
    light_elevation: ArrayLike = 20.0,
    light_strength: ArrayLike = 0.6,
    shift_right: ArrayLike = 0.0,
    shift_down: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    occlusion: ArrayLike = 0.0,
    occluder: ArrayLike = "bottom",
    noise: ArrayLike = 0.0,
    seed: ArrayLike = 0,
    shape: tuple[int, int] = (32, 32),
) -> np.ndarray:
    """Draw grey portraits; every argument but `shape` broadcasts over the M images.

    The same arguments give the same image, whatever else is in the batch. One core draws about 400 images of
    32 x 32 pixels a second, 300 when the head is turned; the time grows with the number of pixels.

    Parameters
    ----------
    identity
        Whole number >= 0, one for each person. Person 0 has every trait at its average and is symmetric.
    yaw, pitch, roll
        Pose in degrees: the face turns to the right of the picture, up, and clockwise in the picture. Yaw in
        [-40, 40], pitch in [-30, 30], roll in [-360, 360].
    expression
        From -1 (frown) over 0 (neutral) to 1 (smile).
    mouth_open
        From 0 (closed) to 1 (wide open).
    light_azimuth, light_elevation
        Where the light comes from, in degrees, both in [-90, 90]: azimuth 90 is the right of the picture,
        elevation 90 is above, and 0, 0 is the camera.
    light_strength
        Share s in [0, 1] of the light that has a direction. A point of reflectance a and unit normal n, lit
        from the unit direction l, has the grey value a (1 - s + s max(0, n.l)): linear in s.
    shift_right, shift_down
        Position of the face in pixels, fractions allowed.
    scale
        Size of the face, in [0.1, 10]; with 1 the head just fits into the window.
    occlusion
        Fraction of the window, in [0, 1], hidden by a dark band that stays where it is when the face moves.
    occluder
        Where the band lies: "bottom" (a scarf), "top" (a cap), "left", "right", or "eyes" (a bar over the
        middle that grows both ways).
    noise
        Standard deviation of Gaussian noise in grey levels, >= 0; the sum is then cut at 0 and 1.
    seed
        Seed of the noise, a whole number >= 0. The other arguments enter, too, so that different images get
        different noise from one seed. Equal images get equal noise: give M copies of one image M seeds.
    shape
        (R, C) in pixels, at least 16 each.

    Returns
    -------
    ndarray of shape (M, R, C)
        Grey values in [0, 1]. Arguments that broadcast to two or more axes are flattened in C order.

    Raises
    ------
    ValueError
        When a value is outside its range or not a number, or when the arguments do not broadcast.

    Examples
    --------
    >>> synthetic_faces([1, 2, 3], yaw=15).shape
    (3, 32, 32)
    """
    if len(shape) != 2 or min(shape) < 16:
        raise ValueError(f"synthetic_faces: shape must be two sizes of at least 16 pixels, got {shape}.")
    rows, cols = (int(n) for n in shape)
    numbers = {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "expression": expression,
        "mouth_open": mouth_open,
        "light_azimuth": light_azimuth,
        "light_elevation": light_elevation,
        "light_strength": light_strength,
        "shift_right": shift_right,
        "shift_down": shift_down,
        "scale": scale,
        "occlusion": occlusion,
        "noise": noise,
    }
    arrays = {"identity": identity, "seed": seed, "occluder": occluder} | numbers
    try:
        flat = [a.ravel() for a in np.broadcast_arrays(*arrays.values())]
    except ValueError:
        sizes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items() if np.ndim(a))
        raise ValueError(f"synthetic_faces: these shapes do not broadcast together: {sizes}.") from None
    identity, seed, occluder, *flat = flat
    for name, whole in (("identity", identity), ("seed", seed)):
        if not np.issubdtype(whole.dtype, np.integer) or (whole < 0).any():
            raise ValueError(f"synthetic_faces: {name} must be whole numbers >= 0, got {whole.tolist()}.")
    if unknown := set(occluder.tolist()) - set(OCCLUDERS):
        raise ValueError(
            f"synthetic_faces: occluder must be one of {', '.join(OCCLUDERS)}, got {unknown.pop()!r}."
        )
    for name, value in zip(numbers, flat, strict=True):
        low, high = _RANGES[name]
        wrong = ~((value >= low) & (value <= high))  # not a number is wrong, too
        if wrong.any():
            raise ValueError(
                f"synthetic_faces: {name} must lie in [{low:g}, {high:g}], got {value[wrong][0]:g}."
            )

    images = np.empty((identity.size, rows, cols))
    knobs = np.column_stack(flat).astype(float) + 0.0  # no negative zeros
    for image, person, noise_seed, place, row in zip(images, identity, seed, occluder, knobs, strict=True):
        *pose, hidden, sigma = row
        image[:] = _render((rows, cols), int(person), *pose)
        _cover(image, hidden, place)
        if sigma > 0:
            rng = np.random.default_rng([int(noise_seed), int(person), *row[:-1].view(np.uint32)])
            image[:] = np.clip(image + sigma * rng.standard_normal(image.shape), 0, 1)
    return images


def random_faces(
    n_people: int,
    n_per_person: int,
    *,
    seed: int,
    pose: float = 0.0,
    expression: float = 0.0,
    light: float = 0.0,
    misalignment: float = 0.0,
    scale: float = 0.0,
    occlusion: float = 0.0,
    noise: float = 0.0,
    light_strength: float = 0.6,
    occluder: str = "bottom",
    first_identity: int = 1,
    shape: tuple[int, int] = (32, 32),
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of people in which each nuisance varies uniformly, independently, and only as far as asked.

    `seed` draws the nuisances only: another seed gives new images of the same people, and another
    `first_identity` gives other people. Changing one spread rescales that nuisance and leaves the others as
    they were, so that two sets differ in one thing. ``random_faces(40, 10, seed=0, **EVERYDAY)`` is an
    everyday collection, roughly aligned.

    Parameters
    ----------
    n_people, n_per_person
        Numbers of people and of images of each, at least 1.
    seed
        Seed of all draws, a whole number >= 0.
    pose
        Degrees, at most 40: yaw varies by +- pose, pitch by half of it, roll by a quarter.
    expression
        At most 1: the expression varies by +- this around neutral.
    light
        Degrees, at most 90: the azimuth varies by +- light around 0, the elevation by half of it around 20.
    misalignment
        Pixels: the position varies by +- this to the right and down.
    scale
        At most 0.9: the size varies by +- this fraction.
    occlusion
        The hidden fraction of the window varies from 0 to this.
    noise
        Standard deviation of Gaussian noise in grey levels, the same in all images.
    light_strength, occluder, shape
        As in `synthetic_faces`.
    first_identity
        The people are the identities from this one on.

    Returns
    -------
    images : ndarray of shape (n_people * n_per_person, R, C)
        Grey values in [0, 1], person by person.
    labels : ndarray of shape (n_people * n_per_person,)
        0 ... n_people - 1; label k is the identity first_identity + k.

    Raises
    ------
    ValueError
        When a count is below 1 or a spread is outside its range.

    Examples
    --------
    >>> images, labels = random_faces(3, 2, seed=0, misalignment=2)
    >>> images.shape, labels.tolist()
    ((6, 32, 32), [0, 0, 1, 1, 2, 2])
    """
    if n_people < 1 or n_per_person < 1:
        raise ValueError(
            f"random_faces: expected at least 1 person and 1 image, got {n_people} and {n_per_person}."
        )
    limits = {"pose": 40, "expression": 1, "light": 90, "misalignment": np.inf, "scale": 0.9, "occlusion": 1}
    spreads = (pose, expression, light, misalignment, scale, occlusion)
    for (name, limit), spread in zip(limits.items(), spreads, strict=True):
        if not 0 <= spread <= limit:
            raise ValueError(f"random_faces: the spread {name} must lie in [0, {limit:g}], got {spread:g}.")
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_people), n_per_person)
    u = rng.uniform(-1, 1, (10, labels.size))
    images = synthetic_faces(
        first_identity + labels,
        yaw=pose * u[0],
        pitch=pose / 2 * u[1],
        roll=pose / 4 * u[2],
        expression=expression * u[3],
        light_azimuth=light * u[4],
        light_elevation=20 + light / 2 * u[5],
        light_strength=light_strength,
        shift_right=misalignment * u[6],
        shift_down=misalignment * u[7],
        scale=1 + scale * u[8],
        occlusion=occlusion * (1 + u[9]) / 2,
        occluder=occluder,
        noise=noise,
        seed=rng.integers(2**32, size=labels.size),
        shape=shape,
    )
    return images, labels
