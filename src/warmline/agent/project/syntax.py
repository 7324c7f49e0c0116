"""Python code as a tree, read without being run."""

import ast
import threading

_ONE_AT_A_TIME = threading.Lock()
"""Python 3.11 counts how deep the trees of all threads are in one place, and raises SystemError when another thread's
tree was begun in between (CPython issue 106905)."""


def parse(source: str, file: str = "<text>") -> ast.Module:
    """Give the tree of `source`, which `file` names in errors.

    Raises:
        SyntaxError, ValueError: it is not Python. RecursionError, MemoryError: it is nested too deeply.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source, filename=file)
