"""Text for people: columns that line up, numbers with units. Knows nothing of what it prints."""

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


def count(number: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 entry``, ``2,000 entries``."""
    return f"{number:,} {one if number == 1 else many}"


def duration(us: float) -> str:
    """Return microseconds in the unit that suits them; a terminal may lack the sign for us."""
    return f"{us / 1e3:.1f} ms" if us >= 1e3 else f"{us:.0f} us"


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it, with three digits or fewer."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.5 or unit == "GB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def date(day: int) -> str:
    """Return the date that is so many days after the epoch, as ISO 8601 has it."""
    from datetime import date as calendar

    try:
        return calendar.fromordinal(calendar(1970, 1, 1).toordinal() + day).isoformat()
    except (ValueError, OverflowError):
        return f"day {day}"
