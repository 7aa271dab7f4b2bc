"""The problem set of chapter 8: the best discriminator, the value of the game, the game with flipped labels.

E10 and E11 follow Sayed's Examples 68.4 and 68.5 and the proof on Saha's slides (errata S17-S19, G2, G5); the
last exercise mirrors Problem 68.9 (erratum S34). References are plain NumPy and SciPy and do not use the
library's `gan.game` or `divergences`, so that they can be compared. Left out: how networks learn any of this,
which is the next chapter, and best replies of the generator (E14), which belong to its training.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np
from scipy.special import rel_entr, xlog1py, xlogy

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# --------------------------------------------------------------------------------------------------- E10

F, G = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])  # the laws of the course: real, fake


def optimal_discriminator(f, g, pi=0.5):
    """Return the best answers D (n,) for laws f (real) and g (fake); a share pi is real."""
    real, fake = pi * f, (1 - pi) * g
    return np.divide(real, real + fake, out=np.full(f.shape, 0.5), where=real + fake > 0)


def laws_and_shares(rng):
    """Yield laws with zeros, common ones too, with tiny masses, and as densities; several shares."""
    yield F, G
    yield F, G, 0.8
    yield np.array([0.5, 0.5, 0, 0]), np.array([0, 0.4, 0.6, 0])
    yield np.array([0.0, 0.7, 0, 0.3]), np.array([0.2, 0.8, 0, 0]), 0.25
    yield np.array([0.6, 0.4, 3e-20]), np.array([0.5, 0.5, 1e-20])
    f, g = rng.dirichlet(np.ones(7), size=2)
    yield f, g, round(rng.uniform(0.1, 0.4), 3)
    line, place = np.linspace(-3.5, 3.5, 25), rng.uniform(0.5, 1.5)
    f, g = (np.exp(-((line - at) ** 2) / 2) / np.sqrt(2 * np.pi) for at in (0, place))
    yield f, g, round(rng.uniform(0.6, 0.9), 3)


@mistake(
    "This is f / g, how many real samples come on one fake. D is a probability: the share of real samples "
    "among *all* samples at that point, never above 1.",
    seen_in="answers",
)
def ratio_of_the_laws(f, g, pi=0.5):
    with np.errstate(all="ignore"):
        return f / g


@mistake(
    "These are odds, real to fake, and they exceed 1. D is a probability: the share of real samples among "
    "all samples at that point.",
    seen_in="answers",
)
def odds(f, g, pi=0.5):
    with np.errstate(all="ignore"):
        return pi * f / ((1 - pi) * g)


@mistake(
    "This is the probability of a *fake*. Which kind of sample has the label 1 here? D answers 'real'.",
    seen_in="answers",
)
def probability_of_fake(f, g, pi=0.5):
    return 1 - best_answers(f, g, pi)


@mistake(
    "pi is ignored. If a share pi of all samples is real, their law counts pi times, that of the fakes 1 - "
    "pi times: Bayes' rule.",
    seen_in="answers",
)
def share_ignored(f, g, pi=0.5):
    return best_answers(f, g, 0.5)


@mistake(
    "pi and 1 - pi are exchanged: pi is the share of the *real* samples, whose law is f.", seen_in="answers"
)
def shares_exchanged(f, g, pi=0.5):
    return best_answers(f, g, 1 - pi)


@mistake(
    "pi stands in the numerator only. Below stands the law of all samples together, pi f + (1 - pi) g: only "
    "so D and the probability of a fake add up to 1.",
    seen_in="answers",
)
def share_above_only(f, g, pi=0.5):
    with np.errstate(all="ignore"):
        return np.where(f + g > 0, pi * f / (f + g), 0.5)


@mistake(
    "Where both laws vanish you divide 0 by 0. No sample can lie there, and any answer between 0 and 1 will "
    "do; NaN is none. Nor is 1 / (1 + g / f) safer: it divides by zero already where f alone vanishes.",
    seen_in="D",
    same="close",
)
def zero_by_zero(f, g, pi=0.5):
    with np.errstate(all="ignore"):
        return pi * f / (pi * f + (1 - pi) * g)


@mistake(
    "A small number is added to the denominator, or small masses are treated as none. D depends on the ratio "
    "of the laws alone, also where both are tiny: treat exact zeros only.",
    seen_in="answers",
)
def small_number_added(f, g, pi=0.5):
    return pi * f / (pi * f + (1 - pi) * g + 1e-12)


@mistake(
    "You answer 1 or 0, whichever is more probable. That is the best *decision*; the value of the game asks "
    "for the probability, between them.",
    seen_in="answers",
)
def hard_decision(f, g, pi=0.5):
    D = best_answers(f, g, pi)
    return np.where(D > 0.5, 1.0, np.where(D < 0.5, 0.0, 0.5))


def best_answers(f, g, pi):
    both = pi * f + (1 - pi) * g
    return np.where(both > 0, pi * f / np.where(both > 0, both, 1), 0.5)


def answers_point_by_point(f, g, pi=0.5):
    D = []
    for a, b in zip(f.tolist(), g.tolist(), strict=True):
        D.append(pi * a / (pi * a + (1 - pi) * b) if a or b else 1.0)
    return D


def answers_by_the_logit(f, g, pi=0.5):
    from scipy.special import expit

    with np.errstate(all="ignore"):
        logit = np.log(f) - np.log(g) + np.log(pi) - np.log(1 - pi)
    return np.nan_to_num(expit(logit))


def answers_by_search(f, g, pi=0.5):
    from scipy.optimize import minimize_scalar

    D = np.zeros(len(f))
    for n in range(len(f)):
        a, b = pi * f[n], (1 - pi) * g[n]
        if a + b > 0:
            cost = lambda y, a=a / (a + b), b=b / (a + b): -(xlogy(a, y) + xlog1py(b, -y))  # noqa: E731
            D[n] = minimize_scalar(cost, bounds=(0, 1), options={"xatol": 1e-9}).x
    return D


def answers_in_torch(f, g, pi=0.5):
    import torch

    joint = torch.stack([pi * torch.tensor(f), (1 - pi) * torch.tensor(g)])
    return torch.nan_to_num(joint / joint.sum(dim=0), nan=0.0)[0].float()


E10 = Exercise(
    id="E10",
    title="The best discriminator",
    mirrors="Sayed, Example 68.4, (68.104) to (68.107) and (68.113); the first step of the proof on Saha's "
    "slides",
    purpose="find out what the best opponent knows, for any share of real samples and where a law vanishes",
    minutes=20,
    statement="""
