"""The contract that ``spiritsafe init`` writes: every key with what it means, blanks where people decide."""

from __future__ import annotations

TEMPLATE = '''\
# The contract: what is decided before any data is seen. Fill in the blanks, then `spiritsafe contract lock`.
# Locked, it is hashed and frozen; a change is a new version, and earlier attempts stay listed.
edition = 2               # every question of this page is answered before it is locked

[task]
name = @NAME@
kind = "label"            # what the student writes: label | text
nature = ""               # classification | extraction | structured | rewriting | reasoning |
                          # open_ended | broad_knowledge: these two are poor candidates and need a waiver
waiver = ""               # of a poor candidate: why it is distilled all the same
instruction = """
"""                       # guidelines: reviewers see them on `i`
input_example = ""        # a worked example: one real input ...
output_example = ""       # ... and the answer that is wanted for it
metric = "label"          # number | exact | label
# metric_options = { field = "route" }   # label: the field of a JSON output; number: marker = "A:"
labels = []               # ["billing", "refund"], or { billing = "A", refund = "B" } with one-token codes

[distil]                  # when to distil; `spiritsafe breakeven` counts with these
stable = ""               # how long do task, labels and inputs stay as they are, and how do you know?
defined = ""              # would two experts give the same answer, and how do you know?
# requests_per_month = 100_000
# teacher_cost_per_1000 = 5.00
# one_off_cost = 3000     # people, teacher outputs, training
upkeep_per_month = 0      # monitoring, serving, re-distilling
# samples = 5_000         # usual: classification, extraction 1-5 k; structured, rewriting 5-20 k;
                          # reasoning, open_ended, broad_knowledge 50 k and more

[teacher]
name = ""
endpoint = ""             # base URL, OpenAI-compatible: https://host/v1; blank where outputs are imported
model = ""
version = ""              # as the endpoint reports it; "unknown" is an answer too, and is recorded
api_key_env = ""          # the NAME of the variable that holds the key, never the key
why = ""                  # why this teacher
good_enough = ""          # why its answers are good enough to copy: what was measured, on what
# price_in = 2.50         # of a million tokens that it reads, in your currency: stored with each answer
# price_out = 10.00       # of a million that it writes
# n: outputs per prompt; top_logprobs: 0 to 20
params = { temperature = 0.0, max_tokens = 512, logprobs = false, top_logprobs = 0, n = 1 }

[student]                 # the budget that makes it worth having
# parameters = 25_000_000
# p95_latency_ms = 200
# cost_per_1000 = 0.10    # requests, in the contract's currency
# machine_per_hour = 0.50 # of what will serve it: its cost is measured latency x this

[gate]
level = 0.95              # one-sided, each row; all rows must pass
margin = 0.03             # overall: at most three points worse than the teacher, paired; 0.02-0.03 is usual
# floor = 0.90            # overall: the student's own accuracy
minimum_n = 200           # prompts under which no row passes
# planned_n = 1_000       # prompts that the set will have: a bar that they cannot decide is refused
attempts = 3              # students that may be scored on the locked evaluation set

# [[gate.slice]]          # as many as matter; 2-3 points overall and about 5 on slices are decidable
# name = "urgent"
# where = "channel = phone and tier in (gold, silver)"
# margin = 0.05           # or: floor = 0.90
# critical = true         # can never be overridden; planned_n may stand here too

[[gate.slice]]
name = "edge cases"
where = "source = edge_case"
edge_case = true
floor = 0.80              # here the teacher may be wrong itself, so the student is held to a floor of its own

[constraints]
licence = ""              # of the student
teacher_terms = ""        # which terms, of which day: "Example terms of use, 2026-01-01"
teacher_terms_acknowledged = false
acknowledged_by = ""      # the name of who read them and answers for it
privacy = ""              # which personal data there is, on what ground, who may see it; "none" is an answer
# Excluded data is neither imported, sent to the teacher, trained on nor evaluated on:
exclude = []              # predicates over arrivals: ["consent = no"]
exclude_ids = []          # prompt ids, or SHA-256 of values under exclude_keys (printf %s 4711 | sha256sum)
exclude_keys = []         # ["customer_id"]
pii = []                  # never trained on: ["email", "phone", "card", "iban", "key"]

[people]
owner = @OWNER@
backup = ""
approvers = []

[monitoring]
plan = ""                 # what is watched once it works, how often, by whom
slices = []               # names of slices that are watched one by one
# drift_threshold = 0.05  # five points worse than at the gate: distil again
teacher_change = true     # another version of the teacher: distil again
cadence = "quarterly"     # and at the latest: monthly | quarterly | half-yearly | yearly

[coverage]
dimensions = []           # ["channel", { expression = "len(text)", bins = [100, 300, 1000] }]
target = 0                # samples wanted in each bucket
targets = []              # and in some: [{ where = "tier = vip", samples = 200 }]

# [[checks]]              # run on every output
# name = "short enough"
# kind = "length"
# options = { max = 400 }  # characters
# [[filter]]              # what does not go into training; without a rule: flagged, failing_checks
# rule = "low_confidence" # or flagged, failing_checks, personal, best_of, cut_off, everything
# options = { below = "0.5" }

# Reasons are the digits that flag a sample. Blocks like the one below replace all nine of them:
@REASONS@
# [[reasons]]
# digit = 1
# name = "wrong"
# severity = "major"      # minor | major | critical
# train_drop = true       # keep such samples out of the training set
# counts_for_gate = true  # an error of the teacher in the audit
'''
