import pytest

from ecqx.compression import declared

HEAD = '"""Mine: rounds.\n\nMore of it.\n"""\n'


def wrote(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, ("Mine: rounds.", "", "")),
        (HEAD + 'LABEL = "My own"\nCOLOR = "#12aBff"\nimport nothing_there\n',
         ("Mine: rounds.", "My own", "#12aBff")),
        ("x = 1\n", ("mine", "", "")),
    ],
)  # fmt: skip
def test_what_a_file_says(tmp_path, text, expected):
    assert declared.read(wrote(tmp_path, text)) == declared.Declared(*expected)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("LABEL = 3\n", "LABEL: got 3, expected a text"),
        ("LABEL = ' '\n", "LABEL: got ' '"),
        (f"LABEL = '{'x' * 31}'\n", "of 1 to 30 characters"),
        ("LABEL = str(3)\n", "LABEL: got None"),
        ("COLOR = 'red'\n", "COLOR: got 'red', expected a color as '#rrggbb'"),
        ("COLOR = ''\n", "COLOR: got ''"),
        ("def (:\n", "mine.py: is no Python"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, told):
    with pytest.raises(ValueError, match=told):
        declared.read(wrote(tmp_path, text))