Samples of $n$ kinds are shown to a discriminator. Of all samples a share $\\pi$ is real, and a real sample is
of kind $i$ with probability $f_i$; the others are fakes, of kind $i$ with probability $g_i$. For each kind
the discriminator answers with a number $D_i\\in[0,1]$, how probably the sample is *real*, and it wants

$$ \\pi\\sum_if_i\\ln D_i+(1-\\pi)\\sum_ig_i\\ln(1-D_i) $$

as large as possible. (For densities at points of a line the same is true at every point.)

Write `optimal_discriminator(f, g, pi=0.5)`: the best answers, shape `(n,)`, for laws `f` and `g` of that
shape and a number `pi` between 0 and 1. One law may vanish where the other does not. Where *both* vanish no
sample can lie, and any answer from 0 to 1 is right. Entries may be as small as $10^{-20}$ without being zero.
""",
    functions=(
        Function(
            reference=optimal_discriminator,
            points=2,
            outputs=(
                Output("D", "(n,)", same="anything"),
                Output("answers", "(n,)", derived="answers_that_count"),
            ),
            inputs=laws_and_shares,
            right="At every point D is the share of real samples among all; it needs the two laws there, and "
            "nothing else.",
            hints=(
                "Every point is a problem of its own: make a ln y + b ln(1 - y) as large as possible, with "
                "a = pi f and b = (1 - pi) g at this point.",
                "Its derivative a / y - b / (1 - y) vanishes at y = a / (a + b). That also gives the right "
                "answers 0 and 1 where one of a and b is zero.",
                "Where a + b is exactly 0, put in any number, for example with `np.where(both > 0, ..., "
                "0.5)`; divide by `np.where(both > 0, both, 1)`, so that no NaN arises.",
            ),
            mistakes=(
                ratio_of_the_laws,
                odds,
                probability_of_fake,
                share_ignored,
                shares_exchanged,
                share_above_only,
                zero_by_zero,
                small_number_added,
                hard_decision,
            ),
            alternatives=(
                answers_point_by_point,
                answers_by_the_logit,
                answers_by_search,
                answers_in_torch,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
Let $a=\\pi f_h(h)\\ge0$ and $b=(1-\\pi)f_{\\hat h}(h)\\ge0$, not both 0.

1. Show that $a\\ln y+b\\ln(1-y)$ on $[0,1]$, with $0\\ln0=0$, has its only maximum at $y=\\frac a{a+b}$; do
   not forget the cases $a=0$ and $b=0$. Why may the maximisation be done at each $h$ by itself?
2. Where does the proof use that $a$ and $b$ are not negative?
3. Real samples are $\\mathcal N(\\mu,\\sigma^2)$, fakes $\\mathcal N(\\nu,\\sigma^2)$, and $\\pi=\\frac12$.
   Which network is able to give the best answers?
""",
        rubric=(
            (1, "treats each point separately, and says why that is allowed"),
            (1, "shows a maximum, not only a vanishing derivative, and treats the cases a = 0 and b = 0"),
            (1, "says what the sign is needed for"),
            (1, "finds the logit of the best answers as a function of h, and names the network"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E11


def gan_value(f, g):
    """Return the value of the game against the best discriminator, in nats: a number."""
    return rel_entr(f, f + g).sum() + rel_entr(g, f + g).sum()


def jsd(f, g):
    """Return the Jensen-Shannon divergence of two laws f and g (n,), in nats: a number."""
    m = (f + g) / 2
    return (rel_entr(f, m).sum() + rel_entr(g, m).sum()) / 2


def two_laws(rng):
    """Yield laws that differ, agree, share nothing, and share only a part."""
    yield F, G
    yield F, F
    yield np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])
    yield np.array([0.5, 0.5, 0, 0]), np.array([0, 0.4, 0.6, 0])
    for n in (5, 30):
        yield tuple(rng.dirichlet(np.ones(n), size=2))
    f, g = rng.dirichlet(np.ones(12), size=2) * (rng.random((2, 12)) < 0.7) + np.eye(2, 12) / 50
    yield f / f.sum(), g / g.sum()


