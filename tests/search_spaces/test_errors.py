from search_spaces.errors import LONGEST_MESSAGE, UserError, unknown_name


def test_a_message_is_one_readable_line_whatever_was_supplied() -> None:
    assert str(UserError("name 'a\nb\0\u202e' × 2")) == "name 'a\\nb\\x00\\u202e' × 2"
    assert str(UserError("x" * 10**6)) == "x" * (LONGEST_MESSAGE - 1) + "…"
    assert str(unknown_name("stem", "con\nvolution", ["convolution"])).endswith("Did you mean 'convolution'?")
