"""The decision record: all evidence of a decision as one document without floats, and its two renderings.

``evidence`` computes it from the store as it stood at a ledger seq: ``decide`` calls it to write a record,
``verify`` to compute every number again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.audit.report import agreement_payload, audits
from engine.context import Closed, Context
from engine.evaluate import bars
from engine.evaluate.bars import newest
from engine.evaluate.freeze import in_force, set_hash
from engine.evaluate.gate import MEASURED
from engine.evaluate.report import disagreeing, summarised
from store import read
from store.canonical import digest_of

__all__ = ["FORMAT", "evidence", "newest", "record_hash", "render_json", "render_markdown"]

FORMAT = "spiritsafe decision record 1"


def evidence(context: Context, evaluated: Closed, student: str) -> dict[str, Any]:
    """Everything a decision rests on, recomputed from rows where rows exist."""
    locked, frozen = context.locked(), context.evaluation_set()
    in_force(context.contract(), frozen)
    members = context.store.ask(read.SET_MEMBERS, project=context.project, run_id=frozen.run_id)
    gate, counts, protocol = bars.judged(context, evaluated, student)
    head = context.store.ask(read.HEAD, seq=context.seq)[0]
    tallies = context.store.ask(read.TALLIES, project=context.project, seq=context.seq)
    triage = context.store.ask(read.TRIAGE, project=context.project, seq=context.seq)
    return {
        "project": context.project,
        "retrospective": context.retrospective(),
        "store": context.store.welcome.store_id,
        "ledger": {"seq": head.seq, "hash": head.hash},
        "contract": {"version": locked.version, "hash": locked.hash, "contract": msgspec.json.decode(locked.contract)},
        "evaluation_set": {
            "run": frozen.run_id,
            "prompts": frozen.result["prompts"],
            "without_reference": frozen.result["without_reference"],
            "set_sha256": set_hash([(m.prompt_id, m.reference) for m in members]),
            "harness_sha256": frozen.result["harness_sha256"],
        },
        "evaluation": {"run": evaluated.run_id, "teacher": evaluated.result["teacher"], "student": student,
                       "disagreeing_scores": disagreeing(context, evaluated),
                       "models": summarised(context, evaluated)},
        "gate": gate.as_payload(),
        "slices": [bars.as_dict(c) for c in counts],
        "protocol": protocol,
        "passes": gate.judgement.value == "pass" and protocol["holds"],
        "audit": _audit(tallies) | {"plans": audits(context), "agreement": agreement_payload(context)},
        "triage": [{"better": t.outcome or "an output not shown", "reason": t.reason, "count": t.count,
                    "after_reveal": t.revealed} for t in triage],
        "runs": [{"run": r.run_id, "stage": r.stage, "rows": r.digests} for r in context.runs()],
    }  # fmt: skip


def _audit(tallies: list[read.Tally]) -> dict[str, Any]:
    """Verdicts on the teacher's outputs, as counts. A rate needs a drawn sample: it stands with its plan."""
    mine = [t for t in tallies if t.queue == "audit"]
    return {
        "judged": sum(t.count for t in mine),
        "reviewers": len({t.actor for t in mine}),
        "verdicts": [
            {"verdict": t.verdict, "reason": t.reason, "reviewer": t.actor, "count": t.count} for t in mine
        ],
    }


def render_json(record: dict[str, Any]) -> str:
    """The record as the JSON file that ``verify`` reads: sorted, indented, newline-ended."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def record_hash(record: dict[str, Any]) -> str:
    """SHA-256 of the record's canonical JSON, without its own hash."""
    return digest_of({k: v for k, v in record.items() if k != "sha256"})


def render_markdown(record: dict[str, Any]) -> str:
    """The record for people: outcome first, then the gate, the slices, the models, the audit, the hashes."""
    e = record["evidence"]
    lines = [
        f"# {record['outcome'].upper()}: {e['project']}",
        "",
        f"Decided {_time(record['decided_us'])} by {record['decided_by']}."
        + (" A retrospective project: outputs arrived by import." if e["retrospective"] else ""),
        "",
        *(f"> {_cell(line)}" for line in record["rationale"].splitlines()),
        "",
        _headline(e),
        "",
        "## Gate",
        "",
        "| slice | bar | n | estimate | lower | upper | judgement | n needed |",
        "|---|---|---:|---:|---:|---:|---|---:|",
        *(
            f"| {_cell(r['slice'])}{' (critical)' if r['critical'] else ''} | {r['kind']} {r['bar']} | {r['n']} | {r['estimate']}"
            f" | {r['lower']} | {r['upper']} | {r['judgement']} | {r['n_needed'] or ''} |"
            for r in e["gate"]["rows"]
        ),
        "",
        *_measured_lines(e["gate"]["rows"]),
        "## Slices",
        "",
        "| slice | n | teacher right | student right | both | only teacher | only student |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {_cell(s['slice'])} | {s['n']} | {s['teacher_right']} | {s['student_right']} | {s['both_right']}"
            f" | {s['teacher_only']} | {s['student_only']} |"
            for s in e["slices"]
        ),
        "",
        "## Models",
        "",
        "| model | outputs by | n | right | accuracy | 95 % interval |",
        "|---|---|---:|---:|---:|---|",
        *(
            f"| {_cell(name)} | {', '.join(m['outputs_by'])} | {m['n']} | {m['right']} | {m['accuracy']} | {m['low']} to {m['high']} |"
            for name, m in sorted(e["evaluation"]["models"].items(), key=lambda item: -item[1]["right"])
        ),
        "",
        *_judged_lines(e),
        *_choice_lines(record.get("choices", [])),
        *_standards_lines(record.get("standards")),
        "## Hashes",
        "",
        f"- record `{record['sha256']}`",
        f"- ledger event {e['ledger']['seq']} `{e['ledger']['hash']}` of store `{e['store']}`",
        f"- contract version {e['contract']['version']} `{e['contract']['hash']}`",
        f"- evaluation set `{e['evaluation_set']['set_sha256']}`, harness `{e['evaluation_set']['harness_sha256']}`",
        "",
        "Verify with: `spiritsafe verify RECORD.json`",
    ]
    return "\n".join(lines) + "\n"