LN4, LN2 = np.log(4), np.log(2)


@mistake(
    "Only one Jensen-Shannon divergence is added to -ln 4. Both expected values give a Kullback-Leibler "
    "divergence with weight 1, and the divergence has the weights 1/2: it counts twice."
)
def one_divergence(f, g):
    return -LN4 + jsd(f, g)


@mistake(
    "Your mixture is f + g, which adds up to 2 and is no law, and -ln 4 is added besides. Either compare "
    "with f + g and add nothing, or compare with (f + g) / 2 and subtract ln 4."
)
def mixture_without_half(f, g):
    return -LN4 + gan_value(f, g)


@mistake(
    "Two units are mixed: the divergence in bits, ln 4 in nats. Use natural logarithms throughout (`np.log`)."
)
def bits_and_nats(f, g):
    return -LN4 + 2 * jsd(f, g) / LN2


@mistake("Your unit is the bit. Logarithms are natural in this course: use `np.log`.")
def value_in_bits(f, g):
    return gan_value(f, g) / LN2


@mistake(
    "The constant has the wrong sign: if both laws agree, D is 1/2, and the value 2 ln(1/2) = -ln 4 is "
    "negative. No value of this game is positive, since logarithms of probabilities are not."
)
def plus_ln_4(f, g):
    return LN4 + 2 * jsd(f, g)


@mistake(
    "These are the divergences between f and g themselves, KL(f || g) + KL(g || f). The best discriminator "
    "compares each law with their *mixture*, which keeps the value below zero."
)
def divergences_without_mixture(f, g):
    return -LN4 + rel_entr(f, g).sum() + rel_entr(g, f).sum()


@mistake(
    "The value of the discriminator that answers 1/2 everywhere is -ln 4 whatever the laws are. Put the "
    "*best* answers of E10 into the two expected values."
)
def value_of_one_half(f, g):
    return -LN4 + 0 * f.sum()


@mistake(
    "The second expected value has ln D, too. Fakes enter with ln(1 - D): the discriminator wants to "
    "recognise them."
)
def fakes_with_log_D(f, g):
    D = best_answers(f, g, 0.5)
    return xlogy(f, D).sum() + xlogy(g, D).sum()


@mistake(
    "This is minus the value: a loss that the discriminator minimises. Asked is what it *maximises*, which "
    "is never above 0."
)
def loss_for_value(f, g):
    return -gan_value(f, g)


