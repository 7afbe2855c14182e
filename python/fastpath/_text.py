"""Text for people: columns that line up. Knows nothing of what it prints."""

from collections.abc import Iterable, Sequence


def table(rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> list[str]:
    """Lay rows of equal length out in columns two spaces apart, without trailing blanks.

    ``numbers`` holds the indexes of the columns to align on the right.
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
