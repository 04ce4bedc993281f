"""A short run of every reader on changed files; `python tests/fuzz/run.py --count 100000` is the long one."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from readers import READERS

from src.errors import UserError

SHORT = settings(
    max_examples=25, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused_in_one_line(tmp_path, name):
    reader = READERS[name](tmp_path)

    @SHORT
    @given(reader.changed)
    def run(content: bytes) -> None:
        reader.target.write_bytes(content)
        try:
            reader.read()
        except UserError as error:
            assert "\n" not in str(error)

    run()