@mistake(
    "This is the risk of the best discriminator, the mean loss over real and fake samples together. The "
    "value is the *sum* of two expected values without a minus: -2 times the risk."
)
def risk_for_value(f, g):
    return -gan_value(f, g) / 2


@mistake(
    "Half of the value: each of the two expected values counts fully, not with the share 1/2 of its samples."
)
def half_the_value(f, g):
    return gan_value(f, g) / 2


@mistake(
    "Where a law vanishes you compute 0 times the logarithm of 0, which is NaN. A kind of sample that never "
    "occurs contributes nothing: leave it out (`np.where`), or use `scipy.special.rel_entr` or `xlogy`."
)
def zero_times_infinity(f, g):
    with np.errstate(all="ignore"):
        return (f * np.log(f / (f + g)) + g * np.log(g / (f + g))).sum()


def value_at_the_best_answers(f, g):
    both = f + g > 0
    f, g = f[both], g[both]
    D = f / (f + g)
    return xlogy(f, D).sum() + xlog1py(g[D < 1], -D[D < 1]).sum()


def value_kind_by_kind(f, g):
    from math import log

    value = 0.0
    for a, b in zip(f.tolist(), g.tolist(), strict=True):
        value += a * log(a / (a + b)) if a else 0
        value += b * log(b / (a + b)) if b else 0
    return value


def value_by_the_divergence(f, g):
    from scipy.spatial.distance import jensenshannon

    return 2 * jensenshannon(f, g) ** 2 - np.log(4)


def value_in_torch(f, g):
    import torch

    both = torch.tensor(np.stack([f, g]))
    return torch.special.xlogy(both, both).sum() - torch.special.xlogy(both, both.sum(dim=0)).sum()


@mistake(
    "This is the sum of the two divergences to the mixture, the part of the value above -ln 4. The "
    "Jensen-Shannon divergence is their *mean*."
)
def sum_of_divergences(f, g):
    return 2 * jsd(f, g)


@mistake(
    "Your mixture is f + g, which is no law: it adds up to 2. With it the result is negative for equal laws; "
    "a divergence never is. Take (f + g) / 2."
)
def mixture_adds_up_to_two(f, g):
    return gan_value(f, g) / 2


@mistake("This is KL(f || g), infinite where only g vanishes. Compare both laws with their mixture.")
def kullback_leibler(f, g):
    return rel_entr(f, g).sum()


@mistake(
    "This is the mean of KL(f || g) and KL(g || f), which is symmetric too, but infinite as soon as one law "
    "vanishes where the other does not. Compare both laws with their mixture (f + g) / 2."
)
def symmetrised_divergence(f, g):
    return (rel_entr(f, g).sum() + rel_entr(g, f).sum()) / 2


@mistake(
    "Only f is compared with the mixture, so that the result is not symmetric. Take the mean of KL(f || m) "
    "and KL(g || m)."
)
def one_side_only(f, g):
    return rel_entr(f, (f + g) / 2).sum()


@mistake(
    "The laws stand on the wrong sides: these are KL(m || f) and KL(m || g), infinite where f or g vanishes. "
    "The mixture stands in the denominators."
)
def mixture_first(f, g):
    m = (f + g) / 2
    return (rel_entr(m, f).sum() + rel_entr(m, g).sum()) / 2


@mistake(
    "This is the square root of the divergence, a distance, and what SciPy's `jensenshannon` returns. Asked "
    "is the divergence itself."
)
def square_root(f, g):
    return np.sqrt(jsd(f, g))


@mistake("Your unit is the bit; the largest value is ln 2 here, not 1. Use natural logarithms, `np.log`.")
def divergence_in_bits(f, g):
    return jsd(f, g) / LN2


@mistake(
    "Where a law vanishes you compute 0 times the logarithm of 0, which is NaN. Its contribution is 0: use "
    "`scipy.special.rel_entr`, or leave out the points where f (or g) is 0."
)
def zero_in_the_divergence(f, g):
    m = (f + g) / 2
    with np.errstate(all="ignore"):
        return (f * np.log(f / m) + g * np.log(g / m)).sum() / 2


def jsd_by_entropies(f, g):
    from scipy.stats import entropy

    return entropy((f + g) / 2) - (entropy(f) + entropy(g)) / 2


def jsd_by_scipy(f, g):
    from scipy.spatial.distance import jensenshannon

    return jensenshannon(f, g) ** 2


def jsd_by_the_value(f, g):
    return (value_kind_by_kind(f, g) + np.log(4)) / 2


