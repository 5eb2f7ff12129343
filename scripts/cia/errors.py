"""Errors that a person can act on."""


class UserError(Exception):
    """Bad input or configuration: the message names the file, key or line, and what to do.

    A job that ends with it prints the message alone; any other exception prints a traceback.
    """
