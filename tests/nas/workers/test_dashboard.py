from pathlib import Path

from nas.workers.dashboard import token_file


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_is_there_for_its_owner_alone_and_while_it_holds() -> None:
    with token_file("secret") as path:
        assert path.read_text(encoding="ascii") == "secret\n"
        assert (rights(path), rights(path.parent)) == (0o600, 0o700)
    assert not path.parent.exists()