def jsd_in_torch(f, g):
    import torch

    f, g = torch.tensor(f), torch.tensor(g)
    m = ((f + g) / 2).clamp(min=1e-300).log()
    kl = torch.nn.functional.kl_div(m, torch.stack([f, g]), reduction="sum")
    return kl / 2


E11 = Exercise(
    id="E11",
    title="The value −log 4",
    mirrors="Sayed, Example 68.5, (68.114) to (68.117); equations (5) and (6) of the proof on Saha's slides",
    purpose="turn the success of the best opponent into a divergence between two laws, constants included",
    minutes=25,
    statement="""
As many real samples as fakes are shown, of $n$ kinds. Their laws are `f` and `g`, shape `(n,)`; the masses of
each add up to 1, and some may be zero. Write two functions; both return a number, in nats.

1. `gan_value(f, g)`: the value of the game if the discriminator is the best one,
   $C=\\max_D\\,\\{\\sum_if_i\\ln D_i+\\sum_ig_i\\ln(1-D_i)\\}$. How to compute it is up to you.
2. `jsd(f, g)`: the Jensen-Shannon divergence, the mean of the two Kullback-Leibler divergences of $f$ and of
   $g$ to their mixture.

What never occurs contributes nothing: $0\\ln0=0$. Then compare the two functions for some laws, before you
read the derivation below.
""",
    functions=(
        Function(
            reference=gan_value,
            points=2,
            outputs=(Output("value", "a number"),),
            inputs=two_laws,
            right="-ln 4 for equal laws, 0 for laws that share nothing, and in between for all others.",
            hints=(
                "The best answers are D = f / (f + g), and 1 - D = g / (f + g). Put both into the two sums.",
                "Each of the sums is a Kullback-Leibler divergence to f + g; `scipy.special.rel_entr(p, q)` "
                "has the terms p ln(p / q), zeros included.",
                "Check two cases without a computer: equal laws have D = 1/2 and the value 2 ln(1/2); laws "
                "that share nothing are recognised always, and the value is 0.",
            ),
            mistakes=(
                one_divergence,
                mixture_without_half,
                bits_and_nats,
                value_in_bits,
                plus_ln_4,
                divergences_without_mixture,
                value_of_one_half,
                fakes_with_log_D,
                loss_for_value,
                risk_for_value,
                half_the_value,
                zero_times_infinity,
            ),
            alternatives=(
                value_at_the_best_answers,
                value_kind_by_kind,
                value_by_the_divergence,
                value_in_torch,
            ),
        ),
        Function(
            reference=jsd,
            points=1,
            outputs=(Output("divergence", "a number"),),
            inputs=two_laws,
            right="Symmetric, 0 for equal laws, and never more than ln 2.",
            hints=(
                "Begin with the mixture m = (f + g) / 2. A law is compared with it by the sum of p ln(p / "
                "m).",
                "Where p is 0 the term is 0. m is 0 only where both laws are: there is nothing to add.",
            ),
            mistakes=(
                sum_of_divergences,
                mixture_adds_up_to_two,
                kullback_leibler,
                symmetrised_divergence,
                one_side_only,
                mixture_first,
                square_root,
                divergence_in_bits,
                zero_in_the_divergence,
            ),
            alternatives=(jsd_by_entropies, jsd_by_scipy, jsd_by_the_value, jsd_in_torch),
        ),
    ),
    derivation=Derivation(
        task="""
1. Show that $C=-\\ln4+2\\,D_{JS}(f\\Vert g)$.
2. Show that $0\\le D_{JS}\\le\\ln2$, and say for which laws each bound is reached. (That a Kullback-Leibler
   divergence is not negative, and 0 only for equal laws, may be used.)
3. A generator puts all its mass on points where no real sample lies. It is moved a little nearer to them,
   still without touching. How does $C$ change, and what does that mean for learning?
""",
        rubric=(
            (1, "puts the best answers in and obtains two divergences to the sum f + g"),
            (1, "finds where each ln 2 of the constant comes from"),
            (1, "shows both bounds"),
            (1, "names the laws for which they are reached"),
            (1, "says how C changes, and what direction it shows to the generator"),
        ),
    ),
)

# -------------------------------------------------------------------------------------------------- 68.9


def flipped_optimal(f, g):
    """Return the best answers D (n,) to the question 'fake?', for laws f real, g fake."""
    return np.divide(g, f + g, out=np.full(f.shape, 0.5), where=f + g > 0)


