"""One grammar: what it reads, what it refuses, and that its SQL and its Python say the same."""

from __future__ import annotations

import json
import string

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from store import grammar as g
from store import grammar_tree as tree
from store.errors import GrammarError

COLUMNS = {
    "text": g.Column("t.text", "text"),
    "reference": g.Column("t.reference", "text"),
    "n": g.Column("t.n", "number"),
    "flagged": g.Column("t.flagged", "bool"),
}
KEYS = ["tier", "score", "weird key", "a.b", "x/y~z", "*", ""]


# --- random trees -------------------------------------------------------------------------------------------
texts = st.one_of(
    st.sampled_from(["", "vip", "VIP", "No", "0", "9", "10", " 7", "1e3", "-2.5", "1e999", "İΣß", "a\x00b"]),
    st.text(alphabet="aB1.- é\U0001f600'\"?%_\n", max_size=6),
)
numbers = st.one_of(
    st.integers(-20, 20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, 1e308, -0.5]),
)
words = st.sampled_from(["vip", "gpt-4o", "text", "n", "9x", "example.com", "1.5.2", "no"])
json_names = st.sampled_from(KEYS).map(lambda key: tree.Name(key, meta=True))
text_names = st.sampled_from(["text", "reference"]).map(tree.Name) | json_names
number_names = st.sampled_from(["n", "text", "reference"]).map(tree.Name) | json_names
literals = texts.map(tree.Literal)
patterns = texts.filter(bool).map(tree.Literal)
text_exprs = st.recursive(
    text_names | text_names | literals, lambda x: x.map(lambda e: tree.Call("lower", (e,))), max_leaves=3
)


def _grow(inner: st.SearchStrategy[tree.Expr]) -> st.SearchStrategy[tree.Expr]:
    one = st.sampled_from(["abs", "round", "number"])
    return st.one_of(
        st.builds(tree.Arith, st.sampled_from("+-*/"), inner, inner),
        inner.map(tree.Negative).filter(lambda e: not isinstance(e.operand, tree.Literal)),
        st.builds(lambda f, a: tree.Call(f, (a,)), one, inner),
        st.builds(lambda f, a, b: tree.Call(f, (a, b)), st.sampled_from(["min", "max"]), inner, inner),
    )


number_exprs = st.recursive(
    st.one_of(
        number_names,
        numbers.map(tree.Literal),
        st.builds(lambda f, a: tree.Call(f, (a,)), st.sampled_from(["len", "words"]), text_exprs),
        st.builds(lambda a, b: tree.Call("count", (a, b)), text_exprs, patterns),
    ),
    _grow,
    max_leaves=6,
)
booleans = st.sampled_from([tree.Literal(True), tree.Literal(False), tree.Name("flagged")])
values = st.one_of(text_exprs, number_exprs, booleans)
rights = st.one_of(values, words.map(tree.Word), json_names)
orders = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
regexes = st.sampled_from(["^v", "b$", "[0-9]+", r"\w\s", "(?i)VIP", ".", "a{2,3}|é"]).map(tree.Literal)
simple = st.one_of(
    values,
    st.builds(tree.Compare, orders, values, rights),
    st.builds(tree.Compare, st.just("~"), text_exprs, text_exprs | words.map(tree.Word)),
    st.builds(tree.Compare, st.just("matches"), text_exprs, regexes),
    st.builds(tree.In, values, st.lists(rights, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(tree.Between, values, rights, rights, st.booleans()),
    st.builds(tree.IsNull, values, st.booleans()),
    st.builds(
        lambda f, a, b: tree.Call(f, (a, b)), st.sampled_from(["starts", "ends"]), text_exprs, patterns
    ),
)
exprs = st.recursive(
    simple,
    lambda inner: st.one_of(
        inner.map(tree.Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: tree.And(tuple(items))),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: tree.Or(tuple(items))),
    ),
    max_leaves=5,
)
cells = st.fixed_dictionaries(
    {
        "text": texts,
        "reference": st.none() | texts,
        "n": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 9.0, -2.5]),
        "flagged": st.none() | st.booleans(),
    }
)
json_scalars = st.one_of(
    st.none(), st.booleans(), texts, st.integers(-(2**63), 2**64 - 1), st.integers(-9, 9),
    st.floats(allow_nan=False, allow_infinity=False), st.just([1, "a"]),
)  # fmt: skip
metadata = st.dictionaries(st.sampled_from(KEYS), json_scalars)
rows = st.tuples(cells, metadata)


@pytest.fixture(scope="module")
def duck():
    connection = duckdb.connect(config={"threads": 1})
    yield connection
    connection.close()


