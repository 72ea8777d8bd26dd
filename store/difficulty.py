"""How hard a prompt is for the teacher, as columns of the grammar: ``uncertainty`` and ``disagreement``.

*uncertainty*: 1 - the mean probability of an answer's tokens, from the log probabilities that were stored with it (of an
answer of one token, as a label is, 1 - the probability of the label). The mean of token probabilities as a measure of
confidence: Fomicheva et al. 2020, Unsupervised quality estimation, section 3. Over several answers: their mean.
*disagreement*: of several sampled answers to one prompt the share that is not the most common one: the variation ratio
(Freeman 1965, Elementary applied statistics). Answers are compared by what stands behind their last ``####``, ``A:``,
``answer:`` or ``answer is`` (``A:`` at the beginning of a line), else whole, in any case; in a short answer blanks and
marks do not count either.
Either is null where there is nothing to tell it from: no log probabilities, fewer than two answers.
"""

from __future__ import annotations

from store.grammar import Column

OUTPUT, UNCERTAINTY, DISAGREEMENT = "output", "uncertainty", "disagreement"

_LOGPROBS = "cast(json_extract({0}.logprobs, '$.content[*].logprob') as double[])"
# Of one output. A log probability above 0 is rounding of the server's.
UNCERTAIN = f"1 - list_avg(list_transform({_LOGPROBS}, lambda x: exp(least(x, 0))))"
_END = "chr(10) || lower({0}.text)"
for _mark in ("'####'", "chr(10) || 'a:'", "'answer:'", "'answer is'"):
    _END = f"split_part({_END}, {_mark}, -1)"  # all of it, where there is no mark
SHORT = 100  # characters up to which marks and blanks are no difference: a label or a number, not a text
_PLAIN = rf"trim(regexp_replace({_END}, '[^\p{{{{L}}}}\p{{{{N}}}}.-]+', ' ', 'g'), ' .')"
ANSWER = f"case when length({_END}) <= {SHORT} then {_PLAIN} else trim({_END}) end"
VARIES = "(1 - max(n) / sum(n)::double)"  # of counts ``n`` by answer

# Of the output ``o`` of an audit queue, and of all that its model answered to the prompt.
OF_OUTPUT = {
    UNCERTAINTY: Column(f"({UNCERTAIN.format('o')})", "number"),
    DISAGREEMENT: Column(
        f"(select case when sum(n) > 1 then {VARIES} end from (select count(*) as n from output p"  # noqa: S608 - ours
        " where p.prompt_id = o.prompt_id and p.model = o.model and p.run_no in (select run_no from closed_run where"
        f" project = (select project from closed_run where run_no = o.run_no)) group by {ANSWER.format('p')}))",
        "number",
    ),
}
# Of prompts: a name, and the SQL of (prompt_id, its value) over the outputs of a project (?) and a model (?).
OF_PROMPTS = {
    OUTPUT: (
        "text",
        (
            "select prompt_id, text as output from output where output_key in (select min(o.output_key)"
            " from outputs o where o.project = ? and o.model = ? group by o.prompt_id)"
        ),
    ),
    UNCERTAINTY: (
        "number",
        (
            f"select o.prompt_id, avg({UNCERTAIN.format('o')}) as uncertainty from outputs o"  # noqa: S608 - ours
            " where o.project = ? and o.model = ? group by o.prompt_id"
        ),
    ),
    DISAGREEMENT: (
        "number",
        (
            f"select prompt_id, {VARIES} as disagreement from (select o.prompt_id, count(*) as n from outputs o"  # noqa: S608 - ours
            " where o.project = ? and o.model = ? and o.prompt_id in (select prompt_id from outputs where project = ?"
            f" and model = ? group by prompt_id having count(*) > 1) group by o.prompt_id, {ANSWER.format('o')}) group by prompt_id"
        ),
    ),
}