def flipped_value(D, f, g):
    """Return the value of answers D (n,) to the question 'fake?', in nats: a number."""
    return xlog1py(f, -D).sum() + xlogy(g, D).sum()


def clipped_inner_min(f, g, eps):
    """Return the least sum of f ln D + g ln(1 - D) over all D from eps to 1 - eps."""
    return (np.maximum(f, g) * np.log(eps) + np.minimum(f, g) * np.log1p(-eps)).sum()


def laws_with_zeros(rng):
    """Yield laws as in E11, and one pair with tiny masses."""
    yield from two_laws(rng)
    yield np.array([0.6, 0.4, 3e-20]), np.array([0.5, 0.5, 1e-20])


def answers_and_laws(rng):
    """Yield answers, some of them 0 and 1 where that costs nothing, and laws."""
    yield np.array([0.25, 0.5, 0.75]), F, G
    yield np.array([0.5, 0.5, 0.5]), F, G
    yield np.array([0, 0.4, 1, 0.3]), np.array([0.5, 0.5, 0, 0]), np.array([0, 0.4, 0.6, 0])
    for n in (6, 20):
        f, g = rng.dirichlet(np.ones(n), size=2)
        yield rng.uniform(0.05, 0.95, n).round(3), f, g
    yield np.array([0.999999, 1e-6]), np.array([0.1, 0.9]), np.array([0.8, 0.2])


def laws_and_bounds(rng):
    """Yield laws and how far from 0 and 1 every answer must stay."""
    yield F, G, 1e-4
    yield F, G, 0.25
    yield F, F, 1e-2
    yield np.array([0.5, 0.5, 0, 0]), np.array([0, 0.4, 0.6, 0]), 1e-3
    for n in (5, 12):
        f, g = rng.dirichlet(np.ones(n), size=2)
        yield f, g, float(10 ** rng.uniform(-8, -1))


@mistake(
    "This is the best answer to the question 'real?'. With flipped labels D is the probability that the "
    "sample is a *fake*.",
    seen_in="answers",
)
def answer_to_real(f, g):
    return best_answers(f, g, 0.5)


@mistake("These are the odds g / f, not a probability. Divide by both laws together.", seen_in="answers")
def odds_of_fake(f, g):
    with np.errstate(all="ignore"):
        return g / f


@mistake(
    "Where both laws vanish you divide 0 by 0. Any answer from 0 to 1 is right there, but NaN is none.",
    seen_in="D",
    same="close",
)
def flipped_zero_by_zero(f, g):
    with np.errstate(all="ignore"):
        return g / (f + g)


@mistake(
    "You decide for the more probable kind, 1 or 0. The value asks for the probability, and punishes a sure "
    "answer that is wrong without limit.",
    seen_in="answers",
)
def flipped_decision(f, g):
    return np.where(g > f, 1.0, np.where(g < f, 0.0, 0.5))


def flipped_point_by_point(f, g):
    return [b / (a + b) if a + b else 0 for a, b in zip(f.tolist(), g.tolist(), strict=True)]


def flipped_by_the_complement(f, g):
    return 1 - best_answers(f, g, 0.5)


def flipped_in_torch(f, g):
    import torch

    both = torch.tensor(np.stack([f, g]))
    return torch.nan_to_num(both / both.sum(dim=0), nan=1.0)[1]


@mistake(
    "The labels are those of the usual game, f ln D + g ln(1 - D). Flipped, a fake has the label 1: real "
    "samples contribute ln(1 - D), fakes ln D."
)
def labels_not_flipped(D, f, g):
    return xlogy(f, D).sum() + xlog1py(g, -D).sum()


@mistake(
    "Only one of the two terms is flipped: f ln(1 - D) + g ln(1 - D). The answer D = 0 would then be perfect "
    "whatever the laws are. Two labels change."
)
def one_term_flipped(D, f, g):
    return xlog1py(f + g, -D).sum()


@mistake("Only the term of the fakes is flipped; now both have ln D, and D = 1 would be perfect always.")
def other_term_flipped(D, f, g):
    return xlogy(f + g, D).sum()


@mistake("This is minus the value: a loss to be minimised. The value is never above 0.")
def flipped_loss(D, f, g):
    return -flipped_value(D, f, g)