def ask(duck, sql, params, given_rows):
    from store.canonical import canonical_text

    table = pa.table(
        {
            "text": pa.array([r["text"] for r, _ in given_rows], pa.string()),
            "reference": pa.array([r["reference"] for r, _ in given_rows], pa.string()),
            "n": pa.array([r["n"] for r, _ in given_rows], pa.float64()),
            "flagged": pa.array([r["flagged"] for r, _ in given_rows], pa.bool_()),
            "metadata": pa.array([canonical_text(m) for _, m in given_rows], pa.string()),
        }
    )
    duck.register("t", table)
    return [row[0] for row in duck.execute(f"SELECT {sql} FROM t", params).fetchall()]  # noqa: S608 - no data in it


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(exprs, st.lists(rows, min_size=1, max_size=4))
def test_sql_and_python_agree_on_every_expression_and_row(duck, expr, given_rows):
    try:
        sql, params = g.compile_sql(expr, COLUMNS.get, "t.metadata")
        value_sql, value_params, _ = g.compile_value(expr, COLUMNS.get, "t.metadata")
    except GrammarError:
        assume(False)
    assert ask(duck, sql, params, given_rows) == [g.holds(expr, *row) for row in given_rows]
    assert ask(duck, value_sql, value_params, given_rows) == [g.evaluate(expr, *row) for row in given_rows]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(exprs)
def test_what_is_printed_reads_back_the_same(expr):
    assert g.parse(g.to_text(expr)) == expr


SALAD = ["and", "or", "not", "(", ")", "x", "=", "in", ",", "is", "null", "'a'", "1", "-", "len", "~"]
SALAD += ["between", "matches", "true", '"q"', "meta.", "count"]
token_salad = st.lists(st.sampled_from(SALAD), max_size=12).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=string.printable + "é'\"", max_size=40) | token_salad)
def test_any_text_is_read_or_refused_with_its_column(text):
    try:
        expr = g.parse(text)
    except GrammarError as refused:
        place, hint = refused.column, refused.todo
    else:
        place, hint = 0, "^"
        assert g.parse(g.to_text(expr)) == expr
    assert 0 <= place <= len(text)
    assert "^" in hint


# --- by example ---------------------------------------------------------------------------------------------
ROW = {
    "text": "Where is my card?",
    "reference": "48/2 = <<48/2=24>>24\n<<1+1=2>>",
    "n": 450.0,
    "flagged": False,
}
META = {
    "tier": "vip",
    "score": 0.75,
    "vip": True,
    "age": "17",
    "weird key": 3,
    "nothing": None,
    "gpt": "gpt-4o",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("vip and n > 400 and not flagged", True),
        ("tier = vip", True),
        ("tier != gold and tier in (gold, vip) and tier not in (gold)", True),
        ("gpt = gpt-4o", True),
        ("text ~ CARD", True),
        ("text matches 'my\\s+card'", True),
        ("score between 0.5 and 1", True),
        ("score not between 0.5 and 1", False),
        ("age < 100 and age > 9", True),  # as numbers, though the file had text
        ("meta.age > meta.score", True),
        ('"weird key" = 3 and meta."weird key" = 3', True),
        ("nothing is null and missing is null and tier is not null", True),
        ("missing = 1 or missing != 1 or missing in (1) or missing not in (1)", False),
        ("not missing = 1", True),
        ("1 / 0 > 0 or 1 / 0 is not null", False),
        ("min(score, missing) = 0.75", True),
        ("words(text) = 4 and len(text) = 17", True),
        ("starts(text, Where) and ends(text, '?')", True),
        ("count(reference, '<<') = 2", True),
        ("n - 1 * 2 = 448 and (n - 1) * 2 = 898 and -n < 0", True),
        ("vip = true and flagged = false", True),
        ("text = reference or text = (reference)", False),
        ("NOT flagged AND Tier IS NULL", True),
        ("round(2.5) = 3 and round(-0.5) = -1 and abs(-2) = 2 and lower(tier) = 'vip'", True),
    ],
)
def test_an_expression_means_what_it_says(duck, text, holds):
    expr = g.parse(text)
    assert g.holds(expr, ROW, META) is holds
    assert ask(duck, *g.compile_sql(expr, COLUMNS.get, "t.metadata"), [(ROW, META)]) == [holds]


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("", 0, "empty"),
        ("tier =", 6, "expected a name"),
        ("tier = vip gold", 11, "did not expect"),
        ("tier = 'vip", 7, "never closed"),
        ("tier = null", 7, "expected a name"),
        ("a < b < c", 0, "a condition is no value"),
        ("(a = b) + 1", 0, "a condition is no value"),
        ("lenn(text) > 1", 0, "no function"),
        ("count(text, other(1)) > 1", 12, "no function"),
        ("len(text, 1)", 8, "expected ')'"),
        ("count(text)", 10, "takes 2"),
        ("len(1 + 1) > 1", 4, "expected a text"),
        ("x-1 > 2", 0, "minus"),
        ("tier in ()", 9, "expected a name"),
        ("text matches '(?=x)'", 13, "not in RE2"),
        ("text matches '(a)\\1'", 13, "not in RE2"),
        ("tier not vip", 9, "expected 'in'"),
        ("a ; drop table x", 2, "cannot read"),
        ("x > 1e999", 4, "too large"),
        ("x = '\ud800'", 5, "surrogate"),
        ("(" * 10_000, 4000, "longer"),
        ("(" * 3_999, 40, "nested"),
        ("not " * 900, 160, "nested"),
        ("-" * 3_000 + "1", 40, "nested"),
        ("1" + "+1" * 1_500, 0, "nested"),
    ],
)
def test_a_refusal_points_at_the_place(text, column, says):
    with pytest.raises(GrammarError, match=says.replace("(", r"\(").replace(")", r"\)")) as refused:
        g.parse(text)
    assert refused.value.column == column


