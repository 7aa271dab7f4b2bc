"""The command line, `python -m gennet COMMAND`: thin, the work is done by the rooms of the library."""

import argparse
import sys

from gennet import datasets
from gennet.datasets import download
from gennet.datasets.registry import megabytes


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 if something failed, or 2 if it was not understood."""
    parser = argparse.ArgumentParser(prog="python -m gennet", description="Work with the course's library.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser(
        "data",
        help="list the data sets, or download them",
        description="Without a name: list the data sets, and whether they are on this machine. With names: "
        "download those that are not. The folder is the one that the environment variable GENNET_DATA "
        "names, or else the user's cache.",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="a data set")
    command.add_argument("--all", action="store_true", help="all data sets")
    command.set_defaults(run=lambda options: data(options.names, options.all))

    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def data(names: list[str], everything: bool) -> int:
    """List the data sets, or have some of them on this machine."""
    try:
        cards = [datasets.card(name) for name in (datasets.names() if everything else names)]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    failed = False
    for card in cards:
        try:
            files = download.fetch(card)
            print(f"{card.name}: {files[0].parent if files else card.where}")
        except datasets.DataError as error:
            print(error, file=sys.stderr)
            failed = True
    if not cards:
        print(table())
    return int(failed)


def table() -> str:
    """List the data sets: kind, whether they are here, size of the download, licence, where they are kept."""
    rows = [("name", "kind", "here", "size", "licence", "where")]
    for card in map(datasets.card, datasets.names()):
        size = megabytes(card.bytes) if card.bytes else ""
        where = f"{card.where}/" if card.packings else card.where
        rows.append((card.name, card.kind, download.status(card), size, card.licence, where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += ["", f"Data folder: {download.folder()}"]
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
