"""The contract that ``spiritsafe init`` writes: every key with what it means, blanks where people decide."""

from __future__ import annotations

TEMPLATE = '''\
# The contract: what is decided before any data is seen. Fill in the blanks, then `spiritsafe contract lock`.
# Locked, it is hashed and frozen; a change is a new version, and earlier attempts stay listed.

[task]
name = @NAME@
kind = "label"            # what the student writes: label | text
instruction = """
"""                       # guidelines: reviewers see them on `i`
input_example = ""
output_example = ""
metric = "label"          # number | exact | label
# metric_options = { field = "route" }   # label: the field of a JSON output; number: marker = "A:"
labels = []               # ["billing", "refund"], or a table { billing = "A", refund = "B" } of one-token codes

[teacher]
name = ""
endpoint = ""             # base URL, OpenAI-compatible: https://host/v1; blank where outputs are imported
model = ""
version = ""              # as the endpoint reports it; "unknown" is an answer too, and is recorded
api_key_env = ""          # the NAME of the variable that holds the key, never the key
why = ""                  # why this teacher

[teacher.params]
temperature = 0.0
max_tokens = 512
logprobs = false
top_logprobs = 0          # 0 to 20
n = 1                     # outputs per prompt

[student]                 # leave a line out where there is no such bar
# parameters = 25_000_000
# p95_latency_ms = 200
# cost_per_1000 = 0.10    # requests, in the contract's currency

[gate]
level = 0.95              # one-sided, each row; all rows must pass
margin = 0.03             # overall: at most three points worse than the teacher, paired
# floor = 0.90            # overall: the student's own accuracy
minimum_n = 200           # prompts under which no row passes
attempts = 3              # students that may be scored on the locked evaluation set

# [[gate.slice]]          # as many as matter; 2-3 points overall and about 5 on slices are decidable
# name = "urgent"
# where = "channel = phone and tier in (gold, silver)"
# margin = 0.05           # or: floor = 0.90
# critical = true         # can never be overridden

[constraints]
licence = ""              # of the student
teacher_terms_acknowledged = false
exclude = []              # predicates over arrivals that are never trained on: ["consent = no"]

[people]
owner = @OWNER@
backup = ""
approvers = []

[coverage]
dimensions = []           # ["channel", { expression = "len(text)", bins = [100, 300, 1000] }]
target = 0                # samples wanted in each bucket

# [[checks]]              # run on every output
# name = "short enough"
# kind = "length"
# options = { max_chars = 400 }

# Reasons are the digits that flag a sample:
@REASONS@
# Blocks like this one replace all nine of them:
# [[reasons]]
# digit = 1
# name = "wrong"
# severity = "major"      # minor | major | critical
# train_drop = true       # keep such samples out of the training set
# counts_for_gate = true  # an error of the teacher in the audit
'''
