"""The problem set of chapter 9: the log D trick, best replies and turns, circles in a game, soft labels.

E13 follows Yao's slides (YA12, errata S22, Y8), E14 the algorithm of Saha's slides and Karajgi's post (SA2,
KA2, KA3, erratum B1), E19 the alternation of Sayed's (68.155) (erratum S27), E22 the soft labels after
(68.175) (erratum S25). References are plain NumPy and do not use the library's `gan`, so that the two can be
compared. Left out: whole trainings, which the chapter shows, and everything with class labels, which is
chapter 10.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np
from scipy.special import expit, softmax

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake
from gennet.exercises.given import Given

F, G = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])  # the laws of the course: real, fake

# --------------------------------------------------------------------------------------------------- E13


def generator_objective(z, kind):
    """Return ln(1 - D) if saturating, ln D if non_saturating, for logits z (n,)."""
    return -np.logaddexp(0, z) if kind == "saturating" else -np.logaddexp(0, -z)


def generator_logit_grad(z, kind):
    """Return the derivatives of generator_objective(z, kind) in the logits z (n,)."""
    return -expit(z) if kind == "saturating" else expit(-z)


KINDS = ("saturating", "non_saturating")


def logits(rng):
    """Yield logits, small, large, and so large that a probability is rounded; both kinds for each."""
    some = rng.normal(size=8).round(3) * 3
    for z in (np.array([-4.0, 0, 4]), some, np.array([40.0, -40, 0.5]), np.array([-800.0, 800])):
        for kind in KINDS:
            yield z, kind


@mistake(
    "Where D is rounded to 0 or 1 you take the logarithm of 0. Do not compute D first: ln D = -ln(1 + "
    "exp(-z)) and ln(1 - D) = -ln(1 + exp(z)), and `np.logaddexp(0, z)` is ln(1 + exp(z)) for z of any size."
)
def direct_evaluation(z, kind):
    with np.errstate(all="ignore"):
        return np.log(1 - expit(z)) if kind == "saturating" else np.log(expit(z))


@mistake(
    "exp(z) overflows for large logits, and infinity divided by infinity is NaN. `np.logaddexp(0, z)` is "
    "ln(1 + exp(z)) for z of any size."
)
def overflow_in_the_objective(z, kind):
    with np.errstate(all="ignore"):
        D = np.exp(z) / (1 + np.exp(z))
        return np.log(1 - D) if kind == "saturating" else np.log(D)


@mistake(
    "These are losses, with a minus in front. Asked are the logarithms themselves, which are never positive: "
    "one of them is minimised, the other maximised."
)
def minus_the_logarithms(z, kind):
    return -generator_objective(z, kind)


@mistake("The two kinds are exchanged: the saturating objective is ln(1 - D), the other one ln D.")
def objectives_exchanged(z, kind):
    return generator_objective(-z, kind)


@mistake("The logarithm is missing: these are 1 - D and D. The game is played for their logarithms.")
def probabilities_only(z, kind):
    return expit(-z) if kind == "saturating" else expit(z)


@mistake("Your unit is the bit. Logarithms are natural in this course: use `np.log` or `np.logaddexp`.")
def objective_in_bits(z, kind):
    return generator_objective(z, kind) / np.log(2)


@mistake("You average over the samples. Return one value for each logit, shape (n,).")
def objective_averaged(z, kind):
    return generator_objective(z, kind).mean()


def objective_by_scipy(z, kind):
    from scipy.special import log_expit

    return log_expit({"saturating": -z, "non_saturating": z}[kind])


def objective_in_a_loop(z, kind):
    from math import exp, log1p

    s = 1 if kind == "saturating" else -1
    return [-max(s * x, 0.0) - log1p(exp(-abs(x))) for x in z.tolist()]


def objective_in_torch(z, kind):
    import torch

    z = torch.tensor(z, dtype=torch.float32)
    return torch.nn.functional.logsigmoid(-z if kind == "saturating" else z)


@mistake(
    "This is the derivative in D. What training moves is the logit z: multiply by the derivative of the "
    "sigmoid, D (1 - D). Only then does one see which slope dies out."
)
def derivative_in_D(z, kind):
    with np.errstate(all="ignore"):
        D = expit(z)
        return -1 / (1 - D) if kind == "saturating" else 1 / D


@mistake(
    "Both slopes are positive here: they are those towards credibility. ln(1 - D) *falls* as z grows, "
    "because the generator minimises it; asked is its derivative as it stands."
)
def both_upwards(z, kind):
    return expit(z) if kind == "saturating" else expit(-z)


@mistake(
    "Both slopes are negative: the second is that of the loss -ln D. Asked is the derivative of ln D itself, "
    "which the generator maximises."
)
def both_downwards(z, kind):
    return -expit(z) if kind == "saturating" else -expit(-z)


@mistake(
    "Both signs are wrong: with these slopes the generator would make its fakes less credible. ln(1 - D) "
    "falls as z grows, ln D rises."
)
def both_signs_wrong(z, kind):
    return -generator_logit_grad(z, kind)


@mistake(
    "The two kinds are exchanged. The slope of ln(1 - D) has the size D: it *dies out* where fakes are found "
    "out, hence its name."
)
def slopes_exchanged(z, kind):
    return -expit(-z) if kind == "saturating" else expit(z)


@mistake(
    "This is the slope of 1 - D or of D. The logarithm is missing: divide by 1 - D, or by D, and one factor "
    "of D (1 - D) cancels."
)
def logarithm_forgotten(z, kind):
    return -expit(z) * expit(-z) if kind == "saturating" else expit(z) * expit(-z)


@mistake(
    "exp(z) overflows for large logits, and infinity divided by infinity is NaN. 1 / (1 + exp(-z)) is the "
    "same and stays finite (with a warning); `scipy.special.expit` gives it without."
)
def overflow(z, kind):
    with np.errstate(all="ignore"):
        D = np.exp(z) / (1 + np.exp(z))
        return -D if kind == "saturating" else 1 - D


@mistake("You average over the samples. Return one slope for each logit, shape (n,).")
def slopes_averaged(z, kind):
    return generator_logit_grad(z, kind).mean()


def slopes_by_autograd(z, kind):
    import torch

    z = torch.tensor(z, requires_grad=True)
    log = torch.nn.functional.logsigmoid(-z if kind == "saturating" else z)
    return torch.autograd.grad(log.sum(), z)[0]


def slopes_by_differences(z, kind):
    h = 1e-4
    return (generator_objective(z + h, kind) - generator_objective(z - h, kind)) / (2 * h)


def slopes_by_tanh(z, kind):
    D = (1 + np.tanh(z / 2)) / 2
    return -D if kind == "saturating" else 1 - D


def slopes_in_a_loop(z, kind):
    slopes = []
    for x in z.tolist():
        e = np.exp(-abs(x))
        D = 1 / (1 + e) if x > 0 else e / (1 + e)
        slopes.append(-D if kind == "saturating" else 1 - D)
    return np.array(slopes, dtype=np.float32)


E13 = Exercise(
    id="E13",
    title="The log D trick",
    mirrors="Yao's slides, the generator that maximises log D instead (YA12); Sayed, (68.124) and (68.125)",
    purpose="see where the generator's slope dies out, and where it does not",
    minutes=20,
    statement="""
