"""Outputs by producer and decoding, in an order that their content gives."""

from __future__ import annotations

from pathlib import Path

from db.ledger import Ledger
from db.queries.outputs import Produced, latest, outputs_of, producers
from db.records import Instruction, Membership, Output, ProducerKind, Source

HI, BYE = Instruction("Say hi."), Instruction("Say bye.", "to ada")
COLD, HOT = '{"temperature":0}', '{"temperature":1}'


def test_outputs_are_found_by_producer_decoding_and_set(tmp_path: Path) -> None:
    written = [
        Output(HI, "hot 1", "m", decoding=HOT, sample=1),
        Output(BYE, "bye", "m", decoding=HOT),
        Output(HI, "hot 0", "m", decoding=HOT),
        Output(HI, "cold", "m", decoding=COLD),
        Output(HI, "ada's", "ada", ProducerKind.REFERENCE),
    ]
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            for each in written:
                writer.outputs([each])
            writer.memberships([Membership(BYE, "farewells")])
        assert producers(ledger) == [
            Produced("m", ProducerKind.MODEL, HOT, 3),
            Produced("m", ProducerKind.MODEL, COLD, 1),
            Produced("ada", ProducerKind.REFERENCE, "", 1),
        ]
        hot = list(outputs_of(ledger, Source("m", HOT)))
        assert [each.text for each in hot] == ["hot 0", "hot 1", "bye"]  # by instruction, then by sample
        assert sorted(hot, key=lambda each: each.key) == sorted(
            (each for each in written if each.decoding == HOT), key=lambda each: each.key
        )
        assert len(list(outputs_of(ledger, Source("m")))) == 4
        assert [each.text for each in outputs_of(ledger, Source("m"), "farewells")] == ["bye"]
        assert list(outputs_of(ledger, Source("nobody"))) == []
        assert latest(ledger, "m") == Source("m", COLD)
        assert latest(ledger, "nobody") == Source("nobody", None)
