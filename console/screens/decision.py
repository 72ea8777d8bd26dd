"""``gd``: everything that a decision rests on, and the decision itself: typed, with a rationale and the project's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from console.gate_words import MEASURED, bar_name, bound_of, rounded
from console.screens.sheet import Line, Sheet, SheetRoom
from console.standings import percent, span
from console.text import counted
from console.widgets.detail import Section
from engine.context import Context
from engine.decide_standards import asked_to_ship
from store import read
from store.errors import RuleError

ITEM = 40  # characters of a checklist's item before the line that answers it


class Decision(SheetRoom):
    """Gate, checklist, audit, triage, hashes; ``:ship``, ``:iterate``, ``:kill`` in three steps on purpose.

    Answers to the review checklist are drafts of this person until a decision carries them.
    """

    name_: ClassVar[str] = "decision"

    def enter(self, *, outcome: str = "", **wanted: Any) -> None:
        super().enter(**wanted)
        if outcome:
            self.call_later(self._rationale, outcome)

    def ask_sheet(self, width: int) -> Sheet:
        return decision_sheet(Context(self.home.store, self.home.project), width, self.home.state.drafts)

    def typed(self, text: str) -> None:
        """The three outcomes are typed here."""
        word = text.strip()
        if word in ("ship", "iterate", "kill"):
            self._rationale(word)
        else:
            super().typed(text)

    def _rationale(self, outcome: str) -> None:
        ticked = self.home.state.drafts  # more of it than the sheet shows, which is read again meanwhile
        lacking = [row for row in self.sheet.lines if row.mark in ("!", "?")]
        lacking = [row for row in lacking if not (row.about and row.about[1] in ticked)]
        short = [row.text.split(":")[0] for row in lacking]
        if outcome == "ship" and lacking and all(row.about for row in lacking):
            self.tell("ship is refused; t answers: " + "; ".join(row.about[0] for row in lacking))
            return
        if outcome == "ship" and short:
            self.tell(
                f"ship is refused while {counted(len(short), 'row')} {'does' if len(short) == 1 else 'do'} not pass: "
                + "; ".join(" ".join(s.split()) for s in short)
            )
            return
        self.ask(
            f"{outcome} — rationale:",
            lambda why: (
                self._confirm(outcome, why) if why.strip() else self.tell("no rationale, no decision")
            ),
            draft=f"rationale/{outcome}",
        )

    def _confirm(self, outcome: str, why: str) -> None:
        project = self.home.project
        self.ask(f"{outcome} — type {project} to decide:", lambda name: self._decide(outcome, why, name))

    def _decide(self, outcome: str, why: str, name: str) -> None:
        from engine.decide import decide

        if not name.strip():
            self.tell("not decided: the project's name was not typed")
            return
        if name.strip() != self.home.project:
            self.refuse(
                f"not decided: the project's name was not typed, which is {self.home.project}; Esc leaves it"
            )
            return
        context = Context(self.home.store, self.home.project)
        drafts, asked = self.home.state.drafts, self._checklist()
        checked = {item: drafts[key] for item, key in asked.items() if key in drafts}
        self.home.work(lambda: decide(context, outcome, why, checked=checked), self._decided)

    def _checklist(self) -> dict[str, str]:
        """Item of the review checklist: the draft that holds its answer."""
        return {row.about[0]: row.about[1] for row in self.sheet.lines if row.about}

    def action_tick(self) -> None:
        """``t``: answer the item under the cursor, else the first that is open."""
        asked, row = self._checklist(), self.current
        drafts = self.home.state.drafts
        item = row.about[0] if row is not None and row.about else ""
        item = item or next((one for one, key in asked.items() if key not in drafts), "")
        if not item:
            self.tell(
                "the review checklist is answered" if asked else "no standards ask for a review checklist"
            )
            return
        label = item if len(item) <= ITEM else f"{item[: ITEM - 1]}…"
        self.ask(f"{label} — found:", lambda said: self._tick(asked[item], said), drafts.get(asked[item], ""))

    def _tick(self, key: str, said: str) -> None:
        self.home.note_draft(key, said.strip())
        self.enter()
        self.tell("ticked; it goes on record with the decision" if said.strip() else "open again")

    def _decided(self, record: dict[str, Any]) -> None:
        for key in self._checklist().values():
            self.home.note_draft(key, "")
        self.enter()
        self.tell(f"decided: {record['outcome']}, record {record['sha256'][:16]}; E exports it")

    def action_export(self) -> None:
        """``E``"""
        from engine.decide import export

        context = Context(self.home.store, self.home.project)
        self.home.work(
            lambda: export(context, Path.cwd()),
            lambda paths: self.tell("written: " + ", ".join(p.name for p in paths)),
        )


def decision_sheet(context: Context, width: int, drafts: Mapping[str, str] | None = None) -> Sheet:
    """What a decision rests on, as a sheet; what is missing says how to get it. ``drafts``: answers to a checklist."""
    del width
    decisions = context.store.ask(read.DECISIONS, project=context.project)
    lines = []
    for d in reversed(decisions):
        record = msgspec.json.decode(d.record)
        lines.append(
            Line(
                f"{'decided':<12} {d.outcome.upper()} by {d.actor}: {d.rationale}",
                "✓",
                (_record_section(record),),
            )
        )
    lines += _evidence_lines(context, drafts or {})
    said = f"{decisions[-1].outcome} on record" if decisions else "none on record yet"
    header = f"decision · {said} · {context.project}"
    return Sheet(header, "type :ship, :iterate or :kill; then why, then the project's name", lines)


def _plan_line(number: int, plan: dict[str, Any]) -> Line:
    """One plan with its standing, as the record will have it."""
    rate = ""
    if plan["rate"] is not None and plan["mode"] != "sequential":
        rate = f", {span(float(plan['low']), float(plan['high']))}"
    bound = f", at most {percent(float(plan['bound']))} %" if plan["bound"] is not None else ""
    text = (
        f"{f'plan {number}':<12} {plan['verdict'].upper():<12} {plan['mode']}, gate {percent(float(plan['gate']))} %:"
        f" {plan['judged']:,} of {plan['n']:,} judged, {counted(plan['errors'], 'error')}{rate}{bound}"
    )
    facts = "\n".join(f"{name}: {value}" for name, value in plan.items() if value is not None)
    mark = {"pass": "✓", "fail": "✗"}.get(plan["verdict"], "·")  # not !: that is what keeps from shipping
    return Line(
        text,
        mark,
        (Section(f"plan {number}", f"{plan['why']}\n\n{facts}"),),
        ("audit", {"plan": plan["plan"]}),
    )


def _agreement_line(found: dict[str, Any]) -> Line:
    """The three coefficients with their counts, never one alone."""
    if not found["overlapped"]:
        text = "no sample was judged by two people"
    else:
        alpha, ac1, positive = (rounded(found[n], 3) if found[n] is not None else "undefined"
                                for n in ("alpha", "ac1", "positive_agreement"))  # fmt: skip
        text = (
            f"{found['pairs_alike']} of {counted(found['pairs'], 'pair')} alike: alpha {alpha}, AC1 {ac1}, positive"
            f" {positive} ({found['flagged_by_both']} both bad, {found['flagged_by_one']} one)"
        )
    return Line(f"{'agreement':<12} {text}", " ", (), ("reviewers", {}))


def _record_section(record: dict[str, Any]) -> Section:
    from engine.record import render_markdown

    return Section("record", render_markdown(record))


def gate_text(row: dict[str, Any]) -> str:
    """A gate row as a sentence: what, bar, bound, n."""
    kind = "" if row["kind"] in MEASURED else f" {row['kind']}"
    return f"{bar_name(row)}:{kind} bar {row['bar']}, bound {rounded(bound_of(row))}, n {row['n']:,}"


def _standards_lines(context: Context, found: dict[str, Any], drafts: Mapping[str, str]) -> list[Line]:
    """What the team's standards ask before it ships: each item of the checklist, names, and what falls short."""
    asked = asked_to_ship(context, found)
    if asked is None:
        return []
    lines = []
    for item in asked.checklist:
        key = f"{context.project}/decision/checked/{asked.subject}/{item}"
        answer = drafts.get(key, "")
        text = f"{'checklist':<12} {item}" + (f": {answer}" if answer else "")
        about = f"{item}\n\n{answer or 'open: t answers it'}"
        lines.append(
            Line(text, "✓" if answer else "?", (Section("review checklist", about),), about=(item, key))
        )
    if asked.signatures:
        names = ", ".join(asked.signed) or "spiritsafe sign ship"
        text = f"{'signatures':<12} {len(asked.signed)} of {asked.signatures} to ship: {names}"
        lines.append(Line(text, "✓" if len(asked.signed) >= asked.signatures else "!"))
    lines += [Line(f"{'standards':<12} {what}", "!") for what in asked.short]
    return lines or [Line(f"{'standards':<12} version {asked.version}: met", "✓")]


