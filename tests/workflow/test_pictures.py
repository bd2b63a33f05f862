"""Figures as files, and their captions."""

from matplotlib.figure import Figure
from pipeline.jobs import pictures

from ecqx.results import style


def test_a_figure_is_written_in_every_format(tmp_path):
    figure = Figure(figsize=(1, 1))
    figure.subplots()
    pictures.write(figure, tmp_path, "name-column")
    assert (tmp_path / "name-column.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "name-column.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == len(pictures.FORMATS)


def test_widths_have_names_of_their_own():
    names = [pictures.file_name("ranks", width) for width in style.WIDTHS]
    assert names == ["ranks", "ranks-column"]


def test_captions_say_what_is_shown_and_n_of_each_width():
    same = pictures.caption("ranks", "**Ranks**\nof methods.", {"page": "n = 3", "column": "n = 3"})
    assert same == "## ranks\n\n**Ranks** of methods.\n\nn = 3\n"
    two = pictures.caption("ranks", "Ranks.", {"page": "n = 3", "column": "n = 2"})
    assert two.endswith("*At page width:* n = 3\n\n*At column width:* n = 2\n")
