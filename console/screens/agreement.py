"""``gr``: how far reviewers agree, and what each of them judged. No coefficient stands alone."""

from __future__ import annotations

from typing import Any, ClassVar

from console.agreement_words import Coefficient, Reviewer, coefficients, reviewers_of
from console.screens.sheet import Line, Sheet, SheetRoom
from console.standings import Progress, overlap_of, percent, plans_of, progress_of
from console.text import counted, fit
from console.widgets.detail import Section
from engine.context import Context

NAME, NAMES = 16, 24  # cells of one person's name, and of two
WHY = (
    "Only samples that two or more judged count, each person's first verdict, given blind. alpha and AC1 take out what "
    "chance alone would give, in two ways; where bad answers are rare the one can be low and the other high on the same "
    "verdicts. Positive agreement asks only about what somebody called bad: with rare flags it is the one that matters. "
    "Read all three, with their counts."
)


class Reviewers(SheetRoom):
    """Agreement first, then people, then pairs."""

    name_: ClassVar[str] = "reviewers"

    def ask_sheet(self, width: int) -> Sheet:
        return agreement_sheet(Context(self.home.store, self.home.project), width)


def agreement_sheet(context: Context, width: int) -> Sheet:
    """Agreement, people, pairs and planned overlap as a sheet."""
    from engine.audit.report import agreement_payload, units

    found = units(context)
    payload = agreement_payload(context)
    people = reviewers_of(context)
    lines = [line for c in coefficients(found) for line in coefficient_lines(c, width)]
    lines += [line for p in plans_of(context) if (line := _overlap_line(progress_of(context, p))) is not None]
    lines += [Line(""), *(_person_line(person) for person in people)]
    if not people:
        lines.append(Line("nobody judged anything yet: ga"))
    pairs = payload["pair_table"]
    lines += [Line(""), *(_pair_line(pair) for pair in pairs)] if pairs else []
    header = (
        f"reviewers · {counted(len(people), 'person', 'people')} · {counted(payload['samples'], 'sample')} judged blind"
        f" · {payload['overlapped']:,} by two or more · {context.project}"
    )
    return Sheet(header, "what       value  over what", lines)


def coefficient_lines(c: Coefficient, width: int) -> list[Line]:
    """A coefficient with its counts; what it means beside it where there is room, else below it."""
    value = "-" if c.value is None else f"{c.value:.3f}"
    text = f"{c.name:<9}{value:>7}  {c.why if c.value is None else c.counts}"
    beside = len(text) + len(c.meaning) + 3 <= width - 3
    text = f"{text} · {c.meaning}" if beside else text
    whole = f"{c.name}: {value}\n{c.counts}\n{c.meaning}{f'{chr(10)}undefined: {c.why}' if c.why else ''}\n\n{WHY}"
    shown = (Section(c.name, whole),)
    below = [] if beside else [Line(f"{'':<18}{c.meaning}", " ", shown)]
    return [Line(text, " ", shown), *below]


def _overlap_line(found: Progress | None) -> Line | None:
    told = overlap_of(found.plan.locked, found.standing) if found is not None else ""
    if found is None or not told:
        return None
    return Line(f"plan {found.plan.number:<11}  {told}", " ", (), ("audit", {"plan": found.plan.id}))


def _person_line(person: Reviewer) -> Line:
    seen = f", {percent(person.after_reveal / person.judged)} % after reveal" if person.after_reveal else ""
    bulk = f", {person.bulk:,} in bulk" if person.bulk else ""
    settled = f", settled {person.settled:,}" if person.settled else ""
    text = (
        f"{fit(person.who, NAME)} judged {person.judged:,}: ok {person.ok:,} bad {person.bad:,}"
        f" unsure {person.unsure:,}{seen}{bulk}{settled}"
    )
    about = (
        f"judged {person.judged:,}: ok {person.ok:,}, bad {person.bad:,}, unsure {person.unsure:,}\n"
        f"after the source was seen: {person.after_reveal:,}\nin bulk, unread: {person.bulk:,}\n"
        f"conflicts settled: {person.settled:,}"
    )
    return Line(text, " ", (Section(person.who, about),))


def _pair_line(pair: dict[str, Any]) -> Line:
    title, one = f"{pair['first']} + {pair['second']}", pair["only_first"] + pair["only_second"]
    text = (
        f"{fit(title, NAMES)} shared {pair['shared']:,}, alike {pair['alike']:,};"
        f" bad: both {pair['both_flag']:,}, only one {one:,}"
    )
    about = (
        f"judged by both: {pair['shared']:,}\nalike: {pair['alike']:,}\nboth said bad: {pair['both_flag']:,}\n"
        f"only {pair['first']} said bad: {pair['only_first']:,}\nonly {pair['second']} said bad: {pair['only_second']:,}"
    )
    return Line(text, " ", (Section(title, about),))
