"""What is wrong with a YAML file is said in one line: the file, the line of it, and whether it seems cut off."""

from pathlib import Path

import pytest

import search_spaces.space as space_module
from search_spaces.errors import UserError
from search_spaces.yaml_files import read_mapping


def mistake(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_mapping(path, "space file 'a.yaml'")
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("stem: [a]\ndata: {name: digits, roo", "it seems cut off in line 2, 'data: {name: digits, roo'"),
        ("depth: [26,\n  38,\n\n", "it seems cut off in line 2, '  38,'"),
        ("a: {b: 1,\n  c: 2", "it seems cut off in line 2, '  c: 2', and what began in line 1 has no end before it"),
        ("stem: [a]\ndep", "it seems cut off in line 2, 'dep'"),
        ("stem: 'conv\n", 'it seems cut off in line 1, "stem: \'conv"'),
        (f"stem: [{'a, ' * 40}", f"it seems cut off in line 1, '…{('a, ' * 40).strip()[-60:]}'"),
        ("depth: [26, 38\nwidth: [1]\n", "line 2 is 'width: [1]', and what began in line 1 has no end before it"),
        ("stem: [a]\na: b: c\nd: e", "line 2 is 'a: b: c'"),
        (
            "stem: [a]\n\twidth: [1]\nd: e",
            "line 2 is '\\twidth: [1]', with a tab in it: expected spaces",
        ),
        ("a:\n  \t- 1\nb: :", "line 2 is '  \\t- 1', with a tab in it: expected spaces"),
        ("a:\n  b: 1\t\n", "line 2 is '  b: 1\\t', with a tab in it: expected spaces"),
        ("a: 1\t# one\nb: 2", "line 1 is 'a: 1\\t# one', with a tab in it: expected spaces"),
        ("a: 1\n\t\nb: 2", "line 2 is '\\t', with a tab in it: expected spaces"),
        ("a: 1\n- 2\nb: 3", "line 2 is '- 2'"),
        ("a: 1\nb: *c\nd: 2", "line 2: found undefined alias 'c'"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice"),
        ("a: 1\nb: 2\x00\nc: 3", "line 2 has the character '\\x00', which YAML does not take"),
        (b"a: 1\nb: \xff\n", "line 2 is not UTF-8"),
        ("a: 2026-13-45", "month must be in 1..12"),
    ],
)
def test_what_is_wrong_is_said_by_its_line(tmp_path: Path, content: str | bytes, reason: str) -> None:
    encoded = content if isinstance(content, bytes) else content.encode()
    assert mistake(tmp_path / "a.yaml", encoded) == f"space file 'a.yaml' is not YAML: {reason}."


def test_wherever_a_file_is_cut_off_nothing_is_said_in_the_words_of_a_parser(tmp_path: Path) -> None:
    whole = Path(space_module.__file__).with_name("resnet_stages.yaml").read_bytes()
    cut = 0
    for length in range(0, len(whole), 11):
        path = tmp_path / "cut.yaml"
        path.write_bytes(whole[:length])
        try:
            read_mapping(path, "space file 'a.yaml'")
        except UserError as error:
            said = str(error)
            if "expected KEY: VALUE" not in said:
                last = whole[:length].rstrip().count(b"\n") + 1
                assert f"it seems cut off in line {last}, " in said and "while" not in said
                cut += 1
    assert cut > 20
