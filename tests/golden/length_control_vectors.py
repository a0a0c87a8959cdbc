"""Write vectors/length_control.json: length-controlled win rates of alpaca_eval on made-up data.

    python tests/golden/length_control_vectors.py          needs alpaca_eval==0.6.6; no test needs it

alpaca_eval downloads its anchor rows and difficulties; here they are made up, too, and handed to it in place
of the download. Every case has the preferences and lengths of one model, and alpaca_eval's own figures, with
the C that its cross-validation chose.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pandas as pd

from farm.statistics.agreement import Floats

sys.modules.setdefault("pkg_resources", types.ModuleType("pkg_resources"))
from alpaca_eval.metrics import glm_winrate  # noqa: E402

OUT = Path(__file__).parent / "vectors" / "length_control.json"
INSTRUCTIONS = 120


def sigmoid(z: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-z))
    return found


def anchors(rng: np.random.Generator, difficulty: Floats) -> pd.DataFrame:
    parts = []
    for name, shift in (("verbose", -1.0), ("concise", 1.0)):
        length = np.round(shift + rng.normal(0, 0.8, INSTRUCTIONS), 3)
        label = np.round(sigmoid(-1.3 * np.tanh(length) + 0.2 * difficulty), 4)
        columns = {"preference": label, "index": np.arange(INSTRUCTIONS), "std_delta_len": length}
        parts.append(pd.DataFrame(columns | {"instruction_difficulty": difficulty, "model": name}))
    return pd.concat(parts, ignore_index=True).assign(not_gamed_baseline=False)


def model(rng: np.random.Generator, difficulty: Floats, strength: float, longer: int) -> pd.DataFrame:
    reference = rng.integers(200, 2500, INSTRUCTIONS)
    own = np.maximum(reference + longer + rng.integers(-400, 400, INSTRUCTIONS), 1)
    chance = sigmoid(strength + 0.9 * difficulty - 1.2 * np.tanh((reference - own) / 400))
    noisy = np.round(np.clip(chance + rng.normal(0, 0.2, INSTRUCTIONS), 0, 1), 4)
    return pd.DataFrame({"preference": noisy + 1, "output_1": reference, "output_2": own})


def main() -> None:
    rng = np.random.default_rng(11)
    difficulty = np.round(rng.normal(0, 1, INSTRUCTIONS), 3)
    gamed = anchors(rng, difficulty)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "df_gamed.csv"
        gamed.to_csv(path, index=False)
        glm_winrate.hf_hub_download = lambda **_: str(path)
        fit, chosen = glm_winrate.fit_LogisticRegressionCV, []

        def recorded(*args: object, **options: object) -> object:
            fitted = fit(*args, **options)
            chosen.append(float(fitted.C_[0]))
            return fitted

        glm_winrate.fit_LogisticRegressionCV = recorded
        cases = []
        for name, strength, longer in (("weak", -2.0, -300), ("even, long", 0.0, 700), ("strong", 1.5, 100)):
            rows = model(rng, difficulty, strength, longer)
            texts = {
                column: rows[column].map(lambda size: "x" * int(size)) for column in ("output_1", "output_2")
            }
            frame = rows.assign(**texts, generator_1="reference", generator_2=name, annotator="made up")
            figures = glm_winrate.get_length_controlled_winrate(
                frame,
                save_weights_dir=None,
                is_add_glm_preference_inplace=True,
                is_warn_extreme_changes=False,
            )
            cases.append(
                {
                    "name": name,
                    "preference": (rows["preference"] - 1).round(4).tolist(),
                    "reference_length": rows["output_1"].tolist(),
                    "length": rows["output_2"].tolist(),
                    "strength": chosen[-1],
                    "win_rate": figures["win_rate"],
                    "standard_error": figures["standard_error"],
                    "length_controlled_win_rate": figures["length_controlled_winrate"],
                    "lc_standard_error": 100 * float(np.asarray(frame["glm_preference"].sem())),
                }
            )
    kept = {
        "instruction": gamed["index"],
        "preference": gamed["preference"],
        "length": gamed["std_delta_len"],
    }
    anchor_rows = {name: column.tolist() for name, column in kept.items()}
    vectors = {
        "alpaca_eval": "0.6.6",
        "difficulty": difficulty.tolist(),
        "anchors": anchor_rows,
        "cases": cases,
    }
    OUT.write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