The discriminator answers a fake with $D=1/(1+e^{-z})$, where $z$ is its logit. For the generator there are
two objectives: the **saturating** one, $\\ln(1-D)$, which it *minimises*, and the **non-saturating** one,
$\\ln D$, which it *maximises*. `z` has shape `(n,)`, one logit a fake, from $-800$ to 800; `kind` is the text
`"saturating"` or `"non_saturating"`.

1. `generator_objective(z, kind)`: the logarithm itself, for each fake. It must be finite for all these
   logits, also where $D$ is rounded to 0 or 1.
2. `generator_logit_grad(z, kind)`: its derivative in $z$, for each fake; the derivative of the logarithm as
   it stands, whether the generator then goes up or down.
""",
    functions=(
        Function(
            reference=generator_objective,
            points=1,
            outputs=(Output("objective", "(n,)"),),
            inputs=logits,
            right="Finite at every logit: for large ones it is the logit itself, or almost 0.",
            hints=(
                "1 - D = 1/(1 + exp(z)). So ln(1 - D) = -ln(1 + exp(z)), and no D is needed.",
                "ln(1 + exp(z)), the soft-plus of z, is `np.logaddexp(0, z)`: the logarithm of exp(0) + "
                "exp(z), computed without overflow.",
            ),
            mistakes=(
                direct_evaluation,
                overflow_in_the_objective,
                minus_the_logarithms,
                objectives_exchanged,
                probabilities_only,
                objective_in_bits,
                objective_averaged,
            ),
            alternatives=(objective_by_scipy, objective_in_a_loop, objective_in_torch),
        ),
        Function(
            reference=generator_logit_grad,
            points=1,
            outputs=(Output("slopes", "(n,)"),),
            inputs=logits,
            right="-D and 1 - D: at z = -4, where a fake is found out, they differ by a factor above fifty.",
            hints=(
                "Chain rule: the derivative of ln D in D is 1 / D, and that of the sigmoid is D (1 - D).",
                "Compare with a difference quotient of `generator_objective` at z = -4. Which sign must a "
                "function have that falls as the fakes become more credible?",
            ),
            mistakes=(
                derivative_in_D,
                both_upwards,
                both_downwards,
                both_signs_wrong,
                slopes_exchanged,
                logarithm_forgotten,
                overflow,
                slopes_averaged,
            ),
            alternatives=(slopes_by_autograd, slopes_by_differences, slopes_by_tanh, slopes_in_a_loop),
        ),
    ),
    derivation=Derivation(
        task="""
1. Derive both slopes in $z$, and their ratio at a given $z$.
2. One often reads that $\\ln(1-D)$ is *flat* near $D=0$, so that the generator cannot learn there. Look at
   its derivative in $D$. In which variable is it flat, and why is that the one that counts?
