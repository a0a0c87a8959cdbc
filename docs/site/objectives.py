"""Write the table of objectives into docs/methods.md: after a test says so.

python docs/site/objectives.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.site.blocks import filled
from farm.objectives import table_lines

PAGE = Path(__file__).parent.parent / "methods.md"


def text() -> str:
    """The page with its table made anew."""
    return filled(PAGE.read_text(encoding="utf-8"), "objectives", "\n".join(table_lines()))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
