"""Refusing in one line, for tests of readers."""

import pytest

from src.errors import UserError


def refusal(read, path) -> str:
    """The line with which a reader refuses a file."""
    with pytest.raises(UserError) as error:
        read(path)
    line = str(error.value)
    assert line.isprintable() and str(path.parent) in line and len(line) < 600
    return line
