"""What `check`, `hint` and `summary` say, whatever an answer does; comparisons, progress, the limit of time.

The answers are tried on a small exercise declared here, so that each trouble stands alone; what needs a real
kernel runs in one.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from gennet import exercises
from gennet.exercises import compare, given, limits, progress, stored
from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake
from gennet.exercises.diagnosis import diagnose
from gennet.exercises.given import Given

# ------------------------------------------------------------------------------- an exercise to try things on


def stretch(x, factor=2.0):
    """Return x (n,) times a factor, and the number of entries that are not zero."""
    return x * factor, np.count_nonzero(x)


def to_stretch(rng):
    yield np.array([1.0, -2, 0]), 3.0
    yield (np.array([4.0, 0.5]),)
    yield rng.normal(size=40), -1.5


@mistake("You divide. Multiply by the factor.", seen_in="stretched")
def divided(x, factor=2.0):
    return x / factor, 0


@mistake("You count the zeros. Count the others.", seen_in="count")
def zeros_counted(x, factor=2.0):
    return x, np.count_nonzero(x == 0)


@mistake("You leave out the last entry; its index is -1, but a slice x[:-1] ends before it.")
def last_left_out(x, factor=2.0):
    return x[:-1] * factor, np.count_nonzero(x)


def tidy(params, scale):
    """Return the parameters and their sum, scaled."""
    return {"W": [W * scale for W in params["W"]], "t": params["t"] * scale}, sum(
        W.sum() for W in params["W"]
    )


def to_tidy(rng):
    for sizes in ([2, 3], [1, 4, 2]):
        yield {"W": [rng.normal(size=(n, 2)) for n in sizes], "t": rng.normal(size=3)}, 0.5


@mistake("Only the matrices are scaled. Scale t as well.", seen_in="params")
def t_forgotten(params, scale):
    return {"W": [W * scale for W in params["W"]], "t": params["t"]}, 0.0


SET = ProblemSet(
    name="99_trial",
    title="Trial",
    opening="A set for tests.",
    exercises=(
        Exercise(
            id="T1",
            title="Stretch",
            mirrors="nothing",
            purpose="to be tested",
            minutes=1,
            statement="Stretch.",
            functions=(
                Function(
                    stretch,
                    2,
                    (Output("stretched", "(n,)"), Output("count", "one whole number")),
                    to_stretch,
                    "It is stretched.",
                    ("Use *.", "Use np.count_nonzero."),
                    (divided, zeros_counted, last_left_out),
                    (),
                ),
                Function(
                    tidy,
                    3,
                    (Output("params", "as given"), Output("total", "a number")),
                    to_tidy,
                    "All scaled.",
                    ("Go through the dict.",),
                    (t_forgotten,),
                    (),
                ),
            ),
            derivation=Derivation("Why?", ((1, "because"),)),
        ),
    ),
)
MADE = SET.stored(7)
STRETCH, TIDY = MADE.exercises[0].questions


@pytest.fixture(autouse=True)
def trial(monkeypatch):
    """The trial set is the only one; no progress is kept, and none is left over from another test."""
    monkeypatch.setattr(exercises, "all_sets", lambda: {"99": MADE})
    monkeypatch.setenv("GENNET_HOME", "off")
    for memory in (progress._session, progress._said, exercises._failed_inputs, exercises._hints_given):
        memory.clear()


def said(capsys, *answers) -> str:
    exercises.check("T1", *answers)
    return capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ verdicts


def test_right_answer_passes_with_a_sentence(capsys):
    assert said(capsys, stretch) == "T1 stretch: passed.\n  It is stretched.\n"


def no_return(x, factor=2.0):
    x * factor


def no_body(x, factor=2.0): ...


def not_implemented(x, factor=2.0):
    raise NotImplementedError


def not_implemented_by_a_library(x, factor=2.0):
    raise NotImplementedError("not for this kind of tensor")


@pytest.mark.parametrize("answer", [no_body, not_implemented, lambda x, factor=2.0: None])
def test_stub_is_not_attempted(capsys, answer):
    assert said(capsys, answer) == "T1 stretch: not attempted yet.\n"


def test_forgotten_return_is_no_stub(capsys):
    assert "It returns None. Does it end with `return`" in said(capsys, no_return)


def returns_a_constant(x, factor=2.0):
    return 1


def test_constant_is_an_attempt(capsys):
    assert "It returns the number 1; expected are 2 results: stretched, count." in said(
        capsys, returns_a_constant
    )


def helper(x):
    return x / np.zeros(7)


def raises_in_a_helper(x, factor=2.0):
    return helper(x), 0


def raises_in_numpy(x, factor=2.0):
    return np.linalg.inv(x), 0


class Silent(Exception):
    def __str__(self):
        raise ValueError


def raises_silently(x, factor=2.0):
    raise Silent


def exits(x, factor=2.0):
    sys.exit("bye")


@pytest.mark.parametrize(
    ("answer", "what", "line"),
    [
        (raises_in_a_helper, "It raised ValueError: operands could not", "return x / np.zeros(7)"),
        (raises_in_numpy, "It raised LinAlgError: ", "return np.linalg.inv(x), 0"),
        (raises_silently, "It raised Silent\n", "raise Silent"),
        (not_implemented_by_a_library, "It raised NotImplementedError: not for", "raise NotImpl"),
        (exits, "It raised SystemExit: bye", 'sys.exit("bye")'),
        (lambda x, factor=2.0: undefined, "It raised NameError: name 'undefined'", "undefined"),  # noqa: F821
    ],
)
def test_exception_is_shown_with_the_answers_own_line(capsys, answer, what, line):
    words = said(capsys, answer)
    assert what in words and line in words and "Input 1 of 3" in words
    assert "gennet" not in words and "Traceback" not in words and "site-packages" not in words


def recurses(x, factor=2.0):
    return recurses(x, factor)


def test_endless_recursion_is_an_exception(capsys):
    assert "It raised RecursionError" in said(capsys, recurses)


def changes_x(x, factor=2.0):
    x *= factor
    return x, np.count_nonzero(x)


def changes_x_through_torch(x, factor=2.0):
    torch.from_numpy(x).mul_(factor)
    return x, np.count_nonzero(x)


def changes_a_list(params, scale):
    params["W"] = [W * scale for W in params["W"]]
    return {"W": params["W"], "t": params["t"] * scale}, sum(W.sum() for W in params["W"])


@pytest.mark.parametrize("answer", [changes_x, changes_x_through_torch])
def test_changed_input_is_noticed_even_if_the_values_are_right(capsys, answer):
    words = said(capsys, answer)
    assert "It changes its argument x, which belongs to the caller." in words


def test_changed_structure_is_noticed():
    assert diagnose(TIDY, changes_a_list).status == "modified"


def test_wrong_signature_is_said(capsys):
    assert "It takes (x), but it is called with (x, factor)." in said(capsys, lambda x: x)
    assert "It takes (x, factor, more), but" in said(capsys, lambda x, factor, more: x)
    assert "It takes (x, factor), but it is called with (x)." in said(
        capsys, lambda x, factor: stretch(x, factor)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda y, n: (y[:, None], n),
            "stretched: expected shape (3,), that is (n,); given shape (3, 1). Only axes",
        ),
        (lambda y, n: (y, [n, n]), "count: expected a single number; given shape (2,)."),
        (lambda y, n: (y[:2], n), "stretched: expected shape (3,), that is (n,); given shape (2,)"),
        (lambda y, n: (y, n, n), "It returns 3 results; expected are 2 results: stretched, count."),
        (lambda y, n: {"y": y}, "It returns a dict; expected are 2 results"),
        (lambda y, n: y[:1], "It returns 1 results; expected are 2 results"),
        (lambda y, n: "many", "It returns the text 'many'; expected"),
        (lambda y, n: (v for v in (y, n)), "It returns a generator; expected"),
        (lambda y, n: (y, None), "count is None. Is it computed, and returned?"),
        (
            lambda y, n: (y, float(n)),
            "count: expected whole numbers of an integer dtype; given dtype float64.",
        ),
        (lambda y, n: (y.astype(complex), n), "stretched: expected real numbers; given dtype complex128."),
        (lambda y, n: (y.astype(object), n), "of dtype object; expected are numbers"),
        (lambda y, n: (y.astype(str), n), "stretched: expected dtype float64; given <U"),
        (lambda y, n: (y > 0, n), "stretched: expected dtype float64; given bool."),
        (
            lambda y, n: ([[1], [1, 2]], n),
            "stretched cannot be read as an array of numbers: it is a list of 2",
        ),
        (
            lambda y, n: (np.where(y > 1, np.nan, y), n),
            "stretched: nan at [0]. Is something divided by zero?",
        ),
        (lambda y, n: (y / 0.0, n), "stretched: inf at [0]."),
        (
            lambda y, n: ((y + 0.4).astype(int), n),
            "stretched: expected dtype float64; given int64. Were values cut",
        ),
        (lambda y, n: (y + 1, n), "expected = [ 3. -6.  0.]\n    given    = [ 4. -5.  1.]"),
        (lambda y, n: (y, n + 1), "count: expected 2, given 3."),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_wrong_kinds_of_values_are_said_in_words(capsys, change, words):
    assert words in said(capsys, lambda x, factor=2.0: change(*stretch(x, factor)))


def test_large_arrays_are_shown_by_their_first_difference(capsys):
    def answer(x, factor=2.0):
        y = x * factor
        y[17:] += len(y) > 10
        return y, np.count_nonzero(x)

    words = said(capsys, answer)
    expected = STRETCH.cases[2].expected[0][17]
    assert f"stretched[17]: expected {expected:.6g}, given {expected + 1:.6g}." in words
    assert "Input 3 of 3:\n    x: an array of shape (40,)\n    factor = -1.5" in words
    x, factor = exercises.failed_input("T1")
    assert x.shape == (40,) and factor == -1.5
    x[:] = 0
    assert exercises.failed_input("T1")[0].any(), "each call gives a fresh copy"


def test_failed_input_of_one_argument_is_no_list(capsys):
    said(capsys, lambda x, factor=2.0: (x * factor + (len(x) == 2), np.count_nonzero(x)))
    assert exercises.failed_input("T1").tolist() == [4, 0.5]


def test_failed_input_before_any_failure_is_an_error():
    with pytest.raises(LookupError, match="no check of T1 has failed"):
        exercises.failed_input("T1")


def test_lines_are_not_too_long_for_a_notebook(capsys):
    def answer(x, factor=2.0):
        raise ValueError("a word " * 100)

    assert max(map(len, said(capsys, answer).splitlines())) <= 110


# -------------------------------------------------------------------------------------------- known mistakes


def test_mistake_is_named_before_shapes_and_differences(capsys):
    assert "You leave out the last entry" in said(
        capsys, lambda x, factor=2.0: (x[:-1] * factor, np.sum(x != 0))
    )


def test_mistake_is_seen_in_the_outputs_that_show_it(capsys):
    assert "You divide." in said(capsys, lambda x, factor=2.0: (x / factor, 17))


def test_answer_that_is_like_a_mistake_on_some_inputs_only_is_no_such_mistake(capsys):
    def answer(x, factor=2.0):
        return (x / factor, 0) if len(x) < 10 else (x * factor + 1, 0)

    words = said(capsys, answer)
    assert "You divide." not in words and "stretched differs" in words


# --------------------------------------------------------------------------------------- structures and texts


def test_structured_outputs_are_compared_by_their_parts():
    assert diagnose(TIDY, tidy).status == "passed"
    assert diagnose(TIDY, t_forgotten.answer).mistake == "t forgotten"

    def in_torch(params, scale):
        W = tuple(torch.tensor(w, requires_grad=True) * scale for w in params["W"])
        return {"t": (params["t"] * scale).tolist(), "W": W}, sum(w.sum() for w in W) / scale

    assert diagnose(TIDY, in_torch).status == "passed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {"W": p["W"]}, "params is a dict; expected is a dict with the keys 'W', 't'."),
        (lambda p: {"W": p["W"][:1], "t": p["t"]}, "params['W'] is a list of 1; expected is a list of 2."),
        (lambda p: {"W": [w[:, :1] for w in p["W"]], "t": p["t"]}, "params['W'][0]: expected shape"),
        (lambda p: {"W": [w + 1 for w in p["W"]], "t": p["t"]}, "params['W'][0] differs:"),
    ],
)
def test_wrong_structures_are_said_in_words(change, words):
    verdict = diagnose(TIDY, lambda params, scale: (change(tidy(params, scale)[0]), 0.0))
    assert words in verdict.words


def test_texts_are_compared_exactly():
    assert compare.difference(np.array("dgdg"), np.array("dgdg"), "close", None) is None
    assert compare.difference(np.array("dgdg"), np.array("ddgg"), "close", None) == ()
    assert compare.difference(np.array(1.0), np.array("ddgg"), "close", None) == ()


# ----------------------------------------------------------------------------------------------- comparisons

TABLE = np.array([[1.0, 2.0, 0.0], [3.0, -4.0, 0.0], [0.5, 0.25, 0.0]])


@pytest.mark.parametrize(
    ("same", "given", "place"),
    [
        ("close", TABLE + 1e-6, None),
        ("close", TABLE.astype(np.float32), None),
        ("close", TABLE + 1e-3 * np.diag([0, 1, 0]), (1, 1)),
        ("close", np.full((3, 3), np.nan), (0, 0)),
        ("signs", TABLE * [-1, 1, -1], None),
        ("signs", -TABLE, None),
        ("signs", np.abs(TABLE), (0, 1)),
        ("signs", TABLE[:, ::-1], (0, 0)),
        ("row signs", TABLE * [[-1], [1], [-1]], None),
        ("row signs", TABLE * [-1, 1, 1], (0, 1)),
        ("order", TABLE[[2, 0, 1]], None),
        ("order", TABLE[[2, 0, 0]], (1, 0)),
        ("order", TABLE[:, [1, 0, 2]], (0, 0)),
    ],
)
def test_comparison(same, given, place):
    found = compare.difference(TABLE, given, same, None)
    assert (found is None) == (place is None)
    if place and same in ("close", "signs", "order"):
        assert found == place


def test_order_of_numbers_is_free_but_not_how_often_each_occurs():
    assert compare.order(np.array([1, 2, 2]), np.array([2, 1, 2])) is None
    assert compare.order(np.array([1, 2, 2]), np.array([1, 1, 2])) is not None


def test_order_pairs_neighbours_that_rounding_would_sort_differently():
    rows = np.array([[1.0, 5.0], [1.0 + 1e-9, 3.0]])
    assert compare.order(rows, rows[::-1] + np.array([[1e-8, 0], [-1e-8, 0]])) is None


def test_law_accepts_other_draws_and_refuses_another_law():
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(4000, 2))
    refused = sum(compare.law(draws, rng.normal(size=(4000, 2))) is not None for _ in range(100))
    assert refused == 0
    assert compare.law(draws, rng.normal(size=(4000, 2)) * [1, 1.3]) == (0, 1)
    assert compare.law(draws, rng.normal(size=(4000, 2)) - np.array([0.2, 0])) == (0, 0)
    assert compare.law(draws, np.full((4000, 2), np.nan)) is not None
    assert compare.law(draws[:, 0], rng.exponential(size=4000) - 1) is not None


def question_of(reference, outputs, inputs) -> stored.Question:
    return Function(reference, 1, outputs, inputs, "Right.", (), (), ()).question(np.random.default_rng(0))


def centres(n):
    """Return centres in any order."""
    return np.arange(3.0 * n).reshape(n, 3)


def test_free_order_is_told_with_what_is_missing():
    asked = question_of(centres, (Output("centres", "(n, 3)", same="order"),), lambda rng: [(4,), (9,)])
    assert diagnose(asked, lambda n: centres(n)[::-1]).status == "passed"
    small = diagnose(asked, lambda n: centres(n)[::-1] + (np.arange(n) == 1)[:, None]).words
    assert "centres differs (the order is free):" in small
    large = diagnose(asked, lambda n: centres(n)[::-1] + (n > 4) * (np.arange(n) == 0)[:, None]).words
    assert "centres (the order is free): [24, 25, 26] is missing, or not there often enough." in large


def draws(n, rng):
    """Return n draws."""
    return np.random.default_rng(rng).normal(size=(n, 2)) * [1, 3]


def test_wrong_law_is_told_with_its_moments():
    asked = question_of(draws, (Output("draws", "(n, 2)", same="law"),), lambda rng: [(2000, 1)])
    assert diagnose(asked, lambda n, rng: draws(n, rng + 1)).status == "passed"
    words = diagnose(asked, lambda n, rng: draws(n, rng + 1) ** [1, 2]).words
    assert "draws[:, 1]: drawn from another distribution than expected" in words
    assert diagnose(asked, lambda n, rng: draws(n, rng + 1)[:5]).status == "shape"


# ------------------------------------------------------------------------- functions as arguments, and calls


def repeated(x, k, rounds, up, down):
    """Return x after so many rounds: k times up, then once down."""
    for _ in range(rounds):
        for _ in range(k):
            x = up(x)
        x = down(x)
    return x


def to_repeat(rng):
    for k in (1, 3):
        x = rng.normal(size=4)
        yield x, k, 2, Given("plus", step=np.ones(4)), Given("plus", step=-0.0 * x)


@mistake("You call down k times for one up. It is the other way round.", seen_in="calls")
def players_exchanged(x, k, rounds, up, down):
    return repeated(x, k, rounds, down, up)


@mistake("You stop one round too early.")
def a_round_too_few(x, k, rounds, up, down):
    return repeated(x, k, rounds - 1, up, down)


@pytest.fixture
def steps(monkeypatch) -> stored.Question:
    """A question with functions as arguments, read back from the disk."""
    monkeypatch.setitem(given.FUNCTIONS, "plus", lambda x, step: x + step)
    outputs = (Output("x", "(n,)"), Output("calls", "one a call", derived="calls"))
    known = (players_exchanged, a_round_too_few)
    function = Function(repeated, 1, outputs, to_repeat, "Right.", (), known, ())
    return function.question(np.random.default_rng(0))


def test_function_as_argument_can_be_called_like_any_other(steps):
    assert diagnose(steps, repeated).status == "passed"
    by_name = diagnose(steps, lambda x, k, rounds, up, down: repeated(x, k, rounds, lambda x: up(x=x), down))
    assert by_name.status == "passed"


def test_order_of_calls_is_seen_even_if_the_result_is_right(steps):
    def first_down(x, k, rounds, up, down):
        x = down(x)
        return repeated(x, k, rounds, up, lambda x: x)

    words = diagnose(steps, first_down).words
    assert "Call 1 of the functions it is given: expected is up, it is down." in words
    assert "expected = up, down, up, down (4 calls)\n  given    = down, up, up (3 calls)" in words
    assert "up = plus(step=array of shape (4,))" in words, "the input is shown"

    def never(x, k, rounds, up, down):
        return x + k * rounds

    words = diagnose(steps, never).words
    assert "expected is up, it is no call." in words and "given    =  (0 calls)" in words


def test_mistake_is_seen_in_the_calls(steps):
    assert diagnose(steps, players_exchanged.answer).mistake == "players exchanged"
    assert diagnose(steps, a_round_too_few.answer).mistake == "a round too few"


def median(quantile):
    """Return the median."""
    return quantile(0.5, 0.5)


def test_exception_inside_a_given_function_is_the_answers_own():
    asked = question_of(median, (Output("m", "a number"),), lambda rng: [(Given("exponential_quantile"),)])
    assert diagnose(asked, median).status == "passed"
    words = diagnose(asked, lambda quantile: quantile(0.5, None)).words
    assert "It raised TypeError: " in words and "lambda quantile: quantile(0.5, None)" in words
    words = diagnose(asked, lambda quantile: quantile(0.5)).words
    assert "It raised TypeError: exponential_quantile() missing 1 required positional argument" in words


def test_given_function_is_stored_by_its_name(steps, tmp_path, monkeypatch):
    exercise = stored.StoredExercise("T9", "Steps", [steps], 0)
    stored.write(stored.StoredSet("98", "Steps", [exercise]), tmp_path / "98_steps")
    text = (tmp_path / "98_steps.json").read_text(encoding="utf-8")
    assert '"given": "plus"' in text and "lambda" not in text
    again = stored.read(tmp_path / "98_steps").exercises[0].questions[0]
    assert diagnose(again, repeated).status == "passed"
    assert again.cases[0].arguments["up"](1.0).tolist() == [2, 2, 2, 2]
    monkeypatch.delitem(given.FUNCTIONS, "plus")
    with pytest.raises(ValueError, match="no function 'plus'; there are: exponential_quantile"):
        stored.read(tmp_path / "98_steps")


def test_failed_input_has_the_function(capsys, monkeypatch, steps):
    asked = {"98": stored.StoredSet("98", "S", [stored.StoredExercise("T9", "Steps", [steps], 0)])}
    monkeypatch.setattr(exercises, "all_sets", lambda: asked)
    exercises.check("T9", lambda x, k, rounds, up, down: x)
    assert 'x, k, rounds, up, down = failed_input("T9")' in capsys.readouterr().out
    assert exercises.failed_input("T9")[3](0.0).tolist() == [1, 1, 1, 1]


def test_quantile_of_an_exponential_law():
    quantile, levels = given.exponential_quantile, np.array([0.1, 0.5, 0.9])
    assert np.allclose(1 - np.exp(-3 * quantile(levels, 1 - levels, rate=3.0)), levels)
    assert np.isclose(quantile(1.0, 1e-30), 30 * np.log(10)), "the upper tail is finite"


# ----------------------------------------------------------------------------------------- derived outputs


def factors(X, D):
    """Return basis (N, D), code (D, M) and the share of the first column."""
    basis, lengths, rest = np.linalg.svd(X, full_matrices=False)
    return basis[:, :D], (lengths[:, None] * rest)[:D], lengths[0] / lengths.sum()


def to_factorise(rng):
    for N, M in ((3, 4), (6, 5)):
        yield rng.normal(size=(N, M)), 2


@mistake("The code lacks the singular values.", seen_in="image")
def code_of_length_one(X, D):
    basis, code, share = factors(X, D)
    return basis, code / np.linalg.norm(code, axis=1, keepdims=True), share


FACTORED = (
    Output("basis", "(N, D)", same="signs"),
    Output("code", "(D, M)", same="anything"),
    Output("share", "a number"),
    Output("image", "(N, M)", derived="product"),
)


@pytest.fixture
def factoring(monkeypatch) -> stored.Question:
    monkeypatch.setitem(given.FUNCTIONS, "product", lambda basis, code: basis @ code)
    function = Function(factors, 1, FACTORED, to_factorise, "Right.", (), (code_of_length_one,), ())
    return function.question(np.random.default_rng(0))


def test_sign_that_two_results_share_is_free(factoring):
    def flipped(X, D):
        basis, code, share = factors(X, D)
        return basis * [-1, 1], (code.T * [-1, 1]).T.tolist(), torch.tensor(share)

    assert diagnose(factoring, factors).status == diagnose(factoring, flipped).status == "passed"


def test_sign_of_one_alone_is_not(factoring):
    def flipped(X, D):
        basis, code, share = factors(X, D)
        return basis, code * [[1], [-1]], share

    verdict = diagnose(factoring, flipped)
    assert verdict.status == "different" and "image differs:" in verdict.words


def test_mistake_is_seen_in_a_derived_output(factoring):
    assert diagnose(factoring, code_of_length_one.answer).mistake == "code of length one"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b, c, s: (b, c), "It returns 2 results; expected are 3 results: basis, code, share."),
        (lambda b, c, s: (b, c.T, s), "code: expected shape (2, 4), that is (D, M); given shape (4, 2)."),
        (lambda b, c, s: (b, c * np.nan, s), "code: nan at [0, 0]"),
        (lambda b, c, s: (b, None, s), "code is None."),
        (lambda b, c, s: (b, c.astype(complex), s), "code: expected real numbers"),
        (lambda b, c, s: (b, c.astype(str), s), "code: expected dtype float64"),
        (lambda b, c, s: (b, {"c": c}, s), "code is a dict of dtype object"),
    ],
)
def test_what_is_wrong_with_a_free_result_is_said_before_it_is_used(factoring, change, words):
    assert words in diagnose(factoring, lambda X, D: change(*factors(X, D))).words


def below(energies, rate):
    """Return a threshold below which this share of the energies lies."""
    return np.quantile(energies, rate)


def test_any_threshold_between_two_values_is_right(monkeypatch):
    monkeypatch.setitem(given.FUNCTIONS, "share_below", lambda tau, energies: np.mean(energies < tau))
    outputs = (
        Output("tau", "a number", same="anything"),
        Output("share", "a number", tolerance=1 / 40, derived="share_below"),
    )
    asked = question_of(below, outputs, lambda rng: [(rng.exponential(size=41), 0.9)])
    for method in ("linear", "higher", "nearest", "weibull"):
        assert diagnose(asked, lambda e, rate, method=method: np.quantile(e, rate, method=method)).status == (
            "passed"
        )
    words = diagnose(asked, lambda energies, rate: np.quantile(energies, 0.8)).words
    assert "share: expected 0.878049, given 0.780488." in words


def leading(X, H):
    """Return the leading directions, mixed in any way."""
    return np.linalg.svd(X)[0][:, :H] @ [[1, 2], [0, 1]]


def test_projector_compares_spaces():
    outputs = (
        Output("decoder", "(N, H)", same="anything"),
        Output("projector", "(N, N)", derived="projector"),
    )
    asked = question_of(leading, outputs, lambda rng: [(rng.normal(size=(5, 9)), 2)])
    assert diagnose(asked, lambda X, H: np.linalg.svd(X)[0][:, :H] * [1, -7]).status == "passed"
    assert "projector" in diagnose(asked, lambda X, H: np.linalg.svd(X)[0][:, 1 : H + 1]).words
    verdict = diagnose(asked, lambda X, H: np.full((5, 2), "a"))
    assert verdict.status == "dtype"


def test_output_that_cannot_be_derived_is_said(monkeypatch):
    monkeypatch.setitem(given.FUNCTIONS, "inverse", lambda A: np.linalg.inv(A))
    outputs = (Output("A", "(n, n)", same="anything"), Output("inverse", "(n, n)", derived="inverse"))
    asked = question_of(lambda n: np.eye(n) + 1, outputs, lambda rng: [(2,), (3,)])
    words = diagnose(asked, lambda n: np.ones((n, n))).words
    assert "inverse cannot be worked out from A: LinAlgError: Singular matrix." in words


def test_mistake_is_not_looked_for_in_a_monstrous_result(factoring):
    started = time.monotonic()
    verdict = diagnose(factoring, lambda X, D: (np.zeros((1 << 20, 2)), np.zeros((2, 1 << 20)), 1.0))
    assert verdict.status == "shape" and time.monotonic() - started < 2


# ---------------------------------------------------------------------------------------- how check is called


def test_functions_are_recognised_by_name_else_by_place(capsys):
    assert said(capsys, tidy, stretch).count("passed.") == 2
    assert (
        said(capsys, lambda x, factor=2.0: stretch(x, factor), lambda p, s: tidy(p, s)).count("passed.") == 2
    )
    assert said(capsys, tidy, lambda x, factor=2.0: stretch(x, factor)).count("passed.") == 2
    assert said(capsys, tidy).splitlines()[0] == "T1 tidy: passed."


@pytest.mark.parametrize("answers", [(), (stretch(np.ones(2)),), (3, stretch)])
def test_something_else_than_a_function_is_said(capsys, answers):
    assert said(capsys, *answers) == (
        'Give the function itself, without brackets: check("T1", stretch, tidy)\n'
    )


def test_too_many_functions_are_said(capsys):
    assert said(capsys, *[returns_a_constant] * 3) == "T1 asks for stretch, tidy; 3 functions were given.\n"


def test_unknown_exercise_is_said(capsys):
    exercises.check("T9", stretch)
    exercises.hint("T9")
    assert capsys.readouterr().out == "There is no exercise 'T9'. There are: T1.\n" * 2
    exercises.summary("1")
    assert capsys.readouterr().out == "There is no problem set '1'. There are: '99'.\n"


def test_hints_come_one_by_one_for_what_is_still_open(capsys):
    for _ in range(3):
        exercises.hint("T1")
    first, second, again = capsys.readouterr().out.split("T1 stretch, hint ")[1:]
    assert first == "1 of 2:\n  Use *.\n" and second.startswith("2 of 2:\n  Use np.count_nonzero.\n")
    assert "Once more from the first" in second and again == first
    exercises.check("T1", stretch)
    exercises.hint("T1")
    assert capsys.readouterr().out.endswith("T1 tidy, hint 1 of 1:\n  Go through the dict.\n")
    exercises.check("T1", tidy)
    exercises.hint("T1")
    assert capsys.readouterr().out.endswith("T1 is passed: no hint is needed.\n")


def test_summary_counts_points_and_says_what_is_open(capsys):
    def shown():
        exercises.summary("99")
        return capsys.readouterr().out

    assert shown() == (
        "Trial: 0 of 1 exercises passed, 0 of 5 points\n"
        "  T1   Stretch   not attempted   0 of 5 points\n"
        "Derivations are read by a person and counted apart: T1 (1 points)\n"
    )
    said(capsys, no_body)
    assert "not attempted   0 of 5" in shown()
    said(capsys, returns_a_constant)
    assert "not yet   0 of 5" in shown()
    said(capsys, tidy)
    assert "1 of 2 functions passed   3 of 5" in shown()
    said(capsys, stretch)
    assert shown().startswith(
        "Trial: 1 of 1 exercises passed, 5 of 5 points\n  T1   Stretch   passed   5 of 5"
    )
    said(capsys, returns_a_constant)
    assert "passed   5 of 5" in shown(), "what was passed once stays passed"


# --------------------------------------------------------------------------------------------- the time limit


def loops(x, factor=2.0):
    while True:
        pass


def loops_and_catches(x, factor=2.0):
    while True:
        try:
            factor += 1
        except BaseException:
            factor = 0


def sleeps(x, factor=2.0):
    time.sleep(60)


@pytest.mark.parametrize("answer", [loops, loops_and_catches, sleeps])
def test_endless_answer_is_stopped_within_two_seconds(capsys, answer):
    started = time.monotonic()
    words = said(capsys, answer, tidy)
    assert time.monotonic() - started < 2
    assert f"It took too long and was stopped\n  in line {answer.__code__.co_firstlineno}"[:40] in words
    assert "T1 tidy: not checked, the time was used up." in words
    assert "T1 tidy: passed." in said(capsys, tidy), "life goes on"


@pytest.mark.parametrize("answer", [loops, loops_and_catches])
def test_endless_answer_is_stopped_in_another_thread_too(answer):
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(diagnose(STRETCH, answer)), daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert [verdict.status for verdict in verdicts] == ["too long"]


def test_check_is_quick(capsys):
    started = time.monotonic()
    said(capsys, stretch, tidy)
    assert time.monotonic() - started < 2


def test_imports_do_not_count(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("import time; time.sleep(0.6)")
    monkeypatch.syspath_prepend(tmp_path)

    def answer(x, factor=2.0):
        import slow_to_import  # noqa: F401

        return stretch(x, factor)

    assert diagnose(STRETCH, answer, limits.Clock(0.3)).status == "passed"


def test_all_calls_share_one_clock():
    def answer(x, factor=2.0):
        time.sleep(0.15)
        return stretch(x, factor)

    assert diagnose(STRETCH, answer, limits.Clock(5)).status == "passed"
    verdict = diagnose(STRETCH, answer, limits.Clock(0.2))
    assert verdict.status == "too long" and verdict.number == 1


@pytest.mark.parametrize("in_thread", [False, True])
def test_alarm_that_rings_at_the_last_moment_does_no_harm(monkeypatch, in_thread):
    """Calls that end when their time does: each either returns or is stopped, and nothing escapes later."""
    monkeypatch.setattr(limits, "TICK", 0.0005)
    outcomes = []

    def work():
        for _ in range(300):
            try:
                limits.call(lambda: sum(n for n in range(12000)), [], limits.Clock(0.0005))
                outcomes.append("returned")
            except limits.TooLong:
                outcomes.append("stopped")
        outcomes.append(sum(range(10)))

    if in_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    assert len(outcomes) == 301 and outcomes[-1] == 45


def test_kernel_lives_on_after_an_endless_answer(monkeypatch):
    cells = [
        "from gennet.exercises import check, summary",
        "def eigenspace_fit(W, D):\n    n = 0\n    while True:\n        n += 1",
        'check("E1", eigenspace_fit)',
        "def eigenspace_fit(W, D):\n    return W.sum(axis=7)",
        'check("E1", eigenspace_fit)',
        "print(6 * 7)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert "It took too long and was stopped" in outputs[2]
    assert "of eigenspace_fit:\n      n += 1" in outputs[2] or "while True:" in outputs[2]
    assert "It raised AxisError" in outputs[4]
    assert "in line 2 of eigenspace_fit:\n      return W.sum(axis=7)" in outputs[4]
    assert outputs[5] == "42\n"


# --------------------------------------------------------------------------------------------------- progress


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def restart() -> None:
    """Forget what a kernel forgets when it is restarted."""
    progress._session.clear()
    progress._said.clear()


def state(capsys) -> str:
    exercises.summary("99")
    return capsys.readouterr().out


def test_progress_survives_a_restart(capsys, home):
    said(capsys, returns_a_constant, tidy)
    said(capsys, no_body)
    entries = json.loads((home / "progress.json").read_text())["exercises"]
    assert entries["T1"]["attempts"] == 1 and list(entries["T1"]["passed"]) == ["tidy"]
    first_time = entries["T1"]["passed"]["tidy"]
    restart()
    assert "1 of 2 functions passed   3 of 5" in state(capsys)
    said(capsys, stretch, tidy)
    entries = json.loads((home / "progress.json").read_text())["exercises"]
    assert entries["T1"]["attempts"] == 2 and entries["T1"]["passed"]["tidy"] == first_time
    assert [file.name for file in home.iterdir()] == ["progress.json"]


def test_two_kernels_do_not_undo_each_other(capsys, home):
    said(capsys, stretch)
    kernel = {name: dict(entry) for name, entry in progress._session.items()}
    restart()  # another kernel
    said(capsys, tidy)
    restart()
    progress._session.update(kernel)  # back in the first
    said(capsys, returns_a_constant)
    assert "passed   5 of 5" in state(capsys)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"exercises": {"T1": 3}}', b"\xff\xfe", b"null"])
def test_damaged_file_is_put_aside_and_that_is_said(capsys, home, content):
    home.mkdir()
    (home / "progress.json").write_bytes(content)
    words = said(capsys, stretch)
    assert "is damaged. It was kept as progress-damaged-" in words and "T1 stretch: passed." in words
    (kept,) = home.glob("progress-damaged-*")
    assert kept.read_bytes() == content
    restart()
    assert "2 of 5 points" in state(capsys)


def test_folder_that_cannot_be_written_is_said_once(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GENNET_HOME", str(tmp_path / "file"))
    words = said(capsys, stretch)
    assert "Your progress cannot be saved in" in words and "T1 stretch: passed." in words
    assert "cannot" not in said(capsys, tidy)
    assert "passed   5 of 5" in state(capsys), "this kernel knows all the same"


def test_file_that_cannot_be_read_is_left_alone(capsys, home):
    (home / "progress.json").mkdir(parents=True)
    words = said(capsys, stretch)
    assert "Your earlier progress cannot be read" in words and "T1 stretch: passed." in words
    assert (home / "progress.json").is_dir()


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write everywhere")
def test_read_only_folder_is_said(capsys, home):
    home.mkdir()
    (home / "progress.json").write_text('{"exercises": {}}')
    home.chmod(0o500)
    assert "Your progress cannot be saved" in said(capsys, stretch)


def test_progress_lies_beside_the_chapters_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("GENNET_HOME")
    assert progress.path() == Path(__file__).resolve().parent.parent / ".gennet/progress.json"
    monkeypatch.setattr(progress, "ROOT", Path("/nowhere"))
    assert progress.path() == Path.home() / ".gennet/progress.json"
    monkeypatch.setenv("GENNET_HOME", "~/mine")
    assert progress.path() == Path.home() / "mine/progress.json"
    monkeypatch.setenv("GENNET_HOME", "off")
    assert progress.path() is None


def test_solutions_are_nobodys_progress(monkeypatch, tmp_path):
    monkeypatch.setenv("GENNET_HOME", str(tmp_path))
    monkeypatch.setattr(progress, "ROOT", tmp_path)
    (tmp_path / "solutions").mkdir()
    monkeypatch.chdir(tmp_path)
    assert progress.path() == tmp_path / "progress.json"
    monkeypatch.chdir(tmp_path / "solutions")
    assert progress.path() is None


# ---------------------------------------------------------------------------------------------- stored cases


def test_stored_set_comes_back_as_it_was(tmp_path):
    stored.write(MADE, tmp_path / "99_trial")
    again = stored.read(tmp_path / "99_trial")
    words, arrays = stored.packed(MADE)
    words_again, arrays_again = stored.packed(again)
    assert words == words_again and arrays.keys() == arrays_again.keys()
    assert all(np.array_equal(arrays[name], arrays_again[name]) for name in arrays)
    assert again.exercises[0].questions[1].cases[0].arguments["scale"] == 0.5
    before = (tmp_path / "99_trial.npz").read_bytes()
    stored.write(MADE, tmp_path / "99_trial")
    assert (tmp_path / "99_trial.npz").read_bytes() == before, "byte for byte"


def test_pickles_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="pickle"):
        np.savez(tmp_path / "x.npz", allow_pickle=False, x=np.array([{}]))
    stored.write(MADE, tmp_path / "99_trial")
    with np.load(tmp_path / "99_trial.npz") as arrays:
        content = dict(arrays)
    content[next(iter(content))] = np.array([print])
    np.savez(tmp_path / "99_trial.npz", allow_pickle=True, **content)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        stored.read(tmp_path / "99_trial")


def test_import_is_light():
    """The first check of a session must not wait for PyTorch, SciPy or a plotting library."""
    program = "import sys, gennet.exercises; print(*{'torch', 'scipy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
