"""KEY=VALUE: every kind of value, text that looks like something else, and mistakes that are named."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import UserError
from search_spaces.overrides import PATH, Override, field_value, plain_value, read_override, with_overrides


@dataclass(frozen=True)
class Settings:
    count: int
    limit: int | None
    rate: float
    budget: float | None
    exact: bool
    name: str
    note: str | None
    root: str | None = field(metadata=PATH)
    objectives: tuple[str, ...]


def value_of(argument: str) -> Any:
    override = read_override(argument, "count=20")
    return field_value(Settings, override.key, override)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("count=20", 20),
        ("count=-3", -3),
        ("limit=7", 7),
        ("limit=null", None),
        ("rate=1e-3", 0.001),
        ("rate=1", 1.0),
        ("budget=2e9", 2e9),
        ("budget=null", None),
        ("exact=true", True),
        ("exact=False", False),
        ("note=null", None),
        ("root=null", None),
        ("objectives=[val_accuracy,flops]", ("val_accuracy", "flops")),
        ("objectives=[ val_accuracy , flops ]", ("val_accuracy", "flops")),
        ("objectives=[one]", ("one",)),
        ("objectives=[]", ()),
    ],
)
def test_a_value_has_the_type_of_what_it_sets(argument: str, value: object) -> None:
    found = value_of(argument)
    assert found == value and type(found) is type(value)


TEXTS = [
    "20", "1e-3", "true", "[a,b]", " ", "a=b", "a b", "what?", "Bär/Größe", "it's", "a,b", "{x: 1}", "$HOME",
    "${oc.env:HOME}", "/data/[old] images (2)/x=1?", "a:b", "\\", "*", "#no comment", "a@b", "1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("key", ["name", "note", "root"])
def test_text_is_text(key: str, text: str) -> None:
    if (key, text) == ("root", " "):
        with pytest.raises(UserError, match="root: path ' ' is white space alone"):
            value_of(f"{key}={text}")
    else:
        assert value_of(f"{key}={text}") == text


@pytest.mark.parametrize("text", ["", "''", '""'])
@pytest.mark.parametrize("key", ["name", "note", "root"])
def test_an_empty_text_is_none(key: str, text: str) -> None:
    with pytest.raises(UserError, match=f"{key} is empty: expected "):
        value_of(f"{key}={text}")


def test_null_is_a_name_where_nothing_is_no_value() -> None:
    assert value_of("name=null") == "null"


def test_the_users_home_stands_in_paths_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert value_of("root=~/images") == str(tmp_path / "images")
    assert value_of("root=a/~/images") == "a/~/images"
    assert value_of("note=~/images") == "~/images"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("count=3.5", "count is '3.5': expected a whole number."),
        ("count=null", "count is 'null': expected a whole number."),
        ("count=", "count is '': expected a whole number."),
        ("limit=1e3", "limit is '1e3': expected a whole number or null."),
        ("rate=fast", "rate is 'fast': expected a number."),
        ("budget=[1]", "budget is '[1]': expected a number or null."),
        ("exact=1", "exact is '1': expected true or false."),
        ("objectives=a,b", "objectives is 'a,b': expected a list of names, as [a,b]."),
        ("objectives=[a", "objectives is '[a': expected a list of names, as [a,b]."),
    ],
)
def test_a_value_of_another_type_is_named(argument: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        value_of(argument)
    assert str(caught.value) == message


@pytest.mark.parametrize("argument", ["epochs", "", "=3", "+a.b=1", "~a.b", "a b=1", "a..b=1", "a.=1", "1a=2", "ä=1"])
def test_what_is_no_override_is_named(argument: str) -> None:
    with pytest.raises(UserError, match=r"unexpected argument .*: expected KEY=VALUE, as in training\.epochs=20\."):
        read_override(argument, "training.epochs=20")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("26", 26),
        ("0.125", 0.125),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("-2", -2),
        ("true", True),
        ("null", None),
        ("block", "block"),
        ("nan", "nan"),
        ("1.2.3", "1.2.3"),
        ("26,50", "26,50"),
        ("[26, 50]", [26, 50]),
        ("[0.5,1]", [0.5, 1]),
        ("[convolution]", ["convolution"]),
        ("[]", []),
        ("[26", "[26"),
    ],
)
def test_a_value_of_no_declared_type_goes_by_its_looks(text: str, value: object) -> None:
    found = plain_value(Override("space.depth", text))
    assert found == value and type(found) is type(value)


CONFIG: dict[str, Any] = {
    "search": {"count": 1, "rate": 0.5, "root": None},
    "space": {"depth": [26], "stages": {"heads": [1]}, "stage1": {"heads": None}},
}


def changed(*arguments: str) -> dict[str, Any]:
    return with_overrides(CONFIG, [read_override(text, "search.count=2") for text in arguments], {"search": Settings})


def test_overrides_change_a_copy_and_the_last_counts() -> None:
    found = changed("search.count=2", "space.stage1.heads=[2,4]", "space.depth=[14]", "search.count=3")
    assert found == {
        "search": {"count": 3, "rate": 0.5, "root": None},
        "space": {"depth": [14], "stages": {"heads": [1]}, "stage1": {"heads": [2, 4]}},
    }
    assert CONFIG["search"]["count"] == 1 and CONFIG["space"]["stage1"] == {"heads": None}
    assert changed() == CONFIG


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "search.cuont=2",
            "unknown setting 'search.cuont': expected one of .*Did you mean 'search.count'",
        ),
        ("count=2", "unknown setting 'count': expected one of search, space. Did you mean 'search.count'"),
        ("space.stage1.head=2", "expected one of space.stage1.heads. Did you mean 'space.stage1.heads'"),
        ("search.count.more=2", "unknown setting 'search.count.more': expected one of search.count, "),
        ("search=null", "override 'search=null': expected search.KEY=VALUE"),
        ("space.stages=[1]", "expected space.stages.KEY=VALUE"),
        ("search.count=x", "search.count is 'x': expected a whole number"),
    ],
)
def test_a_key_that_sets_nothing_is_named(argument: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        changed(argument)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_whole_text_are_taken_off(quote: str) -> None:
    assert plain_value(Override("space.stem", f"[{quote}convolution{quote}]")) == ["convolution"]
    assert plain_value(Override("space.name", f"{quote}12{quote}")) == "12"
    for text in (quote, f"a{quote}", f"{quote}a", f"{quote}a{quote}b"):
        assert plain_value(Override("space.name", text)) == text


@pytest.mark.parametrize("text", ["9" * 5000, f"[1,{'9' * 5000}]"])
def test_a_number_without_end_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected numbers that are shorter"):
        plain_value(Override("space.depth", text))
