"""Errors that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager


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
