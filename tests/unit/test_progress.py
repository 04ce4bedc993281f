from src import progress


def test_beats_are_counted_for_a_launcher_only(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_beats", 0)
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    progress.beat()
    path = tmp_path / "beats"
    monkeypatch.setenv(progress.VARIABLE, str(path))
    progress.beat()
    assert path.read_text() == "1"
    progress.beat()
    assert path.read_text() == "2"


def test_a_disk_that_fails_does_not_end_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "gone" / "beats"))
    progress.beat()