@mistake(
    "You divide the value by 2, as for the mean over all samples. The value is the sum of two expected "
    "values."
)
def flipped_mean(D, f, g):
    return flipped_value(D, f, g) / 2


@mistake(
    "Where a law vanishes, an answer of 0 or 1 gives you 0 times infinity, that is NaN. What never occurs "
    "costs nothing: `scipy.special.xlogy(f, y)` is f ln y with 0 where f is 0."
)
def flipped_zero_times_infinity(D, f, g):
    with np.errstate(all="ignore"):
        return (f * np.log(1 - D) + g * np.log(D)).sum()


def flipped_value_kind_by_kind(D, f, g):
    from math import log

    value = 0.0
    for y, a, b in zip(D.tolist(), f.tolist(), g.tolist(), strict=True):
        value += (a * log(1 - y) if a else 0) + (b * log(y) if b else 0)
    return value


def flipped_value_of_the_parts(D, f, g):
    return f[f > 0] @ np.log1p(-D[f > 0]) + g[g > 0] @ np.log(D[g > 0])


def flipped_value_in_torch(D, f, g):
    import torch

    D, f, g = map(torch.tensor, (D, f, g))
    return (torch.special.xlogy(f, 1 - D) + torch.special.xlogy(g, D)).sum()


@mistake(
    "You put in D = f / (f + g), where the derivative vanishes. There the sum is *largest*: it is concave in "
    "each answer. The minimum lies at an end."
)
def stationary_point(f, g, eps):
    return gan_value(f, g)


@mistake(
    "Every point has the same answer eps. Each point has its own choice: where g exceeds f, the other end, "
    "1 - eps, is lower."
)
def always_the_lower_end(f, g, eps):
    return (f * np.log(eps) + g * np.log1p(-eps)).sum()


@mistake("These are the *highest* of the two ends. For the minimum the larger mass takes ln(eps).")
def wrong_end(f, g, eps):
    return (np.minimum(f, g) * np.log(eps) + np.maximum(f, g) * np.log1p(-eps)).sum()


@mistake(
    "The mass that takes ln(1 - eps) is missing, or taken for 0. That is a good approximation for tiny eps "
    "only."
)
def small_part_left_out(f, g, eps):
    return np.maximum(f, g).sum() * np.log(eps)


@mistake(
    "Both terms stand at ln(eps) at once. One answer D cannot be near 0 and near 1: if ln D is ln(eps), the "
    "other term is ln(1 - eps)."
)
def both_terms_at_the_bound(f, g, eps):
    return (f + g).sum() * np.log(eps)


@mistake("Without a bound the smallest value is -inf; here no answer may be nearer to 0 or 1 than eps.")
def bound_ignored(f, g, eps):
    return -np.inf + 0 * f.sum()


def inner_min_of_two_ends(f, g, eps):
    ends = [f * np.log(D) + g * np.log(1 - D) for D in (eps, 1 - eps)]
    return np.min(ends, axis=0).sum()


def inner_min_on_a_grid(f, g, eps):
    D = np.linspace(eps, 1 - eps, 1001)[:, None]
    return (f * np.log(D) + g * np.log(1 - D)).min(axis=0).sum()


def inner_min_by_total_variation(f, g, eps):
    from math import log

    tv = np.abs(f - g).sum() / 2
    return (1 + tv) * log(eps) + (1 - tv) * log(1 - eps)


def inner_min_in_torch(f, g, eps):
    import torch

    D = torch.tensor(np.where(f > g, eps, 1 - eps))
    f, g = torch.tensor(f), torch.tensor(g)
    return (f * D.log() + g * (1 - D).log()).sum()


