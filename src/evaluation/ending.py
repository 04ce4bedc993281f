"""How a run ends for those who look at it: with its answers kept and its page written."""

from collections.abc import Callable
from pathlib import Path
from typing import Optional

from ..errors import first_line
from ..log import log
from ..report import answers as answer_file
from ..report.answers import Answers
from ..report.page import NAME, write_page
from ..report.run_files import read_run


def write_report(folder: Path, answers: Callable[[], Optional[Answers]]) -> None:
    """Writes answers, where there are any, and the page of a folder; where that fails, says so and goes on."""
    try:
        found = answers()
        if found is not None:
            answer_file.save(folder / answer_file.NAME, found)
        write_page([read_run(folder)], folder / NAME)
    except Exception as error:  # the run is done, and nothing about its page may undo that
        log.warning("no report: %s", first_line(error))
    else:
        log.info("report: %s", folder / NAME)
