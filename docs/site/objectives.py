"""Write the table of objectives into docs/methods.md: after a test says so.

python docs/site/objectives.py
"""

from __future__ import annotations

from pathlib import Path

from farm.objectives import table_lines

PAGE = Path(__file__).parent.parent / "methods.md"
BEGIN, END = "<!-- objectives -->\n", "<!-- end of objectives -->\n"


def text() -> str:
    """The page with its table made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n" + "\n".join(table_lines()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