P9 = Exercise(
    id="68.9",
    title="Flipped labels",
    mirrors="Sayed, Problem 68.9 (with a correction, erratum S34)",
    purpose="ask the discriminator for fakes instead of real samples, and see which rewriting keeps the game",
    minutes=30,
    statement="""
Let fakes have the label 1 and real samples the label 0, so that $D$ is the probability of a *fake*. The laws
are `f` (real) and `g` (fake), shape `(n,)`, each with the sum 1, and as many samples of either kind are
shown. Write three functions.

1. `flipped_optimal(f, g)`: the best answers, shape `(n,)`. Where both laws vanish, any number from 0 to 1.
2. `flipped_value(D, f, g)`: the value of answers `D`, shape `(n,)`: what the discriminator with these labels
   maximises, as two expected values, in nats. What never occurs contributes 0, whatever `D` says there.
3. `clipped_inner_min(f, g, eps)`: the problem ends with a rewriting in which the discriminator *minimises*
   $\\sum_if_i\\ln D_i+\\sum_ig_i\\ln(1-D_i)$. That has no minimum, as you will see. Let therefore every
   answer stay between `eps` and `1 - eps`, with `eps` below one half, and return the smallest sum.
""",
    functions=(
        Function(
            reference=flipped_optimal,
            points=1,
            outputs=(
                Output("D", "(n,)", same="anything"),
                Output("answers", "(n,)", derived="answers_that_count"),
            ),
            inputs=laws_with_zeros,
            right="The share of fakes among all samples: the same knowledge, asked the other way round.",
            hints=(
                "At each point f ln(1 - D) + g ln D is to be as large as possible. Set the derivative to "
                "zero.",
                "It is 1 minus the answer of E10 for pi = 1/2.",
            ),
            mistakes=(answer_to_real, odds_of_fake, flipped_zero_by_zero, flipped_decision),
            alternatives=(flipped_point_by_point, flipped_by_the_complement, flipped_in_torch),
        ),
        Function(
            reference=flipped_value,
            points=1,
            outputs=(Output("value", "a number"),),
            inputs=answers_and_laws,
            right="At the best answers it is the same number as before: flipping names changes no game.",
            hints=(
                "For a sample with label 1 the discriminator collects ln D, for one with label 0 ln(1 - D). "
                "Which law belongs to which?",
                "Use `scipy.special.xlogy(g, D)` for g ln D, and `xlog1py(f, -D)` for f ln(1 - D): both are "
                "0 where the law is 0.",
            ),
            mistakes=(
                labels_not_flipped,
                one_term_flipped,
                other_term_flipped,
                flipped_loss,
                flipped_mean,
                flipped_zero_times_infinity,
            ),
            alternatives=(
                flipped_value_kind_by_kind,
                flipped_value_of_the_parts,
                flipped_value_in_torch,
            ),
        ),
        Function(
            reference=clipped_inner_min,
            points=2,
            outputs=(Output("minimum", "a number"),),
            inputs=laws_and_bounds,
            right="All answers sit at a bound, and the sum falls without limit as eps does: this is no "
            "longer the game of the chapter.",
            hints=(
                "Draw f ln D + g ln(1 - D) as a function of D. Is its stationary point a maximum or a "
                "minimum?",
                "A concave function is smallest at one of its ends: compare D = eps with D = 1 - eps, at "
                "every point by itself.",
            ),
            mistakes=(
                stationary_point,
                always_the_lower_end,
                wrong_end,
                small_part_left_out,
                both_terms_at_the_bound,
                bound_ignored,
            ),
            alternatives=(
                inner_min_of_two_ends,
                inner_min_on_a_grid,
                inner_min_by_total_variation,
                inner_min_in_torch,
            ),
        ),
    ),
    derivation=Derivation(
        task="""
1. Show that the best answers to the flipped question are worth $-\\ln4+2\\,D_{JS}(f\\Vert g)$, and that
   flipping changes neither player's best move.
2. Write the flipped game exactly as $\\arg\\max_G\\min_D$ of one expression.
3. The problem prints $\\arg\\max_G\\min_D\\{\\mathbb E\\ln D(h)+\\mathbb E\\ln(1-D(\\hat h))\\}$. Show that
   its inner minimum is not finite, and find it for $D\\in[\\varepsilon,1-\\varepsilon]$ in terms of the total
   variation $TV=\\frac12\\sum_i|f_i-g_i|$. What does the printed form share with the game, and what not?
""",
        rubric=(
            (1, "finds the value, by calculation or by exchanging the names of D and 1 - D"),
            (1, "changes the sign of the whole expression, and so of both orders"),
            (2, "shows that each term is concave, takes the lower end at every point, and finds the sum"),
            (1, "says what is kept (the direction of each player, the solution f = g) and what is lost"),
        ),
    ),
)

SET = ProblemSet(
    name="08_adversarial_game",
    title="The adversarial game",
    opening="""
Three exercises on [chapter 8](../08_adversarial_game.ipynb): what the best discriminator answers, what its
success measures, and what happens if one asks it for fakes instead of real samples. No network is needed,
only tables of probabilities; NumPy and perhaps SciPy are enough.
""",
    exercises=(E10, E11, P9),
)