3. Both objectives are best served by raising $D$. Why is it not the same game, and what remains the same?
""",
        rubric=(
            (1, "finds both slopes, and the size of their ratio as a function of z"),
            (1, "finds the slope in D, which is not small, and the variable in which it is"),
            (1, "says why that variable is what a step moves"),
            (1, "says that the game is no longer zero-sum, and that the solution f = g stays stationary"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E14


def best_generator(D):
    """Return the law p (n,) of least cost, the sum of p ln(1 - D), for a fixed D (n,)."""
    return np.eye(len(D))[np.argmax(D)]


def generator_step(p, D, step):
    """Return the law p (n,) after one gradient step on its soft-max parameters."""
    felt = np.log(1 - D)
    return softmax(np.log(p) - step * p * (felt - p @ felt))


def alternate(f, p, D, k, rounds, d_step, g_step):
    """Return p, D after rounds of k calls of d_step(D, f, p) and one of g_step(p, D)."""
    for _ in range(rounds):
        for _ in range(k):
            D = d_step(D, f, p)
        p = g_step(p, D)
    return p, D


def tables(rng):
    """Yield answers of a discriminator, one kind best or several."""
    yield (np.array([0.2, 0.6, 0.4]),)
    yield (np.array([0.7, 0.1]),)
    yield (np.array([0.5, 0.25, 0.5, 0.5]),)
    for n in (6, 15):
        yield (rng.uniform(size=n).round(4),)


def laws_and_tables(rng):
    """Yield a law without zeros, a table of answers, and a step size."""
    yield G, np.array([0.2, 0.6, 0.4]), 0.5
    yield np.array([0.5, 0.5]), np.array([0.9, 0.1]), 1.0
    for n, step in ((4, 0.3), (8, 3.0), (12, 10.0)):
        yield rng.dirichlet(np.full(n, 2.0)), rng.uniform(0.05, 0.95, n).round(3), step


def plays(rng):
    """Yield first positions of both players, k, the number of rounds, and what a step does."""
    d_step, g_step = Given("discriminator_move", rate=0.7), Given("generator_move", rate=0.4)
    half = np.full(3, 0.5)
    yield F, G, half, 3, 1, d_step, g_step
    yield F, G, half, 2, 4, d_step, g_step
    yield F, G, half, 1, 5, Given("discriminator_move", rate=2.0), Given("generator_move", rate=1.0)
    for n, k, rounds in ((5, 4, 3), (4, 3, 10)):
        f, p = rng.dirichlet(np.full(n, 2.0), size=2)
        yield f, p, rng.uniform(0.1, 0.9, n).round(3), k, rounds, d_step, g_step


@mistake(
    "You spread the mass in proportion to D. The cost is linear in p, so every bit of mass on a kind that is "
    "not the most credible one makes it higher: all of it belongs to the largest D.",
    seen_in="mean_D",
)
def in_proportion_to_D(D):
    return D / D.sum()


@mistake(
    "Your law prefers the *smallest* D: the sample that is most easily found out. ln(1 - D) is smallest "
    "where D is largest.",
    seen_in="mean_D",
)
def most_easily_found_out(D):
    return np.eye(len(D))[np.argmin(D)]


@mistake(
    "The mass is spread by a soft-max of D. That is a smooth compromise; the cost is linear in p, and a "
    "corner is best: all mass on the largest D.",
    seen_in="mean_D",
)
def softmax_of_D(D):
    return softmax(D)


@mistake(
    "You spread the mass in proportion to 1 / (1 - D). The cost is linear in p: all mass belongs to the "
    "largest D.",
    seen_in="mean_D",
)
def in_proportion_to_the_odds(D):
    return (1 / (1 - D)) / (1 / (1 - D)).sum()


@mistake(
    "Every kind has the same probability. That does not look at D at all; all mass belongs where D is "
    "largest.",
    seen_in="mean_D",
)
def uniform_law(D):
    return np.full(len(D), 1 / len(D))


@mistake("This is D itself, which is no law: its entries do not add up to 1.", seen_in="p", same="close")
def table_itself(D):
    return D


@mistake(
    "This is the number of the best kind. Return a law: a table with 1 in this place and 0 elsewhere.",
    seen_in="p",
    same="close",
)
def number_of_the_best_kind(D):
    return np.argmax(D)


@mistake(
    "Every one of several best kinds gets the mass 1. A law adds up to 1: give all of it to one of them, or "
    "share it.",
    seen_in="p",
    same="close",
)
def ones_for_all_the_best(D):
    return np.where(np.max(D) == D, 1.0, 0.0)


def shared_among_the_best(D):
    best = np.max(D) == D
    return best / best.sum()


def last_of_the_best(D):
    p = [0] * len(D)
    p[max(range(len(D)), key=lambda n: (D[n], n))] = 1
    return p


def by_linear_programming(D):
    from scipy.optimize import linprog

    return linprog(np.log(1 - D), A_eq=np.ones((1, len(D))), b_eq=[1], bounds=(0, None)).x


def best_in_torch(D):
    import torch

    return torch.nn.functional.one_hot(torch.tensor(D).argmax(), len(D)).float()


def moved(p, D, step, *, felt=lambda D: np.log(1 - D), slope=lambda p, felt: p * (felt - p @ felt)):
    """Take the step; two parts can be gone wrong at."""
    return softmax(np.log(p) - step * slope(p, felt(D)))


@mistake(
    "The step goes uphill. ln(1 - D) is a cost to the generator: subtract the gradient, so that mass moves "
    "to where D is large."
)
def uphill(p, D, step):
    return moved(p, D, -step)


@mistake(
    "You took ln(1 - D) for the gradient. That is the derivative in p; the parameters are a with p = "
    "softmax(a), and the derivative of p_i in a_j is p_i (1 - p_i) for i = j and -p_i p_j otherwise."
)
def jacobian_omitted(p, D, step):
    return moved(p, D, step, slope=lambda p, felt: felt)


@mistake(
    "The Jacobian of the soft-max is not diagonal: raising one parameter lowers all other masses. Subtract "
    "the mean cost: p (c - sum of p c) with c = ln(1 - D)."
)
def diagonal_without_the_mean(p, D, step):
    return moved(p, D, step, slope=lambda p, felt: p * felt)


@mistake(
    "The own entry only: p (1 - p) c is the diagonal of the Jacobian. The other entries, -p_i p_j, count "
    "too; together they give p (c - sum of p c)."
)
def own_entry_only(p, D, step):
    return moved(p, D, step, slope=lambda p, felt: p * (1 - p) * felt)


@mistake("This is a step on ln D, the non-saturating objective. Here the cost is ln(1 - D), to be lowered.")
def step_on_log_D(p, D, step):
    return moved(p, D, step, felt=lambda D: -np.log(D))


@mistake("The logarithm is missing: the cost of a fake is ln(1 - D), not 1 - D.")
def step_on_D(p, D, step):
    return moved(p, D, step, felt=lambda D: 1 - D)


@mistake(
    "Your law jumps to the best reply. Asked is one small step: the soft-max parameters move by the step "
    "size times the gradient."
)
def whole_way(p, D, step):
    return best_generator(D)


@mistake(
    "These are the parameters, or their exponentials, but no law: they do not add up to 1. Divide the "
    "exponentials by their sum."
)
def not_normalised(p, D, step):
    felt = np.log(1 - D)
    return np.exp(np.log(p) - step * p * (felt - p @ felt))


@mistake(
    "You take the step on the masses p themselves. They would leave the simplex; the step is on a, with p = "
    "softmax(a) and a = ln p before the step."
)
def step_on_the_masses(p, D, step):
    return p - step * np.log(1 - D)


def step_by_autograd(p, D, step):
    import torch

    a = torch.tensor(np.log(p), requires_grad=True)
    cost = torch.softmax(a, dim=0) @ torch.log1p(-torch.tensor(D))
    cost.backward()
    return torch.softmax(a - step * a.grad, dim=0)


def step_by_the_jacobian(p, D, step):
    gradient = (np.diag(p) - np.outer(p, p)) @ np.log1p(-D)
    e = p * np.exp(-step * gradient)
    return e / e.sum()


def step_in_loops(p, D, step):
    n = len(p)
    cost = [np.log(1 - y) for y in D]
    mean = sum(p[i] * cost[i] for i in range(n))
    a = [5 + np.log(p[i]) - step * p[i] * (cost[i] - mean) for i in range(n)]  # a constant is free
    total = sum(np.exp(x) for x in a)
    return [np.exp(x) / total for x in a]


def step_by_einsum(p, D, step):
    c = np.log1p(-D)
    jacobian = np.einsum("i,ij->ij", p, np.eye(len(p))) - np.einsum("i,j->ij", p, p)
    return softmax(np.log(p) - step * np.einsum("ij,j->i", jacobian, c))


@mistake(
    "k is on the wrong player: you call the generator k times a round, and the discriminator once. Which "
    "player must stay near its best answer, so that the other one can trust it?",
    seen_in="calls",
)
def k_on_the_generator(f, p, D, k, rounds, d_step, g_step):
    for _ in range(rounds):
        D = d_step(D, f, p)
        for _ in range(k):
            p = g_step(p, D)
    return p, D


@mistake(
    "k is not used: in each round the discriminator makes k steps before the generator makes one.", "calls"
)
def one_step_each(f, p, D, k, rounds, d_step, g_step):
    return alternate(f, p, D, 1, rounds, d_step, g_step)


@mistake(
    "The generator moves first. A round begins with the k steps of the discriminator: the generator is to "
    "learn from one that has just been trained.",
    seen_in="calls",
)
def generator_first(f, p, D, k, rounds, d_step, g_step):
    for _ in range(rounds):
        p = g_step(p, D)
        for _ in range(k):
            D = d_step(D, f, p)
    return p, D


@mistake(
    "The discriminator makes all its steps first, for all rounds, and then the generator all of its own. "
    "They take turns: k steps of one and one of the other, in each round.",
    seen_in="calls",
)
def one_after_the_other(f, p, D, k, rounds, d_step, g_step):
    for _ in range(k * rounds):
        D = d_step(D, f, p)
    for _ in range(rounds):
        p = g_step(p, D)
    return p, D


@mistake(
    "Only one round is played. Repeat it: k steps of the discriminator and one of the generator, as many "
    "times as `rounds` says.",
    seen_in="calls",
)
def one_round(f, p, D, k, rounds, d_step, g_step):
    return alternate(f, p, D, k, 1, d_step, g_step)


@mistake(
    "The generator is judged by the discriminator from *before* the round. Hand it the one that has just "
    "been updated."
)
def judged_by_the_old_one(f, p, D, k, rounds, d_step, g_step):
    for _ in range(rounds):
        old = D
        for _ in range(k):
            D = d_step(D, f, p)
        p = g_step(p, old)
    return p, D


@mistake(
    "Each of the k steps begins at the same old discriminator, so that k steps do what one does. A step "
    "begins where the last one ended: D = d_step(D, f, p)."
)
def steps_not_accumulated(f, p, D, k, rounds, d_step, g_step):
    for _ in range(rounds):
        old = D
        for _ in range(k):
            D = d_step(old, f, p)
        p = g_step(p, D)
    return p, D


@mistake(
    "The discriminator always sees the first fakes. Hand it the generator's present law: D = d_step(D, f, p) "
    "with the p of the last round."
)
def first_fakes_only(f, p, D, k, rounds, d_step, g_step):
    first = p
    for _ in range(rounds):
        for _ in range(k):
            D = d_step(D, f, first)
        p = g_step(p, D)
    return p, D


@mistake("You return the discriminator first. Asked are p, D: the generator's law, then the table.")
def players_exchanged(f, p, D, k, rounds, d_step, g_step):
    return alternate(f, p, D, k, rounds, d_step, g_step)[::-1]


def alternate_with_a_counter(f, p, D, k, rounds, d_step, g_step):
    for number in range(rounds * (k + 1)):
        if number % (k + 1) < k:
            D = d_step(D, f, p)
        else:
            p = g_step(p, D)
    return {"p": p, "D": D}["p"], D


def alternate_by_recursion(f, p, D, k, rounds, d_step, g_step):
    if not rounds:
        return p, D
    for _ in range(k):
        D = d_step(D=D, f=f, p=p)
    return alternate_by_recursion(f, g_step(p=p, D=D), D, k, rounds - 1, d_step, g_step)


def alternate_with_histories(f, p, D, k, rounds, d_step, g_step):
    from functools import reduce

    laws, answers = [p], [D]
    while len(laws) <= rounds:
        answers.append(reduce(lambda y, _: d_step(y, f, laws[-1]), range(k), answers[-1]))
        laws.append(g_step(laws[-1], answers[-1]))
    return [laws[-1], answers[-1]]


E14 = Exercise(
    id="E14",
    title="Best replies, small steps, and turns",
    mirrors="Saha's slides, the algorithm with k inner steps (SA2); Karajgi's post (KA2, KA3); Sayed, "
    "(68.155)",
    purpose="see why a generator must not be trained to the end against a fixed discriminator",
    minutes=35,
    statement="""
