"""Errors that a user can mend, and how the commands report them."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

# Messages and help name commands as a checkout has them; what an installed package has in their place.
_INSTALLED = (
    (r"(?:bash )?scripts/run_distribute_train\.sh( RANK\S+ \S+, or python -m src\.launch)?", "resnet-zoo launch train"),
    (r"run bash scripts/setup_env\.sh( and use \.venv/bin/python)?", "install it with pip"),
    (r"python -m src\.(?:\w+\.)*(\w+)", lambda found: f"resnet-zoo {found[1].replace('_', '-')}"),
    (r"python -m src\b", "resnet-zoo"),
    (r"python create_imagenet2012_label\.py", "resnet-zoo labels"),
    (r"(?<![\w/.'])(train|eval|export|preprocess|postprocess)\.py\b", r"\1"),
)


def as_called_here(text: str) -> str:
    """A text with commands as users call them: `python -m src.models`, or `resnet-zoo models` of the installed package."""
    if __package__ != "src":
        for pattern, replacement in _INSTALLED:
            text = re.sub(pattern, replacement, text)
    return text


# Invisible, but part of words in Persian and Hindi and of many emoji; bytes of file names that are no text.
_KEPT = {"\u200c", "\u200d", *map(chr, range(0xDC80, 0xDD00))}


def printable(text: str) -> str:
    """The text with escapes for what would steer a terminal: "\\x1b[2J"."""
    return "".join(c if c.isprintable() or c in _KEPT else repr(c)[1:-1] for c in text)


class UserError(ValueError):
    """Wrong input or environment: the message says what is wrong, with which value, and what to do."""

    def __init__(self, message: str):
        super().__init__(as_called_here(message))


class StoppedError(Exception):
    """A run that ended early because it was asked to; nothing is wrong. `exit_code` says who asked."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def run_command(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """Runs a command; what the user can mend becomes one line on stderr, without a traceback.

    Returns:
        The exit code: `main`'s own, 2 for a `UserError` or a missing package, 1 for a failing disk or file system or a
        closed pipe, 130 after Ctrl-C, that of a `StoppedError`.
    """
    try:
        return main(argv)
    except UserError as error:
        message, code = str(error), 2
    except StoppedError as stopped:
        print(printable(str(stopped)), file=sys.stderr)
        return stopped.exit_code
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    except ModuleNotFoundError as error:
        if (error.name or __package__).partition(".")[0] == __package__:
            raise  # ours: a mistake in this package
        message = as_called_here(
            f"the Python package '{error.name}' is missing; run bash scripts/setup_env.sh and use .venv/bin/python"
        )
        code = 2
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: nothing left to tell it
        return 1
    except OSError as error:
        message, code = describe_os_error(error), 1
    print(f"error: {printable(message)}", file=sys.stderr)
    return code


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as those of `run_command` are, without the usage."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.prog = as_called_here(self.prog)

    def format_help(self) -> str:
        """The help, with commands as they are called here."""
        return as_called_here(super().format_help())

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; {self.prog} --help lists the options")


def first_of(names: Sequence[str], limit: int = 3) -> str:
    """The first names of a list that may be long: "a, b, c, ..."."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def first_line(error: Exception) -> str:
    """The first line of another library's message that says something, or else the exception's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def describe_os_error(error: OSError) -> str:
    """One line naming the file and the reason, for example `outputs/a.ckpt: No space left on device`."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
