"""The views that `spiritsafe sql --help` names, with what each holds. A test holds them to ``store/views``."""

from __future__ import annotations

VIEWS = """\
the views:
  project, contract, model         what there is, who made it, under which terms
  standards, signature             what the team asks of every project; names under outcomes
  taken_baseline, choice           projects that ended with a baseline; why notes
  arrivals, outputs                prompts as they came in, and what each model answered
  check_results, scores            checks of outputs; one number per model, prompt and metric
  edges, cluster_members           near-duplicate pairs, and the groups they make
  drops                            why samples are not in a dataset version
  suggestions                      pairs alike in meaning: suggested, not verified
  buckets, set_members, files      coverage cells, frozen sets, files that runs left behind (a student)
  verdict, current_verdict         every judgement ever, and the one in force
  reading, contested               those given by reading the text; samples on which readers differ
  audit_plan, draws                locked sampling plans, and what they drew
  comment, decision                remarks, and ship, iterate or kill
  sample_request, bucket_waiver    samples asked for, buckets that may stay thin
  saved_slice                      filters under a name
  closed_run, event                the runs that count, and the ledger itself"""
