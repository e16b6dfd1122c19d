"""What a search says of image folders before it starts."""

from pathlib import Path

import pytest

import nas.search


def planned(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """What `--plan` answers, in the process of the test: its exit code, its table with a row a line, and its errors."""
    capsys.readouterr()
    code = nas.search.main(
        [
            "--space",
            "resnet_stages",
            "data=image_folder",
            f"data.root={root}",
            "data.image_size=16",
            "--plan",
            *arguments,
        ]
    )
    output, error = capsys.readouterr()
    assert error.count("\n") == (0 if code == 0 else 1), error
    return code, output, error