def test_the_caret_stands_below_the_column():
    with pytest.raises(GrammarError) as refused:
        g.parse("tier = vip gold")
    shown, caret = refused.value.todo.split("\n")
    assert shown[caret.index("^") - 2] == "g"


def test_a_long_and_flat_filter_is_no_deep_one(duck):
    expr = g.parse(" or ".join(f"n = {i}" for i in range(300)))
    assert ask(duck, *g.compile_sql(expr, COLUMNS.get, "t.metadata"), [({**ROW, "n": 299.0}, {})]) == [True]


def test_the_deepest_tree_allowed_compiles_and_runs(duck):
    expr = g.parse("1 < " + "(" * 35 + "n" + " / 2)" * 35 + " + n" * 40)
    assert ask(duck, *g.compile_sql(expr, COLUMNS.get, "t.metadata"), [(ROW, META)]) == [True]
    assert g.holds(expr, ROW, META)


def test_no_literal_reaches_the_sql():
    nasty = "x'); DROP TABLE t; --"
    sql, params = g.compile_sql(
        g.parse(f"meta.\"{nasty}\" = '{nasty.replace(chr(39), chr(39) * 2)}' and n > 4321"), COLUMNS.get
    )
    assert "DROP" not in sql
    assert "4321" not in sql
    assert set(params) >= {"/" + nasty, nasty, 4321.0}


@pytest.mark.parametrize("text", ["len(n) > 1", "n ~ 1", "n = 'abc'", "flagged + 1 > 2", "text matches '['"])
def test_types_that_cannot_fit_are_refused_when_the_columns_are_known(text):
    with pytest.raises(GrammarError):
        g.compile_sql(g.parse(text), COLUMNS.get)


def test_names_lists_all_that_could_be_read():
    assert g.names(g.parse("len(text) > n and meta.tier = model")) == {"text", "n", "meta.tier", "model"}


@pytest.mark.parametrize("text", ["steps", "= 1", "a-b = 1", "a > 1", "a = ", "1 = 2"])
def test_a_derived_column_needs_a_name_and_an_expression(text):
    with pytest.raises(GrammarError):
        g.parse_derived(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["tier", "text", '"weird key"', "len("]),
        ("te", ["text"]),
        ("tier ", ["=", "in (", "is null"]),
        ("tier = ", ["vip", "'very good'"]),
        ("tier = v", ["vip", "'very good'"]),
        ("tier = 'v", ["vip", "'very good'"]),
        ("tier in (vip, v", ["vip", "'very good'"]),
        ("tier not in (", ["vip"]),
        ("tier = vip ", ["and", "or"]),
        ("tier = vip and te", ["text"]),
        ("meta.tier = ", ["vip"]),
        ("not t", ["tier", "text"]),
        ("len(te", ["text"]),
        ("tier is null ", ["and"]),
    ],
)
def test_completion_offers_what_can_stand_there(text, words):
    offered = g.complete(text, len(text), ["tier", "text", "weird key"], {"tier": ["vip", "very good"]})
    assert set(words) <= set(offered)


def test_completion_looks_only_left_of_the_cursor():
    assert g.complete("ti = vip", 2, ["tier", "text"], {}) == ["tier"]
    assert json.dumps(g.complete("€€€ ' \" ;", 9, ["tier"], {})) == "[]"
