"""Let nbval compare pictures too: what a cell draws now must look like what is stored.

nbval skips PNG outputs, because the bytes may change with a rounding error. Here two pictures are the same
when they have the same size and no square of 8 x 8 pixels differs by more than `TOLERANCE` grey levels in
its mean: a moved curve, another image or another label fails, a rounding error does not.
"""

import base64
import io

import numpy as np
from nbval.plugin import IPyNbCell
from PIL import Image

TOLERANCE = 8.0  # of 255 grey levels
SQUARE = 8  # pixels

compare_words = IPyNbCell.compare_outputs


def compare_outputs(cell: IPyNbCell, now: list, stored: list, skip_compare: tuple | None = None) -> bool:
    """Compare words as nbval does, then the pictures in their order."""
    if not compare_words(cell, now, stored, skip_compare):
        return False
    drawn, kept = pictures(now), pictures(stored)
    if len(drawn) != len(kept):
        cell.comparison_traceback.append(f"{len(kept)} pictures are stored, the cell draws {len(drawn)}")
        return False
    for number, (a, b) in enumerate(zip(drawn, kept, strict=True)):
        if (difference := largest_difference(a, b)) > TOLERANCE:
            said = f"picture {number} of the cell differs from the stored one by {difference:.0f} grey levels"
            cell.comparison_traceback.append(said)
            return False
    return True


def pictures(outputs: list) -> list[np.ndarray]:
    """Decode the PNG outputs of a cell, as arrays of grey levels."""
    data = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(d))).convert("L"), dtype=float) for d in data]


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference between the means of corresponding squares, in grey levels."""
    if a.shape != b.shape:
        return 255.0
    rows, columns = (-(-n // SQUARE) * SQUARE for n in a.shape)
    padded = np.zeros((rows, columns))
    padded[: a.shape[0], : a.shape[1]] = a - b
    means = padded.reshape(rows // SQUARE, SQUARE, columns // SQUARE, SQUARE).mean(axis=(1, 3))
    return float(np.abs(means).max())


IPyNbCell.compare_outputs = compare_outputs
