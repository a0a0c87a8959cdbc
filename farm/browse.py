"""Look at the ledger in the browser: `farm browse`. It serves datasette over the file, with our queries.

Datasette opens the file read-only and listens on this machine only. The guard of farm/pages checks requests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from farm.pages.guard import Guard, listening, serve

FOLDER = Path(__file__).parent / "pages" / "queries"
OURS = "-/farm"  # where our style and script stand: contrast, and names for a screen reader
HOST = "127.0.0.1"
TITLES = {
    "people": "People against the others",
    "disagreements": "Disagreements",
    "unreadable": "Judgements without a verdict",
    "costs": "Cost by annotator",
    "lineage": "Lineage of a checkpoint",
    "turns": "Turns of conversations",
}
SETTINGS = {"allow_download": False, "sql_time_limit_ms": 20_000, "truncate_cells_html": 400}
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def queries() -> dict[str, dict[str, str]]:
    """The canned queries as datasette takes them: name -> title, description and SQL."""
    _, latest = _query("latest")
    found = {}
    for name, title in TITLES.items():
        description, sql = _query(name)
        sql = sql.replace("{latest}", f"\n{latest}")
        found[name] = {"title": title, "description": description, "sql": sql}
    return found


def _query(name: str) -> tuple[str, str]:
    """The first line of an SQL file, which describes it, and the rest."""
    first, _, sql = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("-- "), sql


def browse(ledger: Ledger, port: int, announce: Callable[[str], None]) -> None:
    """Serve until interrupted. announce: called with the address.

    Raises ConfigError where datasette is not installed, the ledger is no file, or the port is taken.
    """
    path = ledger.address.path
    if path is None:
        remedy = "`farm backup COPY.db` makes a file of it, which can be browsed"
        raise ConfigError("only a ledger in a file can be browsed", where=str(ledger.address), remedy=remedy)
    try:
        from datasette.app import Datasette
        from datasette.plugins import pm
    except ImportError:
        remedy = "pip install 'preference-farm[browse]'"
        raise ConfigError("datasette is not installed", remedy=remedy) from None
    # else it prints every local variable to the terminal, texts of models among them
    pm.get_plugin("datasette.handle_exception").rich = None
    asked: Json = {name: {**query, "hide_sql": True} for name, query in queries().items()}  # a click shows it
    named: dict[str, Json] = {path.stem: {"queries": asked}}
    about: dict[str, Json] = {"title": "Preference Farm", "databases": named}
    about |= {"extra_css_urls": [f"/{OURS}/browse.css"], "extra_js_urls": [f"/{OURS}/browse.js"]}
    mounts = [(OURS, str(FOLDER))]
    pages = Datasette([str(path)], metadata=about, settings=SETTINGS, static_mounts=mounts, cors=False)
    with listening(HOST, port) as socket_:
        address = f"http://{HOST}:{socket_.getsockname()[1]}"
        announce(f"{address}{pages.urls.database(path.stem)}")
        serve(Guard(pages.app(), HOST, POLICY), socket_)