On a table with $n$ kinds of samples the generator is a law $p$, the discriminator a table of answers $D$,
both of shape `(n,)`. The generator wants its cost $\\sum_ip_i\\ln(1-D_i)$ to be small.

1. `best_generator(D)`: the best law of all against a fixed $D$. If several are best, any of them.
2. `generator_step(p, D, step)`: the law after *one* gradient step of size `step` on this cost, with $D$
   fixed. The generator is a soft-max, $p=\\operatorname{softmax}(a)$, and the step is on its parameters, from
   $a=\\ln p$: $a\\leftarrow a-\\text{step}\\cdot\\partial\\,\\text{cost}/\\partial a$. No mass is 0, no
   answer 0 or 1.
3. `alternate(f, p, D, k, rounds, d_step, g_step)`: play, and return `p, D` at the end. `d_step` and `g_step`
   are functions that you are given: `d_step(D, f, p)` returns a slightly better discriminator against fakes
   of law `p`, where `f` is the law of real samples; `g_step(p, D)` returns a slightly better generator. A
   round is `k` steps of the discriminator, each starting where the last one ended, and then one step of the
   generator, against the discriminator just trained. Besides the result, the check looks at the *order* of
   your calls.
""",
    functions=(
        Function(
            reference=best_generator,
            points=1,
            outputs=(
                Output("p", "(n,)", same="anything"),
                Output("sum_of_p", "a number", derived="total"),
                Output("least_mass_or_0", "a number", derived="below_zero"),
                Output("mean_D", "a number", derived="mean_answer"),
            ),
            inputs=tables,
            right="All mass on the most credible kind: the best reply to a fixed opponent is a collapse.",
            hints=(
                "The cost is linear in p. Over all laws, a linear function is smallest at a corner.",
                "ln(1 - D) is smallest where D is largest: `np.argmax(D)`. Put the whole mass there.",
            ),
            mistakes=(
                in_proportion_to_D,
                most_easily_found_out,
                softmax_of_D,
                in_proportion_to_the_odds,
                uniform_law,
                table_itself,
                number_of_the_best_kind,
                ones_for_all_the_best,
            ),
            alternatives=(shared_among_the_best, last_of_the_best, by_linear_programming, best_in_torch),
        ),
        Function(
            reference=generator_step,
            points=2,
            outputs=(Output("p", "(n,)"),),
            inputs=laws_and_tables,
            right="A little mass moves to where D is large, and nothing collapses yet.",
            hints=(
                "Let c = ln(1 - D). The derivative of sum_i p_i c_i in a_j needs the Jacobian of the "
                "soft-max: p_i (1 - p_i) on the diagonal, -p_i p_j beside it.",
                "Put together, the gradient is p * (c - p @ c): how much the cost of a kind differs from the "
                "mean cost, weighted by its mass.",
                "Then a = ln p - step * gradient, and p = exp(a) / sum of exp(a).",
            ),
            mistakes=(
                uphill,
                jacobian_omitted,
                diagonal_without_the_mean,
                own_entry_only,
                step_on_log_D,
                step_on_D,
                whole_way,
                not_normalised,
                step_on_the_masses,
            ),
            alternatives=(step_by_autograd, step_by_the_jacobian, step_in_loops, step_by_einsum),
        ),
        Function(
            reference=alternate,
            points=2,
            outputs=(
                Output("p", "(n,)"),
                Output("D", "(n,)"),
                Output("calls", "one a call", derived="calls"),
            ),
            inputs=plays,
            right="k steps of the discriminator, one of the generator, each from where the other stands now.",
            hints=(
                "Two loops, one inside the other: over the rounds, and in each round over the k steps of the "
                "discriminator.",
                "Keep one name for each player, and replace it at once: D = d_step(D, f, p), p = g_step(p, "
                "D).",
            ),
            mistakes=(
                k_on_the_generator,
                one_step_each,
                generator_first,
                one_after_the_other,
                one_round,
                judged_by_the_old_one,
                steps_not_accumulated,
                first_fakes_only,
                players_exchanged,
            ),
            alternatives=(alternate_with_a_counter, alternate_by_recursion, alternate_with_histories),
        ),
    ),
    derivation=Derivation(
        task="""
