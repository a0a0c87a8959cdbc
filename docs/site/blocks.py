"""The blocks of pages that scripts write, each between two marks."""

from __future__ import annotations


def filled(page: str, name: str, body: str) -> str:
    """The page with what stands between the marks of a block made anew."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{body}\n\n{end}{after}"
