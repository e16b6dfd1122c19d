"""The container file takes all of the project's packages and an environment of the exact versions, and is not root."""

import re
import tomllib

from tests.project.rooms import PROJECT

FILE = PROJECT / "cluster" / "Containerfile"


def test_it_holds_the_packages_and_extras_that_there_are() -> None:
    text = FILE.read_text(encoding="utf-8")
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in declared["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = dict(re.findall(r"(?m)^COPY (\w+) (\w+)$", text))
    assert copied.keys() == packages and all(source == target for source, target in copied.items())
    (extras,) = re.findall(r"-e '\.\[([\w,-]+)\]'", text)
    assert set(extras.split(",")) <= declared["project"]["optional-dependencies"].keys()
    installs = re.findall(r"pip install (.+)", text)
    assert len(installs) == 3 and all("-c constraints.txt" in line for line in installs)
    # What is installed before the packages are there finds none.
    assert text.rindex("pip install") > max(text.index(f"COPY {name} ") for name in packages)


def test_it_runs_as_somebody_and_writes_into_the_cache_alone() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^USER (\S+)$", text) == ["1000:1000"]
    assert text.index("\nUSER ") > text.index("\nRUN useradd")
    places = re.findall(r"(?m)(?:_DIR|DIR|_HOME)=(\S+)", text)
    assert len(places) == 3 and all(place.startswith("/var/cache/search") for place in places)
