"""What ``spiritsafe CMD --help`` teaches: a paragraph and lines that work, for each command, as data.

To add one: a line here under the command's name. A test gives every example to the real parser, and every
filter and SELECT in them to the real grammar and store.
"""

from __future__ import annotations

from dataclasses import dataclass

from console.sql_views import VIEWS


@dataclass(frozen=True, slots=True)
class Lesson:
    """``about``: a paragraph in plain words. ``examples``: lines as they are typed; ``#`` starts a remark."""

    about: str
    examples: tuple[str, ...] = ()


LESSONS: dict[str, Lesson] = {
    "console": Lesson(
        "Opens the console on the store's project: this is what spiritsafe alone does. Everything works by "
        "keyboard; ? shows all keys, q leaves. Without a terminal, or with --plain, the screens are printed as text.",
        ("spiritsafe", "spiritsafe --project gsm8k console --screen audit", "spiritsafe console --plain"),
    ),
    "keys": Lesson(
        "Lists every action of the console with its keys and its id, and says what is wrong in a keymap of your own. "
        "--write makes a commented keymap to start from: a line for each action that is to have other keys.",
        ("spiritsafe keys", "spiritsafe keys --write keymap.toml", "spiritsafe keys --keymap keymap.toml"),
    ),
    "demo": Lesson(
        "Builds a small real project (787 support messages, five models that were really run on them) in a folder "
        "of its own, from import to a judged gate, and opens the console on it. What is built already is reused; "
        "deleting the folder ends the demo.",
        ("spiritsafe demo", "spiritsafe demo --in /tmp/desk --plain"),
    ),
    "init": Lesson(
        "Makes a project in the store (and the store, where there is none yet) and writes a contract to fill in: "
        "every key with what it means. Fill it in before anybody looks at data, then lock it.",
        (
            'spiritsafe init gsm8k --title "Grade-school maths"',
            "spiritsafe init desk --contract desk/contract.toml",
        ),
    ),
    "projects": Lesson(
        "Lists the projects of the store: name, title, and whether it is retrospective, that is, made of outputs that "
        "were there before.",
        ("spiritsafe projects", "spiritsafe --store team.duckdb projects --json"),
    ),
    "contract": Lesson(
        "check reads a contract and lists everything that is wrong with it, by line (a slice that nothing can ever be in, "
        "too), how many prompts each bar takes, and which slices have too few of the test's so far. lock freezes it under "
        "a hash: from then on bars, slices and metric are fixed, and a change is a new version beside the old one. show "
        "prints the one in force; diff says in words what changed since, or between two versions.",
        ("spiritsafe contract check", "spiritsafe contract lock", "spiritsafe contract diff --at 1 --to 2"),
    ),
    "breakeven": Lesson(
        "Prints the traffic from which a student pays: what is spent once is earned back by what each request saves, "
        "after its upkeep. Takes what [distil] in the contract says, and any number that you give instead.",
        (
            "spiritsafe breakeven contract.toml",
            "spiritsafe breakeven --teacher 5 --student 0.10 --once 3000 --requests 100000",
        ),
    ),
    "standards": Lesson(
        "One page for every project of the store: evaluation protocol, teachers that may be copied, the loosest bars "
        "for each kind of task, signatures and a review checklist. A contract below it is not locked, and nothing "
        "ships without what it asks. Its stewards alone change it, and every change is a version.",
        (
            "spiritsafe standards init",
            "spiritsafe standards lock standards.toml",
            "spiritsafe standards show --json",
        ),
    ),
    "import": Lesson(
        "Reads prompts, and outputs or predictions that are there already, from JSONL, CSV or Parquet. A path like "
        "answer.text names where in a row something stands; one row may hold the outputs of several models. --preview "
        "shows the first rows as they would be read. A bad row stops everything by file:line, and nothing is half "
        "imported. What the contract excludes is not kept: where a new version lets it in, the same command brings it.",
        (
            "spiritsafe import --preview rows.jsonl --prompt question --reference answer",
            "spiritsafe import --retrospective gsm8k rows.jsonl --prompt question --output big=big.text --teacher big",
            "spiritsafe import log.csv.gz --prompt text --meta tier=customer.tier --derive 'long = len(prompt) > 400'",
        ),
    ),
    "evaluation": Lesson(
        "Freezes the test prompts, their references, the slices and the metric under one hash: the harness that every "
        "model is measured by from now on. A prompt that also arrives in another split would be known to the student, "
        "so it is refused by name, or left out with --drop-leaks.",
        ("spiritsafe evaluation freeze", "spiritsafe evaluation freeze --split test --drop-leaks"),
    ),
    "baselines": Lesson(
        "Scores what doing nothing scores, before money is spent on a teacher, and holds every baseline that answered "
        "the whole set (imported ones too) against the contract's quality, latency and cost. Where one meets them all, "
        "`spiritsafe take` ends the project with it, and generate asks for a reason to go on.",
        ("spiritsafe baselines", "spiritsafe baselines --kind label_names --json"),
    ),
    "generate": Lesson(
        "Asks the contract's teacher for an answer to every prompt that has none yet, at any OpenAI-compatible "
        "endpoint. The key comes from the environment variable that the contract names. Every answer is in a journal "
        "before it is counted, so that a run that was killed repeats at most the calls under way; finished parts "
        "can be reviewed while it goes on. Each answer's cost is stored with it, by the contract's price or --price.",
        (
            "spiritsafe generate --limit 20 --price 2.50/10",
            "spiritsafe generate --split train --in-flight 32",
            'spiritsafe generate --reason "the baseline cannot explain itself"',
        ),
    ),
    "audit": Lesson(
        "Locks a sampling plan before anybody judges: how many outputs must be looked at, and how many errors among "
        "them may be, so that a teacher worse than --gate is not accepted by luck; then draws the samples. --dry-run "
        "only shows the plan and how likely it accepts teachers of which error rate. ga then opens what was drawn; "
        "`spiritsafe queue audit --plan newest` lists it. --reviewers takes names as `spiritsafe whoami` says them.",
        (
            "spiritsafe audit plan --gate 0.02 --c 2 --dry-run",
            "spiritsafe audit plan --gate 0.02 --assume 0.005 --reviewers ann --reviewers bob --overlap 0.2",
            "spiritsafe audit plan --gate 0.05 --c 1 --mode stratified --by tier",
        ),
    ),
    "check": Lesson(
        "Runs the contract's automatic checks (right number, valid JSON, a pattern, allowed labels, length, language, "
        "refusals, personal data, a Python file of your own, another model as judge) over outputs, and counts per check "
        "and slice. Results are marks beside the outputs; nothing is removed. Stopped, it goes on where it was. A judge "
        "is asked in both orders, and the share of answers that flip is reported; with --sample its calls are few and "
        "the counts carry an interval.",
        (
            "spiritsafe check",
            "spiritsafe check --all-models",
            "spiritsafe check --name polite --sample 300",
        ),
    ),
    "dedup": Lesson(
        "Finds near-duplicate prompts or outputs. Hashing only proposes: every pair was compared exactly and carries its similarity. In "
        "gp keep (a), choose (r), tell apart (n), group by group (}): it counts at the next dedup. There + and - only narrow the view, "
        "and the filter leak shows pairs of train and test. Of 50,000 texts and more it keeps an index beside the store, so that the "
        "next run compares only what came since; lost or unfit, it is made anew.",
        ("spiritsafe dedup --field both", "spiritsafe dedup --threshold 0.8 --index rebuild"),
    ),
    "semantic": Lesson(
        "Suggests pairs of prompts (or outputs) that an embedding model finds alike in meaning. It verifies nothing, so "
        "nothing is left out because of it. gm shows the pairs, new ones first: = both stay, n not the same (never "
        "suggested again), a digit flags the answers of the second for that reason, and the contract's policy leaves out "
        "what is flagged. [[reasons]] in the contract may name one: duplicate in meaning. Every pair is compared: beyond "
        "a quarter of an hour it asks for --yes. Needs pip install 'spiritsafe[semantic]'; --model-path takes a folder.",
        ("spiritsafe semantic", "spiritsafe semantic --field output --threshold 0.95 --most 500"),
    ),
    "coverage": Lesson(
        "Counts the data in the cells of a grid, to show what is thin or missing against production and the evaluation "
        "set. Each --by is an expression of the filter grammar, with edges behind a colon where it is a number; "
        "uncertainty, disagreement and script need no metadata. A target may be for some buckets only. gc shows it.",
        (
            "spiritsafe coverage",
            "spiritsafe coverage --by tier --by 'len(prompt): 0, 200, 800' --target 50 --target 'tier = vip: 200'",
            "spiritsafe coverage --by 'uncertainty: 0.1, 0.3' --by 'disagreement: 0.01, 0.34'",
        ),
    ),
    "filter": Lesson(
        "Asks the contract's filter policy what it would drop, and why, before anything is frozen: counts per rule and "
        "slice, before and after. Without [[filter]] in the contract, what fails a check or was flagged goes.",
        ("spiritsafe filter", "spiritsafe filter --keep-failing --json"),
    ),
    "dataset": Lesson(
        "Freezes the samples that a student may learn from as a numbered version under a hash; every sample left out "
        "keeps its reasons. diff says what entered and left between two versions and why; export writes chat JSONL, "
        "a folder for HF datasets, CSV, Parquet or DPO pairs, with a manifest; restore makes an older one current. "
        "--match-production brings the version to production's shares, by leaving samples out or by weights that train "
        "reads. seen names the nearest training samples of an input, or says that nothing is like it.",
        (
            "spiritsafe dataset freeze --match-production draw --by tier --seed 7",
            "spiritsafe dataset seen --file live.jsonl --field question",
            "spiritsafe dataset export newest --format hf --out train-set",
        ),
    ),
    "crossfit": Lesson(
        "Lets students that never saw a sample answer it: each learns from the other folds. Where they contradict the "
        "teacher with confidence one of them is wrong, so look there first: audit plan --mode weighted --suspicion held_out "
        "draws these samples more often and still tells an honest rate. Nothing is dropped because of it.",
        ("spiritsafe crossfit", "spiritsafe crossfit --folds 10 --mode soft"),
    ),
    "train": Lesson(
        "Trains a classifier student on the newest dataset version; soft learns the teacher's probabilities, hard its "
        "answers. Needs pip install 'spiritsafe[train]'.",
        ("spiritsafe train --mode soft", "spiritsafe train --mode hard --limit 500 --name small"),
    ),
    "evaluate": Lesson(
        "Scores teacher, students and baselines on the frozen evaluation set, slice by slice, with intervals. The "
        "first computation of a student's scores counts as one of the contract's attempts.",
        ("spiritsafe evaluate", "spiritsafe evaluate --json"),
    ),
    "gate": Lesson(
        "Judges every bar of the contract by its bounds, never by its estimate: pass, fail, or insufficient with the "
        "number of prompts it would take. What the student costs is what came with its answers, else its measured "
        "latency times student.machine_per_hour of the contract. Exit 1 while it does not pass.",
        ("spiritsafe gate", "spiritsafe gate --student small"),
    ),
    "queue": Lesson(
        "Lists what stands in a queue, with your own marks: the console's list as text. --filter takes the grammar of "
        "the console's f key; the order is as imported unless --sort or --seed says otherwise. --to writes the rows "
        "whole, with what you may see of each (no model while you judge blind): JSONL and Parquet hold every text as "
        "it is; in CSV a text that a spreadsheet would take for a formula gets an apostrophe in front; .openai.jsonl "
        "is OpenAI's fine-tuning format. The file is yours alone, and none is written over without --replace.",
        (
            "spiritsafe queue audit --filter 'tier = vip and not reviewed'",
            "spiritsafe queue disagreements --seed 7 --at 21 --rows 20 --json",
            "spiritsafe queue audit --filter 'verdict = ok' --to train.openai.jsonl --replace",
        ),
    ),
    "show": Lesson(
        "Prints one subject of a queue whole: its texts and whatever else may be seen before a verdict. Where a "
        "queue is blind, what tells the models apart stays hidden.",
        (
            "spiritsafe show audit 17",
            "spiritsafe show audit --filter 'tier = vip' --row 3",
            "spiritsafe show disagreements --at 1",
        ),
    ),
    "verdict": Lesson(
        "Judges one subject, as one key does in the console. The subject is a row number or an id from `spiritsafe "
        "queue`; left and right are as `spiritsafe show` shows them to you. `spiritsafe undo` takes it back.\n\n"
        "With --bulk N it judges many at once, their texts unread: rows like 3-9,12, or the word all for every row of "
        "the filter. Only what you have not judged is taken, N must be how many that is, and one undo takes all back. "
        "Bulk verdicts count for no audit plan.",
        (
            "spiritsafe verdict audit all bad --reason 5 --filter 'len(output) = 0' --bulk 12",
            "spiritsafe verdict audit 4 bad --reason 2",
            "spiritsafe verdict disagreements 1 left",
        ),
    ),
    "adjudicate": Lesson(
        "Settles what reviewers contradict each other on, or were unsure of: the outcome that an audit counts from then "
        "on. It stays on record: there is no undo, only a later settling. Whoever gave one of the verdicts in conflict "
        "leaves it to somebody else. Without a verdict it shows what can be taken, without names; `spiritsafe queue "
        "adjudicate` lists what is to be settled.",
        (
            "spiritsafe adjudicate 1",
            "spiritsafe adjudicate 1 bad --reason 2",
        ),
    ),
    "request": Lesson(
        "Asks for so many samples of what a filter finds; without one, lists the requests and how far they are. "
        "`spiritsafe generate --requests` then asks the teacher for them: prompts from production first, marked synthetic "
        "ones last. --to asks at once for what every thin bucket of the coverage grid lacks.",
        ("spiritsafe request 'tier = vip' 200", "spiritsafe request --to production", "spiritsafe request"),
    ),
    "waive": Lesson(
        "Says that a bucket of the coverage grid may stay thin or missing, and why: it is on record, and the grid shows "
        "it. An empty reason takes it back.",
        ("spiritsafe waive \"tier = 'basic'\" --reason 'no such customers any more'", "spiritsafe waive"),
    ),
    "slice": Lesson(
        "A slice is a filter under a name, for everybody: slice = NAME stands for it in any filter. The contract's own "
        "slices are there too and cannot be replaced. list counts the samples of each; drop forgets a saved one.",
        (
            "spiritsafe slice save long --filter 'len(output) > 400'",
            "spiritsafe slice list --json",
            "spiritsafe slice drop long",
        ),
    ),
    "similar": Lesson(
        "Lists the samples most like a text, or like a row of the audit queue, nearest first.",
        ("spiritsafe similar 'where is my refund'", "spiritsafe similar 17 --rows 5 --json"),
    ),
    "here": Lesson(
        "Says who works on the project in a console right now, and on which screen: names, never what they judged.",
        ("spiritsafe here", "spiritsafe here --json"),
    ),
    "comment": Lesson(
        "Puts a remark on a subject, for the others to read.",
        ('spiritsafe comment audit 3 "right answer, wrong unit"',),
    ),
    "why": Lesson(
        "Records the reason of a choice that is not obvious (this teacher, that exclusion), with what was rejected, so "
        "that it stands in the decision record.",
        ('spiritsafe why "teacher: big-2" "best on the pilot" --rejected big-1',),
    ),
    "undo": Lesson(
        "Takes back your own latest act in the project and says what it was; again takes back the one before. What "
        "was locked, frozen or decided is never undone.",
        ("spiritsafe undo",),
    ),
    "redo": Lesson(
        "Does again what your last undo took back, unless you have judged or written something since.",
        ("spiritsafe redo",),
    ),
    "report": Lesson(
        "Prints what the newest run of a stage found: the evaluation, the gate, the coverage grid, or the list of "
        "runs; with audit every locked plan and how it stands, with agreement how far reviewers agree and what each "
        "of them judged.",
        (
            "spiritsafe report gate --json",
            "spiritsafe report agreement --json",
            "spiritsafe report coverage --markdown",
        ),
    ),
    "take": Lesson(
        "Don't distil: puts on record, in your name, that a baseline meets every bar of the contract and is taken as it "
        "is. That ends the project; whoever asks the teacher all the same gives a reason.",
        ('spiritsafe take label_names --why "as good as asked, and free"',),
    ),
    "sign": Lesson(
        "Puts your name to an outcome for a student as the newest evaluation scored it. The team's standards may want "
        "several names before a student ships; a new evaluation wants them anew.",
        ('spiritsafe sign ship --note "read forty of its errors"', "spiritsafe sign kill --student small"),
    ),
    "decide": Lesson(
        "Records ship, iterate or kill with your reason and, by hash, all evidence there is. ship is refused while a "
        "bar does not pass, or an item of the team's review checklist has no answer (--checked, or t in gd).",
        (
            'spiritsafe decide iterate --why "two slices are short of prompts"',
            "spiritsafe decide ship --why 'all bars pass' --checked 'error samples read by the owner=40, none severe'",
        ),
    ),
    "export": Lesson(
        "Writes the newest decision record as JSON (for verify) and as Markdown (for people).",
        ("spiritsafe export", "spiritsafe export --to records"),
    ),
    "verify": Lesson(
        "Without a file it checks the store: the chain of events, every act, every row against the hash of its run. "
        "With a decision record (the JSON that export writes) it recomputes every number in it. Exit 1 where anything "
        "differs.",
        ("spiritsafe verify", "spiritsafe verify records/desk-iterate-0f3a.json"),
    ),
    "sql": Lesson(
        "Asks one SELECT of your own, in DuckDB's SQL. It can read everything and write nothing: anything else is "
        f"refused.\n\n{VIEWS}",
        (
            'spiritsafe sql "select model, count(*) from outputs group by all"',
            "spiritsafe sql \"select actor, verdict, count(*) from current_verdict where project = 'gsm8k' group by all\"",
            'spiritsafe sql "select seq, kind, actor from event order by seq desc" --limit 20 --json',
        ),
    ),
    "serve": Lesson(
        "Holds the store open in the foreground until ctrl+c. Nobody needs it on a store of one's own; on a shared one "
        "its owner runs this, or has systemd run it, so that others can work while the owner is away.",
        ("spiritsafe serve", "spiritsafe serve /srv/team.duckdb"),
    ),
    "status": Lesson(
        "Says what the hub holds: the store and its size (with what is still in the log), events, version and process, "
        "and who you are to it.",
        ("spiritsafe status", "spiritsafe status --json"),
    ),
    "backup": Lesson(
        "Copies the store into one file while everybody works on, and then reads the copy: that its chain is whole and "
        "ends where the hub said. The copy holds every act that was acknowledged before the command began. It is a "
        "store itself: `spiritsafe --store COPY verify` looks at it; to restore it, stop the hub, put the copy in the store's "
        "place and remove the .wal and .head files beside it (.head is how a store notices that it lost events). "
        "Only the owner makes one, for it holds what blind queues hide.",
        (
            "spiritsafe backup /backup/desk.duckdb",
            "spiritsafe backup desk.duckdb --force --no-check",
        ),
    ),
    "stop": Lesson(
        "Asks the hub to write everything out and leave. The next command starts one again; use it before copying or "
        "moving the file, and after an upgrade.",
        ("spiritsafe stop",),
    ),
    "whoami": Lesson(
        "Says who the hub takes you for: the account that the kernel names, the name claimed by --as, and your role in "
        "this store. Acts are signed with this.",
        ("spiritsafe whoami", "spiritsafe --as ada whoami"),
    ),
    "doctor": Lesson(
        "Looks at everything spiritsafe stands on: versions and extras, terminal and tmux, the store and its hub, what "
        "each stage still misses. Each line is ok, a warning or a problem, with what to do. It starts no hub and "
        "writes nothing; --start starts your own store's hub to look inside. Exit 1 where there is a problem.",
        ("spiritsafe doctor", "spiritsafe doctor --start", "spiritsafe doctor --json"),
    ),
    "completion": Lesson(
        "Prints a script that makes your shell complete commands and options.\n\n"
        "  bash   mkdir -p ~/.local/share/bash-completion/completions\n"
        "         spiritsafe completion bash > ~/.local/share/bash-completion/completions/spiritsafe\n"
        "         (without the package bash-completion: put it anywhere, and source it in ~/.bashrc)\n"
        "  zsh    mkdir -p ~/.zfunc; spiritsafe completion zsh > ~/.zfunc/_spiritsafe\n"
        "         in ~/.zshrc, before compinit: fpath+=(~/.zfunc)\n"
        "  tcsh   spiritsafe completion tcsh > ~/.spiritsafe.csh; in ~/.tcshrc: source ~/.spiritsafe.csh\n"
        "  fish   spiritsafe completion fish > ~/.config/fish/completions/spiritsafe.fish\n\n"
        "It takes effect in the next shell. After an upgrade write it anew.",
        (
            "spiritsafe completion bash > ~/.local/share/bash-completion/completions/spiritsafe",
            "spiritsafe completion zsh > ~/.zfunc/_spiritsafe",
        ),
    ),
}
