"""A token is looked for where Ray does, and is never shown."""

from pathlib import Path

import pytest

from cluster.auth_token import check_token
from search_spaces.errors import UserError

TOKEN = "0123456789abcdef"


def test_what_may_be_a_token_is_taken_and_nothing_is_asked_where_none_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    check_token({})
    check_token({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": str(file)})
    check_token({"RAY_AUTH_MODE": "TOKEN", "RAY_AUTH_TOKEN": TOKEN, "RAY_AUTH_TOKEN_PATH": str(file)})
    file.write_text(f"{TOKEN}\n\n", encoding="ascii")
    check_token({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": str(file)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"%s\n%s\n" % (TOKEN.encode(), TOKEN.encode()), "holds 2 words"),
        (b"\xff\xfe0", "holds other than letters and digits"),
        (b"0123\x00", "holds other than letters and digits"),
    ],
)
def test_what_cannot_be_one_is_said(content: bytes | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        check_token({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)})
    said = str(refused.value)
    assert f"RAY_AUTH_TOKEN_PATH {str(file)!r} {message}: expected" in said and "0123" not in said


def test_a_directory_and_a_token_of_two_lines_in_the_environment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        check_token({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path)})
    with pytest.raises(UserError, match="RAY_AUTH_TOKEN of the environment holds 2 words"):
        check_token({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": f"{TOKEN} {TOKEN}"})
