"""Sheets: no cell is a formula, and every cell comes back as it was."""

import csv
import io
from decimal import Decimal

import pytest

from gateway.reports.sheets import safe_cell, sheet


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\0", "\r", "\n"])
def test_a_text_that_could_be_a_formula_is_quoted(first: str) -> None:
    assert safe_cell(f"{first}cmd|' /C calc'!A0") == f"'{first}cmd|' /C calc'!A0"


def test_numbers_below_0_stay_numbers() -> None:
    assert (safe_cell(Decimal("-1.5")), safe_cell(-3), safe_cell(None)) == ("-1.5", "-3", "")


def test_a_sheet_is_read_back_whatever_is_in_its_cells() -> None:
    rows = [["a,b", 'say "hi"', "two\r\nlines"], ["", "ünï", "x"]]
    text = sheet(["one", "two", "three"], rows)
    assert text.startswith("one,two,three\r\n")
    assert text.endswith("\r\n")
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == rows