1. Show that a point mass on a largest $D_i$ minimises $\\sum_ip_i\\ln(1-D_i)$ over all laws, and find all
   minimisers.
2. Let all $f_i>0$. The discriminator answers each move with $D^\\star=\\frac f{f+p}$, and the generator
   replies with a best law against it. Show that this play reaches $p=f$ only if it begins there, and say
   what follows a point mass.
3. Let the generator instead make one small step. Show that then the value $C(p)$ against $D^\\star$ falls,
   to first order in the step, unless $p=f$. (At a maximum over $D$, what does a change of $D$ cost?)
""",
        rubric=(
            (1, "bounds the cost from below by the least ln(1 - D), and says when there is equality"),
            (1, "shows that f is reached only from f, and that a kind with all the mass is left at once"),
            (1, "differentiates C in p with D held at the best answer, and says why that is allowed"),
            (1, "shows that the step lowers C unless ln(1 - D) is the same for all kinds, that is p = f"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E19


def play(d, g, s, steps, order):
    """Return the final d, g of the game V = d g: d climbs, g descends, steps of size s."""
    for _ in range(steps):
        new_d = d + s * g
        g = g - s * (new_d if order == "alternating" else d)
        d = new_d
    return d, g


def games(rng):
    """Yield first positions, step sizes and numbers of steps; both orders for each."""
    starts = [(1.0, 1.0, 0.1, 1), (1.0, 1.0, 0.1, 1000), (1.0, 0.0, 1.0, 7), (2.0, -1.0, 2.2, 5)]
    starts.append((*rng.normal(size=2).round(3).tolist(), round(rng.uniform(0.2, 0.8), 3), 30))
    for d, g, s, steps in starts:
        for order in ("simultaneous", "alternating"):
            yield d, g, s, steps, order


@mistake(
    "Both players climb, and so both run away together. g *descends* on the same V that d climbs: opposite "
    "signs."
)
def both_ascend(d, g, s, steps, order):
    for _ in range(steps):
        new_d = d + s * g
        g = g + s * (new_d if order == "alternating" else d)
        d = new_d
    return d, g


@mistake(
    "The players have exchanged their goals: d climbs on V = d g, by the derivative g; g descends, by d."
)
def goals_exchanged(d, g, s, steps, order):
    return play(d, g, -s, steps, order)


@mistake(
    "In a simultaneous step g already sees the new d: your d was overwritten before g moved. Keep the old "
    "value until both have moved."
)
def overwritten(d, g, s, steps, order):
    return play(d, g, s, steps, "alternating")


@mistake(
    "In an alternating step g still looks at the old d, so that both orders give the same. The generator "
    "replies to the discriminator that has *just* moved."
)
def old_value_read(d, g, s, steps, order):
    return play(d, g, s, steps, "simultaneous")


@mistake("The two orders are exchanged: it is the alternating one in which g sees the new d.")
def orders_exchanged(d, g, s, steps, order):
    return play(d, g, s, steps, "alternating" if order == "simultaneous" else "simultaneous")


@mistake(
    "In an alternating step you let g move first. The stated order is d first: the discriminator begins."
)
def g_moves_first(d, g, s, steps, order):
    for _ in range(steps):
        new_g = g - s * d
        d = d + s * (new_g if order == "alternating" else g)
        g = new_g
    return d, g


@mistake("You return g, d. The position of the discriminator comes first: d, g.")
def g_first_in_the_result(d, g, s, steps, order):
    return play(d, g, s, steps, order)[::-1]


@mistake(
    "Each player climbs or descends along its own position: d + s d. The derivative of V = d g in d is g, "
    "and the one in g is d."
)
def own_position(d, g, s, steps, order):
    return d * (1 + s) ** steps, g * (1 - s) ** steps


def play_by_matrix_powers(d, g, s, steps, order):
    both = np.array([[1, s], [-s, 1 - s * s if order == "alternating" else 1]])
    return np.linalg.matrix_power(both, steps) @ [d, g]


def play_with_complex_numbers(d, g, s, steps, order):
    if order == "simultaneous":
        w = (d + 1j * g) * (1 - 1j * s) ** steps
        return w.real, w.imag
    position = [d, g]
    for number in range(2 * steps):
        mover = number % 2
        position[mover] += (-1) ** mover * s * position[1 - mover]
    return tuple(position)


def play_by_autograd(d, g, s, steps, order):
    import torch

    d, g = (torch.tensor(float(x), dtype=torch.float64, requires_grad=True) for x in (d, g))
    climb, fall = torch.optim.SGD([d], lr=s, maximize=True), torch.optim.SGD([g], lr=s)
    for _ in range(steps):
        d.grad = torch.autograd.grad(d * g, d)[0]
        if order == "alternating":
            climb.step()
            g.grad = torch.autograd.grad(d * g, g)[0]
        else:
            g.grad = torch.autograd.grad(d * g, g)[0]
            climb.step()
        fall.step()
    return d, g


def play_with_a_history(d, g, s, steps, order):
    path = np.empty((steps + 1, 2))
    path[0] = d, g
    for m in range(1, steps + 1):
        path[m, 0] = path[m - 1, 0] + s * path[m - 1, 1]
        path[m, 1] = path[m - 1, 1] - s * path[m if order == "alternating" else m - 1, 0]
    return path[-1]


E19 = Exercise(
    id="E19",
    title="Who sees what in a round",
    mirrors="Sayed, the order of updates in (68.155) with (68.160) and (68.161) (erratum S27)",
    purpose="see on the smallest game that one index, old or new, decides between circles and divergence",
    minutes=20,
    statement="""