def _measured_lines(rows: list[dict[str, Any]]) -> list[str]:
    """What running it takes, with how that is known: a cost may be a stated one."""
    found = [f"- {r['kind']}: {_cell(r['why'])}" for r in rows if r["kind"] in MEASURED]
    return [*found, ""] if found else []


def _headline(e: dict[str, Any]) -> str:
    student, teacher, protocol = e["evaluation"]["student"], e["evaluation"]["teacher"], e["protocol"]
    return (
        f"Student `{_cell(student)}` against teacher `{_cell(teacher)}` on {e['evaluation_set']['prompts']:,} frozen prompts. "
        f"Gate: **{e['gate']['judgement']}** at level {e['gate']['level']}; "
        f"attempts {protocol['attempts_spent']} of {protocol['attempts_allowed']}; unanswered {protocol['unanswered']}."
    )


def _judged_lines(e: dict[str, Any]) -> list[str]:
    lines = ["## People", ""]
    audit = e["audit"]
    lines.append(
        f"- audit: {_count(audit['judged'], 'verdict')} by {_count(audit['reviewers'], 'reviewer')}"
        " (counts; a rate stands with its plan)"
    )
    lines += [_plan_line(plan) for plan in audit["plans"]]
    lines += _agreement_lines(audit["agreement"])
    for row in audit["verdicts"]:
        reason = f", reason {row['reason']}" if row["reason"] else ""
        lines.append(f"  - {row['verdict']}{reason} by {_cell(row['reviewer'])}: {row['count']}")
    for row in e["triage"]:
        reason = f", reason {row['reason']}" if row["reason"] else ""
        lines.append(
            f"- disagreements: {_cell(row['better'])}{reason}: {row['count']} ({row['after_reveal']} after reveal)"
        )
    return [*lines, ""]


def _choice_lines(choices: list[dict[str, Any]]) -> list[str]:
    if not choices:
        return []
    lines = ["## Choices", ""]
    for c in choices:
        against = f"; rejected: {_cell(', '.join(c['rejected']))}" if c["rejected"] else ""
        lines.append(f"- {_cell(c['choice'])}: {_cell(c['reason'])}{against} ({_cell(c['by'])})")
    return [*lines, ""]


def _standards_lines(told: dict[str, Any] | None) -> list[str]:
    if not told:
        return []
    lines = ["## Standards", "", f"- version {told['version']} `{told['hash']}`"]
    lines += [f"- checked: {_cell(row['item'])}: {_cell(row['answer'])}" for row in told["checklist"]]
    lines += [
        f"- signed by {_cell(s['by'])}{': ' + _cell(s['note']) if s['note'] else ''}"
        for s in told["signatures"]
    ]
    lines += [f"- falls short: {_cell(what)}" for what in told["falls_short"]]
    return [*lines, ""]


def _plan_line(p: dict[str, Any]) -> str:
    rate = f", error rate {p['rate']} ({p['low']} to {p['high']})" if p["rate"] is not None else ""
    allowed = f", at most {p['c']} errors" if "c" in p else ""
    where = f", of {_cell(p['where'])}" if "where" in p else ""
    return (
        f"- audit plan `{p['plan']}` ({p['mode']}) on {_cell(p['model'])}{where}: gate {p['gate']} at level {p['level']},"
        f" n {p['n']:,}{allowed} of {p['population']:,}; judged {p['judged']:,}, errors {p['errors']} (of these unsettled"
        f" {p['unsettled']}), replaced {p['replaced']}, changed later {p['changed']},"
        f" given before the plan {p['before_the_plan']}{rate}: **{p['verdict']}**, {_cell(p['why'])}"
    )


def _agreement_lines(a: dict[str, Any]) -> list[str]:
    if not a["overlapped"]:
        return ["- agreement: no sample was judged by two people"]
    text = (
        f"- agreement over {_count(a['overlapped'], 'sample')} judged by two or more: alpha {a['alpha'] or 'undefined'},"
        f" AC1 {a['ac1'] or 'undefined'}, positive agreement {a['positive_agreement'] or 'undefined'}"
        f" ({a['flagged_by_both']} pairs share a flag, in {a['flagged_by_one']} only one flagged)"
    )
    return [text]


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _time(us: str) -> str:
    return datetime.fromtimestamp(int(us) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cell(text: str) -> str:
    """A name that cannot break a Markdown table or hide anything."""
    return (
        "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
        .replace("|", "\\|")
        .replace("`", "'")
    )
