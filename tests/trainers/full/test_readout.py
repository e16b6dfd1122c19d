from trainers.full.readout import duration


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (4.21, 200, 7500)] == ["4.2 s", "3 min 20 s", "2 h 05 min"]