Two players have a number each, $d$ and $g$, and the game is $V(d,g)=d\\,g$: the first climbs, the second
descends, each along its own derivative of $V$, with steps of size $s$. The only solution is $d=g=0$. Write
`play(d, g, s, steps, order)`: the final positions `d, g`, two numbers, after `steps` rounds. `order` is a
text:

* `"simultaneous"`: in each round both look at the position *before* the round.
* `"alternating"`: in each round $d$ moves first, and then $g$ replies to the $d$ that has just moved.

Then look: begin at $(1,1)$ with `s = 0.1`, and compare the distance from the solution after 1000 rounds.
""",
    functions=(
        Function(
            reference=play,
            points=2,
            outputs=(Output("d", "a number"), Output("g", "a number")),
            inputs=games,
            right="Simultaneous steps drift outwards, alternating ones stay on an ellipse if s is below 2.",
            hints=(
                "The derivative of d g in d is g, and the one in g is d. So d moves by +s g, and g by -s d.",
                "Write `new_d = d + s * g` first. What g then uses is new_d in one order and d in the other.",
            ),
            mistakes=(
                both_ascend,
                goals_exchanged,
                overwritten,
                old_value_read,
                orders_exchanged,
                g_moves_first,
                g_first_in_the_result,
                own_position,
            ),
            alternatives=(
                play_by_matrix_powers,
                play_with_complex_numbers,
                play_by_autograd,
                play_with_a_history,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. Show that a simultaneous round multiplies the distance from the solution by $\\sqrt{1+s^2}$.
2. Show that an alternating round keeps $d^2+g^2+s\\,d\\,g$ unchanged, and conclude that the path stays
   bounded for $0<s<2$. What happens at $s>2$?
3. Printed listings update both players from the parameters with index $m-1$. Which of the two games is that?
""",
        rubric=(
            (1, "finds the factor, as the length of a vector or the modulus of a complex number"),
            (1, "verifies the invariant"),
            (1, "uses that the form is positive definite for s below 2; finds growth above (eigenvalues)"),
            (1, "names the simultaneous game"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E22


def cross_entropy_delta(z, target):
    """Return the derivatives of -sum of target ln softmax(z) in z (B, Q), shape (B, Q)."""
    return target.sum(axis=1, keepdims=True) * softmax(z, axis=1) - target


def smoothed_optimum(f, g, alpha):
    """Return the best answers D (n,) if real samples have the label (alpha, 1 - alpha)."""
    return np.divide(alpha * f, f + g, out=np.full(f.shape, 0.5), where=f + g > 0)


def outputs_and_targets(rng):
    """Yield outputs before the softmax, and targets of all kinds."""
    z = rng.normal(size=(3, 2)).round(3)
    yield z, np.array([[1.0, 0], [0, 1], [1, 0]])
    yield z, np.array([[0.9, 0.1], [0.9, 0.1], [0, 1]])
    yield z, np.array([[0.9, 0], [0, 1], [0.9, 0]])
    for B, Q in ((5, 3), (4, 6)):
        yield 2 * rng.normal(size=(B, Q)).round(3), rng.uniform(size=(B, Q)).round(3)


def laws_and_labels(rng):
    """Yield laws, zeros among them, and soft labels."""
    yield np.array([0.5, 0.5]), np.array([0.5, 0.5]), 0.9
    yield F, G, 0.9
    yield np.array([0.5, 0.5, 0, 0]), np.array([0, 0.4, 0.6, 0]), 0.8
    for n in (5, 12):
        f, g = rng.dirichlet(np.ones(n), size=2)
        yield f, g, round(rng.uniform(0.6, 1), 3)


@mistake(
    "For labels that add up to 1 this is right. In general the soft-max is weighted by the sum of the "
    "target: differentiate -sum of t_q ln p_q once more, and do not replace the sum of the t_q by 1."
)
def sum_of_target_forgotten(z, target):
    return softmax(z, axis=1) - target


@mistake(
    "The target is divided by its sum, silently. That changes the loss: a target (0.9, 0) weighs 0.9 times "
    "as much as (1, 0), and its derivative does, too."
)
def target_renormalised(z, target):
    return softmax(z, axis=1) - target / target.sum(axis=1, keepdims=True)


@mistake(
    "The sign is wrong: this is the slope of +sum of t ln p, which is maximised. The cross entropy has a "
    "minus."
)
def log_likelihood(z, target):
    return target - target.sum(axis=1, keepdims=True) * softmax(z, axis=1)


@mistake("You divide by the number of samples. Asked is one derivative for each sample, of its own loss.")
def divided_by_the_batch(z, target):
    return cross_entropy_delta(z, target) / len(z)


@mistake("Your soft-max runs over the samples. A sample is a row: its Q probabilities add up to 1, axis 1.")
def softmax_over_samples(z, target):
    return target.sum(axis=1, keepdims=True) * softmax(z, axis=0) - target


@mistake(
    "Each entry is treated by itself: -t (1 - p). In a soft-max every probability depends on every output; "
    "the terms of the other classes are missing."
)
def own_class_only(z, target):
    return -target * (1 - softmax(z, axis=1))


@mistake(
    "This is the derivative in the probabilities, -t / p. Go on to the outputs z, through the soft-max.",
)
def derivative_in_the_probabilities(z, target):
    with np.errstate(all="ignore"):
        return -target / softmax(z, axis=1)


@mistake(
    "These are the derivatives of separate logistic units. Here the Q probabilities come from one soft-max "
    "and add up to 1."
)
def logistic_units(z, target):
    return expit(z) - target


def delta_by_autograd(z, target):
    import torch

    z = torch.tensor(z, requires_grad=True)
    loss = -(torch.tensor(target) * torch.log_softmax(z, dim=1)).sum()
    return torch.autograd.grad(loss, z)[0]


def delta_by_pytorchs_cross_entropy(z, target):
    import torch

    z = torch.tensor(z, dtype=torch.float32, requires_grad=True)
    target = torch.tensor(target, dtype=torch.float32)
    torch.nn.functional.cross_entropy(z, target, reduction="sum").backward()
    return z.grad


def delta_sample_by_sample(z, target):
    rows = []
    for x, t in zip(z, target, strict=True):
        e = np.exp(x - x.max())
        rows.append([sum(t) * e[q] / sum(e) - t[q] for q in range(len(x))])
    return np.array(rows)


def delta_by_the_jacobian(z, target):
    p = softmax(z, axis=1)
    from_others = np.einsum("bq,br->bq", p, target)
    return from_others - np.einsum("bq->bq", target)


@mistake(
    "This is the optimum for the label (alpha, 0): it only gives real samples less weight, and D is still 1 "
    "where no fake can be. With the label (alpha, 1 - alpha) a real sample also counts 1 - alpha times as a "
    "fake.",
    seen_in="answers",
)
def weight_instead_of_label(f, g, alpha):
    both = alpha * f + g
    return np.where(both > 0, alpha * f / np.where(both > 0, both, 1), 0.5)


@mistake(
    "The labels of fakes are smoothed, too. That is another game, with D = 1 - alpha where only fakes are; "
    "here only real samples have soft labels, and fakes keep (0, 1).",
    seen_in="answers",
)
def both_labels_smoothed(f, g, alpha):
    both = np.where(f + g > 0, f + g, 1)
    return np.where(f + g > 0, (alpha * f + (1 - alpha) * g) / both, 0.5)


@mistake("alpha is ignored: this is the best answer for the hard label (1, 0).", seen_in="answers")
def hard_labels(f, g, alpha):
    return smoothed_optimum(f, g, 1.0)


@mistake(
    "You cut the usual answer off at alpha. The soft label lowers D everywhere, by the factor alpha, not "
    "only near 1.",
    seen_in="answers",
)
def cut_off_at_alpha(f, g, alpha):
    return np.minimum(smoothed_optimum(f, g, 1.0), alpha)


@mistake(
    "alpha and 1 - alpha are exchanged: the first entry of the label, the one for 'real', is alpha.",
    seen_in="answers",
)
def label_exchanged(f, g, alpha):
    return smoothed_optimum(f, g, 1 - alpha)


@mistake(
    "Laws and labels are mixed up: this is alpha times the share of *fakes*. D answers 'real'.",
    seen_in="answers",
)
def smoothed_share_of_fakes(f, g, alpha):
    return smoothed_optimum(g, f, alpha)


@mistake(
    "Where both laws vanish you divide 0 by 0. Any answer from 0 to 1 is right there, but NaN is none.",
    seen_in="D",
    same="close",
)
def smoothed_zero_by_zero(f, g, alpha):
    with np.errstate(all="ignore"):
        return alpha * f / (f + g)


def smoothed_point_by_point(f, g, alpha):
    return [alpha * a / (a + b) if a + b else 0 for a, b in zip(f.tolist(), g.tolist(), strict=True)]


def smoothed_by_counting(f, g, alpha):
    yes, no = alpha * f, (1 - alpha) * f + g
    return np.nan_to_num(np.divide(yes, yes + no, where=f + g > 0, out=np.ones(len(f))))


def smoothed_by_search(f, g, alpha):
    from scipy.optimize import minimize_scalar

    D = np.zeros(len(f))
    for n in np.flatnonzero(f + g):
        yes = alpha * f[n] / (f[n] + g[n])
        cost = lambda z, yes=yes: yes * np.logaddexp(0, -z) + (1 - yes) * np.logaddexp(0, z)  # noqa: E731
        D[n] = expit(minimize_scalar(cost, bounds=(-30, 30), options={"xatol": 1e-9}).x)
    return D


def smoothed_in_torch(f, g, alpha):
    import torch

    f, g = torch.tensor(f), torch.tensor(g)
    return (alpha * f / (f + g).clamp(min=1e-300)).float()


E22 = Exercise(
    id="E22",
    title="Soft labels",
    mirrors="Sayed, the soft labels after (68.175), with (68.139) and (68.160) (erratum S25)",
    purpose="differentiate a cross entropy for any target, and see what one soft label does to the game",
    minutes=25,
    statement="""
A discriminator that is never quite sure gives its opponent something to learn from. One way to get it is a
*soft* label for real samples: $(\\alpha,1-\\alpha)$ instead of $(1,0)$, in the order real, fake; fakes keep
$(0,1)$.

1. `cross_entropy_delta(z, target)`: outputs `z` before the soft-max and targets, both of shape `(B, Q)`.
   Return the derivatives in `z` of $-\\sum_qt_q\\ln\\hat\\gamma_q$ with
   $\\hat\\gamma=\\operatorname{softmax}(z)$, for each sample by itself, shape `(B, Q)`. Targets are not
   negative, but they need *not* add up to 1.
2. `smoothed_optimum(f, g, alpha)`: the best answers $D$, shape `(n,)`, if real samples with the label
   $(\\alpha,1-\\alpha)$ and law `f` and as many fakes with the label $(0,1)$ and law `g` are shown. Where
   both laws vanish, any number from 0 to 1.
""",
    functions=(
        Function(
            reference=cross_entropy_delta,
            points=2,
            outputs=(Output("delta", "(B, Q)"),),
            inputs=outputs_and_targets,
            right="The soft-max is weighted by the sum of the target; rows of the result add up to 0.",
            hints=(
                "ln of a soft-max: z_q minus ln(sum of exp z). Put that into the loss before you "
                "differentiate.",
                "The loss is -sum of t_q z_q + (sum of t_q) ln(sum of exp z). What is the derivative of the "
                "last logarithm?",
            ),
            mistakes=(
                sum_of_target_forgotten,
                target_renormalised,
                log_likelihood,
                divided_by_the_batch,
                softmax_over_samples,
                own_class_only,
                derivative_in_the_probabilities,
                logistic_units,
            ),
            alternatives=(
                delta_by_autograd,
                delta_by_pytorchs_cross_entropy,
                delta_sample_by_sample,
                delta_by_the_jacobian,
            ),
        ),
        Function(
            reference=smoothed_optimum,
            points=1,
            outputs=(
                Output("D", "(n,)", same="anything"),
                Output("answers", "(n,)", derived="answers_that_count"),
            ),
            inputs=laws_and_labels,
            right="Never above alpha, and lowered by the same factor everywhere.",
            hints=(
                "A real sample now counts alpha times as 'real' and 1 - alpha times as 'fake'. Write down "
                "what stands before ln D and before ln(1 - D) at one point.",
                "The best answer is, as in E10, what stands before ln D divided by the sum of both.",
            ),
            mistakes=(
                weight_instead_of_label,
                both_labels_smoothed,
                hard_labels,
                cut_off_at_alpha,
                label_exchanged,
                smoothed_share_of_fakes,
                smoothed_zero_by_zero,
            ),
            alternatives=(
                smoothed_point_by_point,
                smoothed_by_counting,
                smoothed_by_search,
                smoothed_in_torch,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. Derive the sensitivity for a target of any sum. For which targets is it $\\hat\\gamma-\\gamma$?
2. Somebody gives real samples the label $(\\alpha,0)$ instead. Find the best answer for the cross entropy
   with this label, and compare it with that of $(\\alpha,1-\\alpha)$ where $f=g$ and where no fake can be.
3. Why are the labels of fakes not smoothed, too? Find the best answer for $(\\alpha,1-\\alpha)$ and
   $(\\beta,1-\\beta)$. Look at a point with fakes only, and at one with very few real samples.
""",
        rubric=(
            (1, "differentiates with the sum of the target kept"),
            (1, "finds both optima, and sees what (alpha, 0) leaves possible"),
            (1, "finds the best answer for two soft labels, and sees what fakes then do for themselves"),
        ),
    ),
)

SET = ProblemSet(
    name="09_training_a_gan",
    title="Training a GAN",
    opening="""
Four exercises on [chapter 9](../09_training_a_gan.ipynb), on what the two players do to each other while
they learn: the slope that dies out and the one that does not, best replies and small steps, what each player
sees in a round, and labels that are not quite sure. All is on tables and single numbers, so that right
answers are known; NumPy is enough.
""",
    exercises=(E13, E14, E19, E22),
)
