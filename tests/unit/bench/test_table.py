"""The table that a run prints."""

from bench.table import Section, as_markdown, as_text

SECTIONS = [
    Section("Sending", [("1 worker process, mails/s", "3,000"), ("ratio", "0.61")]),
    Section("Latency", [("p50 ms", "9.5")]),
]


def test_figures_stand_in_one_column() -> None:
    """Every figure ends where the others end, whatever its section."""
    lines = as_text(SECTIONS).splitlines()

    assert lines == [
        "Sending",
        "  1 worker process, mails/s  3,000",
        "  ratio                       0.61",
        "",
        "Latency",
        "  p50 ms                       9.5",
    ]


def test_the_document_names_the_machine_first() -> None:
    """A figure without its machine would mean nothing."""
    lines = as_markdown(SECTIONS, "2 cores, 2026-01-01").splitlines()

    assert lines[:5] == ["2 cores, 2026-01-01", "", "| | |", "|---|---:|", "| **Sending** | |"]
    assert lines[-1] == "| p50 ms | 9.5 |"


def test_a_run_without_figures_is_an_empty_table() -> None:
    """Nothing was asked for, so nothing is shown."""
    assert as_text([]) == ""
