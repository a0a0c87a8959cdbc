"""What the site's builder does beside Markdown: reference pages, pages that no list names, links, names."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import reference

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?!reference/)[\w./-]+?\.(?:md|json|py|yaml|ipynb))\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the reference; list in the navigation what no list names."""
    for name in reference.PAGES:
        files.append(File.generated(config, f"reference/{name}.md", content=reference.page(name)))
    named = set(_pages(config["nav"]))
    groups = {key: pages for group in config["nav"] for key, pages in group.items()}
    left = (file for file in files.documentation_pages() if file.src_uri not in named)
    for file in sorted(left, key=lambda each: each.src_uri):
        groups["Methods" if file.src_uri.startswith("methods") else "The verbs"].append(file.src_uri)
    return files


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in _pages(part)]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A link to a file of the project that is no page becomes its name."""

    def named(match: re.Match[str]) -> str:
        folder = Path(config["docs_dir"]).resolve()
        target = (folder / Path(page.file.src_uri).parent / match[0].rpartition("(")[2][:-1]).resolve()
        if target.is_relative_to(folder):
            return match[0]
        return f"{match[1]} (`{target.relative_to(folder.parent)}`)"

    return OUTSIDE.sub(named, markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """The theme's dialog gets the name that a screen reader says."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
