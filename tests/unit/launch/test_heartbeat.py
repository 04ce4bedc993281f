from src.distributed import heartbeat


def test_beats_are_counted_for_a_launcher_only(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "_beats", 0)
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    heartbeat.beat()
    path = tmp_path / "beats"
    monkeypatch.setenv(heartbeat.VARIABLE, str(path))
    heartbeat.beat()
    assert path.read_text() == "1"
    heartbeat.beat()
    assert path.read_text() == "2"


def test_a_disk_that_fails_does_not_end_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv(heartbeat.VARIABLE, str(tmp_path / "gone" / "beats"))
    heartbeat.beat()
