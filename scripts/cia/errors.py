"""Errors that a person can act on."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LISTED = 20
"""More names than this are not listed in a message: a list of a thousand helps nobody."""


class UserError(Exception):
    """Bad input or configuration: the message names the file, key or line, and what to do.

    A job that ends with it prints the message alone; any other exception prints a traceback.
    """


@contextmanager
def about(entry: str) -> Iterator[None]:
    """Put before the message of a `UserError` which entry of the config it is about.

    Parameters
    ----------
    entry : str
        Such as `trainers.yolov8n`.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{entry}: {error}") from error


def suggest(name: object, known: Iterable[object], most: int = 1) -> str:
    """Say, at the end of a message, what a name that is not known may have been meant for.

    Parameters
    ----------
    name : object
        The name as it was given.
    known : iterable
        The names that there are. Where none is like it, a short list of them is said.
    most : int
        How many that are like it are said.
    """
    names = list(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=most)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; it may be one of {', '.join(names)}" if 0 < len(names) <= _LISTED else ""
