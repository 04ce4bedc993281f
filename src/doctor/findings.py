"""What a check says: one line, ok, a warning or a problem, and what to do about it."""

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        check: what was looked at, one word or two.
        level: "ok"; "warning": works, but slowly, or only as long as something stays unused; "problem": will not work.
        text: what was found.
        cure: what to do; empty where all is well.
    """

    check: str
    level: str
    text: str
    cure: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, OK, text)


def warning(check: str, text: str, cure: str) -> Finding:
    return Finding(check, WARNING, text, cure)


def problem(check: str, text: str, cure: str) -> Finding:
    return Finding(check, PROBLEM, text, cure)
