"""The files of the downloaded data sets: found where they lie, or fetched once from a mirror that has them.

pooch does the download: into a temporary file beside the final one, checked against its sha256, then moved in
one step. Here it is told where to look next when a mirror fails, and a failure is told in one paragraph.
"""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pooch
from requests import exceptions
from tqdm.auto import tqdm

from .registry import DataCard, DataError, File, megabytes

TIMEOUT = (10, 30)  # seconds: to be connected, and without a byte

_REASONS = (  # the first that fits; a proxy that fails is also a connection that fails, so the order matters
    (exceptions.ProxyError, "the proxy cannot be reached"),
    (exceptions.SSLError, "its certificate is not trusted"),
    (exceptions.ChunkedEncodingError, "the connection broke off"),
    (exceptions.ConnectionError, "no connection"),
)


def folder() -> Path:
    """Where downloaded files are kept: the folder named by GENNET_DATA, or else the user's cache."""
    return Path(os.environ.get("GENNET_DATA") or pooch.os_cache("gennet")).expanduser().absolute()


def locate(card: DataCard) -> list[Path] | None:
    """Find the files of a data set, whole and with the right checksum, without downloading anything.

    Returns
    -------
    list of Path or None
        The files of the first packing that is complete, in the order of the registry.
    """
    for packing in card.packings:
        if all(_is_intact(folder() / file.name, file) for file in packing):
            return [folder() / file.name for file in packing]
    return None


def status(card: DataCard) -> str:
    """Say in a word whether a data set is there: yes, in part, damaged, or no."""
    files = [file for packing in card.packings for file in packing]
    with _storage(card):
        if not files or locate(card):
            return "yes"
        if any(_is_intact(folder() / file.name, file) for file in files):
            return "in part"
        return "damaged" if any((folder() / file.name).exists() for file in files) else "no"


def fetch(card: DataCard) -> list[Path]:
    """Find the files of a data set; download what is missing or damaged.

    Returns
    -------
    list of Path
        The files of one packing, in the order of the registry; empty for a set that needs no download.

    Raises
    ------
    DataError
        If no mirror has them, or they cannot be stored: one paragraph that says why and what to do.
    """
    if not card.packings:
        return []
    with _storage(card):
        return locate(card) or _download(card)


def _is_intact(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and pooch.file_hash(str(path)) == file.sha256


def _download(card: DataCard) -> list[Path]:
    files = [file for packing in card.packings for file in packing]
    whole = {file.name for file in files if _is_intact(folder() / file.name, file)}
    for name in dict.fromkeys(file.name for file in files):
        if name not in whole and (folder() / name).exists():
            warnings.warn(f"{folder() / name} is damaged and is not used: downloading again.", stacklevel=4)

    failures: list[str] = []
    for packing in card.packings:
        if all(_get(file, failures) for file in packing):
            return [folder() / file.name for file in packing]

    missing = [file for file in card.preferred if not _is_intact(folder() / file.name, file)]
    addresses = ", ".join(f"{file.urls[0]} (as {Path(file.name).name})" for file in missing)
    place = (folder() / missing[0].name).parent
    reasons = ", ".join(dict.fromkeys(failures))
    instead = " or ".join(f'datasets.load("{name}")' for name in card.meanwhile)
    raise DataError(
        f"The data set {card.name} could not be downloaded ({reasons}). Connect to the network and try again "
        f"(behind a proxy, set HTTPS_PROXY), or save with a browser, in the folder {place}: {addresses}. "
        f"Meanwhile, {instead} needs no network."
    )


def _get(file: File, failures: list[str]) -> bool:
    """Have one file from its first mirror that works; what the others did is added to `failures`."""
    path = folder() / file.name
    if _is_intact(path, file):
        return True

    def to_file(url: str, output_file: str, _: object) -> None:
        with tqdm(
            desc=path.name, total=file.bytes, unit="B", unit_scale=True, leave=False, disable=None
        ) as progress:
            pooch.HTTPDownloader(progress, chunk_size=2**16, timeout=TIMEOUT)(url, output_file, None)
        os.chmod(output_file, 0o644)  # not the owner's only: a data folder may serve a class

    for url in file.urls:
        try:
            with _silent_pooch():
                pooch.retrieve(url, file.sha256, path.name, path.parent, downloader=to_file)
            return True
        except (exceptions.RequestException, ValueError) as error:
            failures.append(f"{urlsplit(url).hostname}: {_reason(error)}")
    return False


@contextmanager
def _silent_pooch() -> Iterator[None]:
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    if isinstance(error, exceptions.HTTPError):
        return f"answered {error.response.status_code}"
    if not isinstance(error, exceptions.RequestException):  # pooch's ValueError
        return "sent another file than expected (wrong checksum)"
    if "timed out" in str(error):  # also where requests calls a silence in the middle a lost connection
        return "no answer in time"
    return next((said for kind, said in _REASONS if isinstance(error, kind)), str(error))


@contextmanager
def _storage(card: DataCard) -> Iterator[None]:
    """Turn what the disk refuses into one sentence."""
    try:
        yield
    except OSError as error:
        cure = "Set GENNET_DATA to a folder of your own"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = f"the disk is full, and the set takes {megabytes(card.bytes)}"
            cure = "Make room there, or set GENNET_DATA to a folder on another disk"
        elif error.errno == errno.EROFS:
            why = "it is read-only"
        elif isinstance(error, PermissionError):
            why = "you are not permitted to use it"
        elif isinstance(error, (NotADirectoryError, FileExistsError)):
            why = "something on that path is a file, not a folder"
        else:
            why = error.strerror or str(error)
        raise DataError(
            f"The data set {card.name} cannot be kept in the folder {folder()}: {why}. {cure}."
        ) from None
