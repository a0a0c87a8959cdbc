"""Write docs/schemas, by which an editor checks annotators' files and recipes: after a test says so.

python docs/site/schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from annotators.schema import annotator_schema, composite_schema, pool_schema
from farm.studies.recipe import recipe_schema

FOLDER = Path(__file__).parent.parent / "schemas"
SCHEMAS = {
    "annotator": annotator_schema,
    "pool": pool_schema,
    "composite": composite_schema,
    "recipe": recipe_schema,
}


def text(name: str) -> str:
    """The file of one schema."""
    return json.dumps(SCHEMAS[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in SCHEMAS:
        (FOLDER / f"{each}.schema.json").write_text(text(each), encoding="utf-8")