def _evidence_lines(context: Context, drafts: Mapping[str, str]) -> list[Line]:
    from engine.record import evidence, newest

    try:
        evaluated, student = newest(context)
        found = evidence(context, evaluated, student)
    except RuleError as error:
        return [Line(f"{'missing':<12} {error.what}", "!", (Section("missing", error.todo),))]
    lines = [
        Line(
            f"{'gate':<12} {row['judgement'].upper():<12} {gate_text(row)}",
            {"pass": "✓", "fail": "!", "insufficient": "?"}[row["judgement"]],
            (Section(f"gate row {bar_name(row)}", f"{gate_text(row)}\n{row['why']}"),),
            ("evaluation", {}),
        )
        for row in found["gate"]["rows"]
    ]
    p = found["protocol"]
    lines.append(
        Line(
            f"{'protocol':<12} attempts {p['attempts_spent']} of {p['attempts_allowed']}, unanswered {p['unanswered']}",
            "✓" if p["holds"] else "!",
        )
    )
    lines += _standards_lines(context, found, drafts)
    audit = found["audit"]
    lines.append(
        Line(
            f"{'audit':<12} {counted(audit['judged'], 'verdict')} in ga by {counted(audit['reviewers'], 'reviewer')}"
            + ("" if audit["plans"] else "; no plan is locked, so no rate"),
            " ",
            (),
            ("audit", {}),
        )
    )
    lines += [_plan_line(number, plan) for number, plan in enumerate(audit["plans"], 1)]
    lines.append(_agreement_line(audit["agreement"]))
    triage = ", ".join(f"{t['better']} {t['count']}" for t in found["triage"]) or "none yet"
    lines.append(Line(f"{'triage':<12} {triage}", " ", (), ("disagreements", {})))
    for name, m in sorted(found["evaluation"]["models"].items(), key=lambda item: -item[1]["right"]):
        lines.append(
            Line(
                f"{'model':<12} {name}: {m['accuracy']} ({m['low']} to {m['high']})",
                " ",
                (),
                ("evaluation", {}),
            )
        )
    hashes = [("contract", found["contract"]["hash"]), ("set", found["evaluation_set"]["set_sha256"]),
              ("harness", found["evaluation_set"]["harness_sha256"]), ("ledger", found["ledger"]["hash"])]  # fmt: skip
    lines += [Line(f"{name:<12} {value}", "#", (Section(name, value),)) for name, value in hashes]
    return lines
