"""The problem set of chapter 5: laws out of a Gaussian, the bound with a label, a gradient through draws.

It mirrors Problems 68.1 and 68.2 of Sayed's chapter, and adds E20. References are plain NumPy, with SciPy's
Gaussian distribution function, and do not use the library's `bound` or `divergences`, so that they can be
compared. Left out: Problem 68.3, which changes the training of chapter 6.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import math

import numpy as np

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake
from gennet.exercises.given import Given

# -------------------------------------------------------------------------------------------------- 68.1


def gaussian_to(u, quantile):
    """Return x, of the shape of u, increasing in u: its law has this quantile function."""
    from scipy.special import ndtr

    return quantile(ndtr(u), ndtr(-u))


def quantile_discrete(t, support, probs):
    """Return for each t (n,) the least x with F(x) >= t; masses probs (K,) at support."""
    order = np.argsort(support)
    F = np.cumsum(probs[order])
    return support[order][np.searchsorted(F, t)]


def draws_and_laws(rng):
    """Yield standard normal numbers, some of them far out, and quantile functions."""
    exponential = Given("exponential_quantile")
    yield np.array([-1.0, 0, 2]), exponential
    yield np.array([-1.0, 0, 2]), Given("uniform_quantile")
    yield np.array([-2.0, -0.5, 1, 1.5]), Given("logistic_quantile")
    yield rng.normal(size=(3, 4)).round(3), Given("exponential_quantile", rate=2.5)
    yield np.array([8.0, 9]), exponential
    yield np.array([-9.0, -8]), Given("logistic_quantile")
    yield np.array([9.0, -9]), Given("logistic_quantile")


def probabilities_and_masses(rng):
    """Yield probabilities, some of them where F jumps, and masses in any order, some of them 0."""
    at_jumps = np.array([0.125, 0.25, 0.5, 0.75, 1])
    yield at_jumps, np.array([1.0, 2, 5]), np.array([0.25, 0.5, 0.25])
    yield at_jumps, np.array([5.0, 1, 2]), np.array([0.25, 0.25, 0.5])
    yield at_jumps, np.array([0.0, 1, 2, 3]), np.array([0, 0.5, 0, 0.5])
    yield np.array([0.3]), np.array([-4.0]), np.array([1.0])
    for n, K in [(20, 4), (7, 12)]:
        masses = rng.exponential(size=K) * (rng.random(K) < 0.8) + 0.01
        yield rng.uniform(size=n), rng.permutation(np.arange(K) ** 1.5 - 3), masses / masses.sum()


def phi(u):
    return np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)


def ndtr(u):
    return gaussian_to(u, lambda t, s: t)


def quietly(function, *arguments):
    with np.errstate(all="ignore"):
        return function(*arguments)


@mistake(
    "You put the density of u where its distribution function belongs. Which function of u is uniform on "
    "(0, 1)? Not the height of the bell at u, but the area to the left of u."
)
def density_for_the_distribution_function(u, quantile):
    return quietly(quantile, phi(u), 1 - phi(u))


@mistake(
    "You give u itself to the quantile function. It expects a probability, a number in (0, 1): first make a "
    "uniform number of u."
)
def no_distribution_function(u, quantile):
    return quietly(quantile, u, 1 - u)


@mistake(
    "Your map is right for most u, but far out on the right it fails: 1 - t loses all its digits where t is "
    "nearly 1. The area to the right of u has its own formula: it is the area to the left of -u."
)
def one_minus_t(u, quantile):
    return quietly(quantile, ndtr(u), 1 - ndtr(u))


@mistake(
    "Your map is right for most u, but fails far out on both sides: with erf, both areas are differences of "
    "numbers near 1. `scipy.special.ndtr`, or erfc instead of erf, keeps their digits."
)
def both_areas_by_erf(u, quantile):
    erf = np.vectorize(math.erf)(u / math.sqrt(2))
    return quietly(quantile, (1 + erf) / 2, (1 - erf) / 2)


@mistake(
    "Your numbers have the right law, but your map falls where it should rise: the law of u is its own "
    "mirror image, so both do. Asked is the increasing map: t is the area to the left of u."
)
def falling_instead_of_rising(u, quantile):
    return quantile(ndtr(-u), ndtr(u))


@mistake(
    "You use the distribution function F of the target where its inverse belongs. Try a target with values "
    "beyond 1: F can never give them. From u to a probability, from the probability to x."
)
def distribution_function_for_its_inverse(u, quantile):
    lo, hi = np.zeros_like(u), np.ones_like(u)
    for _ in range(60):  # F(x) = t where quantile(t) = x, for x = Φ(u)
        t = (lo + hi) / 2
        below = quietly(quantile, t, 1 - t) < ndtr(u)
        lo, hi = np.where(below, t, lo), np.where(below, hi, t)
    return lo


@mistake(
    "Where F reaches t exactly, you take the next point. The least x with F(x) >= t is wanted: at a jump "
    "that is the point itself (`side='left'`, or >= instead of >)."
)
def beyond_the_jump(t, support, probs):
    order = np.argsort(support)
    place = np.searchsorted(np.cumsum(probs[order]), t, side="right")
    return support[order][np.minimum(place, len(support) - 1)]


@mistake(
    "You take the points in the order in which they come. F adds up masses from the least point to "
    "the greatest."
)
def points_not_sorted(t, support, probs):
    place = np.searchsorted(np.cumsum(probs), t)
    return support[np.minimum(place, len(support) - 1)]


@mistake(
    "The points are sorted, but the masses are not taken along. Sort both in the same order: "
    "`order = np.argsort(support)`, then `support[order]` and `probs[order]`."
)
def masses_left_behind(t, support, probs):
    place = np.searchsorted(np.cumsum(probs), t)
    return np.sort(support)[np.minimum(place, len(support) - 1)]


@mistake("You return the number of the point. Return the point: `support[...]` at that place.")
def number_of_the_point(t, support, probs):
    return np.searchsorted(np.cumsum(probs[np.argsort(support)]), t).astype(float)


@mistake(
    "You return a probability, F at the point. Return the point itself: the inverse of F gives values of x."
)
def probability_instead_of_the_point(t, support, probs):
    F = np.cumsum(probs[np.argsort(support)])
    return F[np.searchsorted(F, t)]


@mistake(
    "You interpolate between the points. A discrete law has no values in between: its quantile function is a "
    "staircase."
)
def interpolated(t, support, probs):
    order = np.argsort(support)
    return np.interp(t, np.cumsum(probs[order]), support[order])


def by_scipy_stats(u, quantile):
    from scipy import stats

    return quantile(stats.norm.cdf(u), stats.norm.sf(u))


def by_erfc(u, quantile):
    erfc = np.vectorize(math.erfc)
    return quantile(erfc(-u / math.sqrt(2)) / 2, erfc(u / math.sqrt(2)) / 2)


def by_torch(u, quantile):
    import torch

    u = torch.tensor(u)
    t, s = (torch.special.erfc(x / math.sqrt(2)) / 2 for x in (-u, u))
    return torch.tensor(quantile(t.numpy(), s.numpy()))


def number_by_number(u, quantile):
    def one(x):
        return float(quantile(math.erfc(-x / math.sqrt(2)) / 2, math.erfc(x / math.sqrt(2)) / 2))

    return [one(x) for x in u] if u.ndim == 1 else [[one(x) for x in row] for row in u]


def by_comparing_all(t, support, probs):
    F = np.array([probs[support <= x].sum() for x in support])  # in any order
    return np.where(t[:, None] <= F + 1e-12, support, np.inf).min(axis=1)


def by_loops(t, support, probs):
    found = []
    for level in t:
        total = 0.0
        for x, mass in sorted(zip(support, probs, strict=True)):
            total += mass
            if total >= level - 1e-12:
                found.append(x)
                break
    return found


def by_walking_down(t, support, probs):
    order = sorted(range(len(support)), key=lambda k: -support[k])  # the greatest point first
    x = np.full(len(t), support[order[0]])
    left = 1.0  # F at the point
    for k in order:
        x[t <= left + 1e-12] = support[k]
        left -= probs[k]
    return x


P1 = Exercise(
    id="68.1",
    title="Make any law out of a Gaussian",
    mirrors="Problem 68.1, on which Remark 68.1 and the standard Gaussian prior (68.19) rest",
    purpose="see that one number with a Gaussian law can be turned into a number with any law",
    minutes=25,
    statement="""
Let $F$ be a distribution function and $F^{-1}(t)=\\inf\\{x: F(x)\\ge t\\}$ its quantile function.

1. Write `gaussian_to(u, quantile)`: the **increasing** function of $u$ that turns standard Gaussian
   numbers into numbers with the law whose quantile function is given. `quantile(t, s)` takes two arrays
   of one shape, the probability $t$ below the wanted point and the probability $s=1-t$ above it, so that
   it can be exact in both tails. `u` has any shape and may be as far out as $\\pm9$; the digits must be
   right there, too.
2. Write `quantile_discrete(t, support, probs)` for a law of finitely many points: `support` `(K,)`, in
   any order, no point twice; `probs` `(K,)`, their masses, some of which may be 0; `t` `(n,)`, with
   $0<t\\le1$. Where $F$ reaches $t$ exactly, mind the infimum.
""",
    functions=(
        Function(
            reference=gaussian_to,
            points=3,
            outputs=(Output("x", "the shape of u"),),
            inputs=draws_and_laws,
            right="The area to the left of u is uniform, and the quantile function makes the wanted law "
            "of it, "
            "in both tails.",
            hints=(
                "Let Phi be the distribution function of u. What is the probability that Phi(u) "
                "lies below t?",
                "`scipy.special.ndtr` is Phi for arrays; `math.erfc` gives it for numbers: "
                "Phi(u) = erfc(-u / sqrt(2)) / 2.",
                "The area to the right of u is the area to the left of -u. Computed so, it keeps its digits: "
                "at u = 9 it is about 1e-19, while 1 - Phi(9) is 0.",
            ),
            mistakes=(
                density_for_the_distribution_function,
                no_distribution_function,
                one_minus_t,
                both_areas_by_erf,
                falling_instead_of_rising,
                distribution_function_for_its_inverse,
            ),
            alternatives=(by_scipy_stats, by_erfc, by_torch, number_by_number),
        ),
        Function(
            reference=quantile_discrete,
            points=2,
            outputs=(Output("x", "(n,)"),),
            inputs=probabilities_and_masses,
            right="The least point at which F has reached t, at its jumps as well.",
            hints=(
                "Sort the points, and their masses along with them; `np.cumsum` then gives F at each point.",
                "`np.searchsorted(F, t)` finds the first place at which F is at least t.",
                "Points with mass 0 need no care: F does not grow there, so they are never the first.",
            ),
            mistakes=(
                beyond_the_jump,
                points_not_sorted,
                masses_left_behind,
                number_of_the_point,
                probability_instead_of_the_point,
                interpolated,
            ),
            alternatives=(by_comparing_all, by_loops, by_walking_down),
        ),
    ),
    derivation=Derivation(
        task="""
Let $\\mathbf u$ be standard Gaussian with distribution function $\\Phi$, and $F$ any distribution
function on the line, continuous or not. Show that $F^{-1}(\\Phi(\\mathbf u))$ has the distribution
function $F$. Say in a sentence how a vector with a given law can be made of independent Gaussian numbers.
""",
        rubric=(
            (1, "shows that Phi(u) is uniform on (0, 1)"),
            (1, "shows that the quantile of t is at most x if and only if t is at most F(x), jumps included"),
            (1, "treats a vector entry by entry, with quantiles conditional on the entries before"),
        ),
    ),
)

# -------------------------------------------------------------------------------------------------- 68.2


def kl(p, q):
    terms = np.zeros_like(p)
    np.log(p / np.where(p > 0, q, 1), out=terms, where=p > 0)
    return (p * terms).sum()


def expected_log(q, values):
    return (q * np.log(np.where(q > 0, values, 1))).sum()


def conditional_elbo(joint, h, c, q):
    """Return gap, reconstruction, divergence: joint (H, U, C), indices h and c, q (U,)."""
    with_u = joint[:, :, c].sum(axis=0)  # f(u, c)
    posterior = joint[h, :, c] / joint[h, :, c].sum()
    prior = with_u / with_u.sum()
    decoder = joint[h, :, c] / np.where(with_u > 0, with_u, 1)
    return kl(q, posterior), expected_log(q, decoder), kl(q, prior)


def conditional_tables(rng):
    """Yield tables and laws q: one with zeros, one that is the posterior, one with a single class."""
    small = np.array([[[4.0, 1], [2, 3]], [[1, 5], [6, 2]]]) / 24
    yield small, 0, 1, np.array([0.5, 0.5])
    for H, U, C in [(3, 4, 2), (2, 5, 3), (4, 3, 4)]:
        joint = rng.exponential(size=(H, U, C))
        q = rng.exponential(size=U)
        yield joint / joint.sum(), int(rng.integers(H)), int(rng.integers(C)), q / q.sum()
    joint = rng.exponential(size=(3, 4, 2))
    joint[1, 2, 0] = 0
    yield joint / joint.sum(), 1, 0, np.array([0.5, 0.2, 0, 0.3])
    yield joint / joint.sum(), 2, 1, joint[2, :, 1] / joint[2, :, 1].sum()
    joint = rng.exponential(size=(3, 4, 1))
    yield joint / joint.sum(), 1, 0, np.array([0.1, 0.2, 0.3, 0.4])


def terms_with(gap=None, recon=None, kl_=None):
    """Return the reference with some of its terms replaced by functions of its arguments."""

    def answer(joint, h, c, q):
        right = conditional_elbo(joint, h, c, q)
        changes = [quietly(change, joint, h, c, q) if change else None for change in (gap, recon, kl_)]
        return tuple(old if new is None else new for old, new in zip(right, changes, strict=True))

    return answer


def conditionals(joint, h, c):
    """Return posterior and prior given the class."""
    return joint[h, :, c] / joint[h, :, c].sum(), joint[:, :, c].sum(0) / joint[:, :, c].sum()


@mistake(
    "Your divergence is from f(u), the prior of all classes together. Every law must be "
    "conditioned: take the "
    "class from the table first, then f(u|c).",
    seen_in="divergence",
)
def prior_of_all_classes(joint, h, c, q):
    return terms_with(kl_=lambda joint, h, c, q: kl(q, joint.sum(axis=(0, 2))))(joint, h, c, q)


@mistake(
    "Your divergence is from f(u, c), which does not sum to 1. Divide the slice of the class by its sum: "
    "f(u|c) = f(u, c) / f(c).",
    seen_in="divergence",
)
def prior_not_normalised(joint, h, c, q):
    return terms_with(kl_=lambda joint, h, c, q: kl(q, joint[:, :, c].sum(0)))(joint, h, c, q)


@mistake(
    "Your reconstruction uses f(h|u), averaged over the classes. Slice the class before you normalise: "
    "f(h|u, c) = f(h, u, c) / f(u, c).",
    seen_in="reconstruction",
)
def decoder_of_all_classes(joint, h, c, q):
    return terms_with(recon=lambda joint, h, c, q: expected_log(q, joint[h].sum(-1) / joint.sum((0, 2))))(
        joint, h, c, q
    )


@mistake(
    "Your reconstruction uses f(h, u|c), the joint law. The decoder is f(h|u, c): divide by f(u, "
    "c), not by f(c).",
    seen_in="reconstruction",
)
def joint_law_for_the_decoder(joint, h, c, q):
    return terms_with(recon=lambda joint, h, c, q: expected_log(q, joint[h, :, c] / joint[:, :, c].sum()))(
        joint, h, c, q
    )


@mistake(
    "Your reconstruction has the wrong sign. It is the mean of a logarithm of probabilities: at most 0.",
    seen_in="reconstruction",
)
def reconstruction_with_a_minus(joint, h, c, q):
    gap, recon, divergence = conditional_elbo(joint, h, c, q)
    return gap, -recon, divergence


@mistake(
    "Your gap is to f(u|h), the posterior of all classes together. The left side is ln f(h|c), so the "
    "posterior is f(u|h, c).",
    seen_in="gap",
)
def posterior_of_all_classes(joint, h, c, q):
    return terms_with(gap=lambda joint, h, c, q: kl(q, joint[h].sum(-1) / joint[h].sum()))(joint, h, c, q)


@mistake(
    "Your posterior is divided by f(h). The left side of the theorem is conditional, too: the evidence is "
    "f(h|c), and the posterior f(h, u, c) / f(h, c).",
    seen_in="gap",
)
def evidence_of_all_classes(joint, h, c, q):
    return terms_with(gap=lambda joint, h, c, q: kl(q, joint[h, :, c] / joint[h].sum()))(joint, h, c, q)


@mistake(
    "The arguments of your gap are exchanged. The mean is taken under q, so q comes first: D(q || "
    "posterior).",
    seen_in="gap",
)
def gap_exchanged(joint, h, c, q):
    return terms_with(gap=lambda joint, h, c, q: kl(conditionals(joint, h, c)[0], q))(joint, h, c, q)


@mistake(
    "The arguments of your divergence are exchanged. The mean is taken under q, so q comes first: "
    "D(q || prior).",
    seen_in="divergence",
)
def divergence_exchanged(joint, h, c, q):
    return terms_with(kl_=lambda joint, h, c, q: kl(conditionals(joint, h, c)[1], q))(joint, h, c, q)


@mistake(
    "You get NaN where q is 0. There 0 ln 0 counts as 0: leave out the values of u that q does not allow.",
    seen_in="gap divergence",
)
def zero_times_the_logarithm_of_zero(joint, h, c, q):
    def literally(p):
        return quietly(lambda: (q * np.log(q / p)).sum())

    posterior, prior = conditionals(joint, h, c)
    return literally(posterior), conditional_elbo(joint, h, c, q)[1], literally(prior)


@mistake("Your logarithms are to base 2. This course counts in nats: use the natural logarithm.")
def in_bits(joint, h, c, q):
    return tuple(value / math.log(2) for value in conditional_elbo(joint, h, c, q))


@mistake(
    "Gap and divergence are right, but the reconstruction is missing a mean: it should be the mean "
    "of ln f(h|u, c) "
    "under q, not the logarithm of the mean.",
    seen_in="reconstruction",
)
def logarithm_of_the_mean(joint, h, c, q):
    gap, _, divergence = conditional_elbo(joint, h, c, q)
    decoder = joint[h, :, c] / joint[:, :, c].sum(0)
    return gap, np.log(q @ decoder), divergence


def by_scipy(joint, h, c, q):
    from scipy.special import rel_entr, xlogy

    table = joint[..., c] / joint[..., c].sum()
    prior = table.sum(axis=0)
    return (
        rel_entr(q, table[h] / table[h].sum()).sum(),
        xlogy(q, table[h] / prior).sum(),
        rel_entr(q, prior).sum(),
    )


def by_entries(joint, h, c, q):
    gap = recon = divergence = 0.0
    f_c = joint[:, :, c].sum()
    for u in range(len(q)):
        if q[u] == 0:
            continue
        f_uc, f_huc = joint[:, u, c].sum(), joint[h, u, c]
        gap += q[u] * math.log(q[u] * joint[h, :, c].sum() / f_huc)
        recon += q[u] * math.log(f_huc / f_uc)
        divergence += q[u] * math.log(q[u] * f_c / f_uc)
    return [gap, recon, divergence]


def gap_as_the_rest(joint, h, c, q):
    _, recon, divergence = conditional_elbo(joint, h, c, q)
    return math.log(joint[h, :, c].sum() / joint[:, :, c].sum()) - recon + divergence, recon, divergence


P2 = Exercise(
    id="68.2",
    title="The bound with a label",
    mirrors="Problem 68.2, the conditional bound (68.82)",
    purpose="carry the theorem of chapter 5 over to a model that is told the class",
    minutes=30,
    statement="""
Now everything is conditioned on a class $c$. On a table `joint[h, u, c]` of masses $f(h,u,c)$ that sum to
1, write `conditional_elbo(joint, h, c, q)`. Here `h` and `c` are what was observed (indices from 0) and
`q` `(U,)` is any law of $u$. Return three numbers, in nats,

$$ \\text{gap}=D_{\\mathrm{KL}}(q\\,\\Vert\\,f(u\\mid h,c)),\\qquad
\\text{reconstruction}=\\mathbb E_q\\ln f(h\\mid u,c),\\qquad
\\text{divergence}=D_{\\mathrm{KL}}(q\\,\\Vert\\,f(u\\mid c)), $$

in this order, so that $\\text{gap}+\\text{reconstruction}-\\text{divergence}=\\ln f(h\\mid c)$. Where `q`
is 0, its terms count 0.
""",
    functions=(
        Function(
            reference=conditional_elbo,
            points=4,
            outputs=(
                Output("gap", "a number"),
                Output("reconstruction", "a number"),
                Output("divergence", "a number"),
            ),
            inputs=conditional_tables,
            right="Every law is conditioned on the class, and the three terms add up to ln f(h|c).",
            hints=(
                "`joint[:, :, c]` is the slice of the class, shape (H, U). Divided by its sum it is"
                " f(h, u|c), and "
                "everything else follows from it as without classes.",
                "Prior: the slice summed over h. Posterior: its row h, divided by the sum of that "
                "row. Decoder: row h "
                "divided by the prior.",
                "Check your three numbers: gap + reconstruction - divergence must be the logarithm "
                "of the sum of row h.",
            ),
            mistakes=(
                prior_of_all_classes,
                prior_not_normalised,
                decoder_of_all_classes,
                joint_law_for_the_decoder,
                reconstruction_with_a_minus,
                logarithm_of_the_mean,
                posterior_of_all_classes,
                evidence_of_all_classes,
                gap_exchanged,
                divergence_exchanged,
                zero_times_the_logarithm_of_zero,
                in_bits,
            ),
            alternatives=(by_scipy, by_entries, gap_as_the_rest),
        ),
    ),
    derivation=Derivation(
        task="""
Show, for every law $q(u\\mid h,c)$ that allows only what the posterior allows,

$$ \\ln f(h\\mid c)=D_{\\mathrm{KL}}\\bigl(q\\Vert f(u\\mid h,c)\\bigr)+\\mathbb E_q\\ln f(h\\mid u,c)
-D_{\\mathrm{KL}}\\bigl(q\\Vert f(u\\mid c)\\bigr), $$

and say when the last two terms are equal to $\\ln f(h\\mid c)$.
""",
        rubric=(
            (1, "writes the left side as its own mean under q, because it does not depend on u"),
            (1, "uses Bayes' rule with every law conditioned on c"),
            (1, "multiplies and divides by q, and separates the logarithm into the three terms"),
            (1, "finds equality exactly where q is the posterior, because a divergence is 0 only there"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E20


def kl_to_standard(mu, a):
    """Return D(N(mu, diag exp a) || N(0, I)), shape (...), for mu and a (..., P)."""
    P = mu.shape[-1]
    return (-a.sum(axis=-1) - P + np.exp(a).sum(axis=-1) + (mu**2).sum(axis=-1)) / 2


def pathwise_grad(mu, a, eps, dfdu):
    """Return the gradients in mu (P,) and in a (P,), averaged over the draws eps (n, P)."""
    sigma = np.exp(a / 2)
    slope = dfdu(mu + sigma * eps)  # (n, P)
    return slope.mean(axis=0), (slope * sigma * eps / 2).mean(axis=0)


def moments(rng):
    """Yield means and log-variances; the determinant is never 1."""
    yield np.array([1.0, -2]), np.log([0.5, 3])
    yield np.array([[1.0, -2], [0.5, 0], [0, 0]]), np.log([[0.5, 3], [1.5, 0.25], [1, 1]])
    for shape in [(1, 5), (4, 3), (2, 3, 2), (3,)]:
        yield rng.normal(size=shape).round(3), rng.normal(0.4, 1, size=shape).round(3)


@mistake(
    "The logarithm has the wrong sign: a small variance must cost, and -ln of a small number is "
    "large. The sum of "
    "the log-variances is subtracted."
)
def wrong_sign_of_the_logarithm(mu, a):
    return kl_to_standard(mu, a) + a.sum(axis=-1)


@mistake(
    "The factor 1/2 in front of (68.20) is missing. Compare with a library, or with the quadrature "
    "of chapter 5."
)
def factor_one_half_missing(mu, a):
    return 2 * kl_to_standard(mu, a)


@mistake("P is not subtracted. The divergence of the prior from itself, mu = 0 and a = 0, must be 0.")
def P_not_subtracted(mu, a):
    return kl_to_standard(mu, a) + mu.shape[-1] / 2


@mistake("You subtract 1 once, not once for each of the P entries: the prior itself must give 0 for every P.")
def one_instead_of_P(mu, a):
    return kl_to_standard(mu, a) + (mu.shape[-1] - 1) / 2


@mistake(
    "You take exp(a) for a standard deviation. It is a variance: a = ln sigma squared, so the "
    "standard deviation is "
    "exp(a/2)."
)
def exp_a_for_a_standard_deviation(mu, a):
    return kl_to_standard(mu, 2 * a)


@mistake(
    "You use exp(a/2), a standard deviation, where (68.20) has the variance exp(a): the trace of "
    "the covariance adds "
    "up variances."
)
def standard_deviations_in_the_trace(mu, a):
    return kl_to_standard(mu, a) + (np.exp(a / 2) - np.exp(a)).sum(axis=-1) / 2


@mistake("You take a itself for the variance. It is its logarithm: the variance is exp(a).")
def a_for_the_variance(mu, a):
    return quietly(lambda: (-np.log(a) - 1 + a + mu**2).sum(axis=-1) / 2)


@mistake(
    "This is the divergence in the other direction, of the prior from q. The mean is taken under q:"
    " q comes first."
)
def other_direction(mu, a):
    return (a + (1 + mu**2) * np.exp(-a) - 1).sum(axis=-1) / 2


@mistake("The means are not squared: (68.20) has the squared length of mu.")
def means_not_squared(mu, a):
    return kl_to_standard(mu, a) + (mu - mu**2).sum(axis=-1) / 2


@mistake(
    "You return one number for all samples together. Sum over the last axis only: one divergence "
    "for each leading "
    "index."
)
def one_number_for_all(mu, a):
    return kl_to_standard(mu, a).sum()


@mistake("You average over the P entries. Divergences of independent entries add up: sum over the last axis.")
def averaged_over_entries(mu, a):
    return kl_to_standard(mu, a) / mu.shape[-1]


def draws(rng):
    """Yield moments, draws and slopes."""
    square, cube, wave = Given("power_slope"), Given("power_slope", n=3), Given("wave_slope")
    yield np.array([0.7]), np.array([-0.5]), np.array([[1.0], [-0.5], [2.0]]), square
    for n, P, slope in [(5, 3, square), (8, 2, cube), (7, 4, wave), (1, 2, wave)]:
        mu, a = rng.normal(size=(2, P)).round(3)
        yield mu, a, rng.normal(size=(n, P)).round(3), slope


def changed_paths(sigma_of=lambda a: np.exp(a / 2), inner=None):
    """Return an answer with another standard deviation, or another derivative of u in a."""

    def answer(mu, a, eps, dfdu):
        sigma = sigma_of(a)
        slope = dfdu(mu + sigma * eps)
        factor = sigma * eps / 2 if inner is None else inner(sigma, eps)
        return slope.mean(axis=0), (slope * factor).mean(axis=0)

    return answer


@mistake(
    "You take exp(a) for the standard deviation. a is the logarithm of the variance, so draws are "
    "made with exp(a/2)."
)
def drawn_with_exp_a(mu, a, eps, dfdu):
    return changed_paths(np.exp)(mu, a, eps, dfdu)


@mistake(
    "You take exp(a) for the standard deviation, and differentiate it as such. a is the logarithm "
    "of the variance: draws "
    "are made with exp(a/2), whose derivative is half of it."
)
def drawn_and_differentiated_with_exp_a(mu, a, eps, dfdu):
    return changed_paths(np.exp, lambda sigma, eps: sigma * eps)(mu, a, eps, dfdu)


@mistake(
    "The factor 1/2 is missing in the gradient in a: the derivative of exp(a/2) is half of itself.",
    seen_in="grad_a",
)
def one_half_missing(mu, a, eps, dfdu):
    return changed_paths(inner=lambda sigma, eps: sigma * eps)(mu, a, eps, dfdu)


@mistake(
    "eps is missing in the gradient in a: u = mu + exp(a/2) eps is linear in eps, and so is its "
    "derivative in a.",
    seen_in="grad_a",
)
def eps_missing(mu, a, eps, dfdu):
    return changed_paths(inner=lambda sigma, eps: sigma / 2)(mu, a, eps, dfdu)


@mistake(
    "Your gradient in a is the one in the standard deviation. The parameter is a: go on with the "
    "derivative of "
    "exp(a/2) in a.",
    seen_in="grad_a",
)
def in_the_standard_deviation(mu, a, eps, dfdu):
    return changed_paths(inner=lambda sigma, eps: eps)(mu, a, eps, dfdu)


@mistake(
    "exp(a/2) is missing in the gradient in a: the derivative of exp(a/2) eps is 1/2 exp(a/2) eps.",
    seen_in="grad_a",
)
def sigma_missing(mu, a, eps, dfdu):
    return changed_paths(inner=lambda sigma, eps: eps / 2)(mu, a, eps, dfdu)


@mistake(
    "You take the slope at eps. It belongs at the draw u = mu + exp(a/2) eps: make u first.",
    seen_in="grad_mu",
)
def slope_at_eps(mu, a, eps, dfdu):
    return dfdu(eps).mean(axis=0), (dfdu(eps) * np.exp(a / 2) * eps / 2).mean(axis=0)


@mistake(
    "You take the slope at the mean. Then the draws do not matter, and for a curved function the gradient is "
    "wrong on average: the slope belongs at u = mu + exp(a/2) eps.",
    seen_in="grad_mu",
)
def slope_at_the_mean(mu, a, eps, dfdu):
    slope = dfdu(mu + 0 * eps)
    return slope.mean(axis=0), (slope * np.exp(a / 2) * eps / 2).mean(axis=0)


@mistake(
    "You take the slope at the mean of the draws. Average the slopes, not the draws: a slope is not"
    " linear in u.",
    seen_in="grad_mu",
)
def slope_at_the_mean_draw(mu, a, eps, dfdu):
    slope = dfdu(mu + np.exp(a / 2) * eps.mean(axis=0, keepdims=True) + 0 * eps)
    return slope.mean(axis=0), (slope * np.exp(a / 2) * eps / 2).mean(axis=0)


@mistake("You add up over the draws. The expectation is estimated by their mean: divide by n.")
def summed_over_draws(mu, a, eps, dfdu):
    return tuple(len(eps) * gradient for gradient in pathwise_grad(mu, a, eps, dfdu))


@mistake("You return one gradient for each draw. Average over the draws, axis 0: shape (P,).")
def one_gradient_a_draw(mu, a, eps, dfdu):
    sigma = np.exp(a / 2)
    slope = dfdu(mu + sigma * eps)
    return slope, slope * sigma * eps / 2


@mistake(
    "You average over the entries, too. Each entry of mu and a has a gradient of its own: average "
    "over the draws "
    "only, axis 0."
)
def averaged_over_everything(mu, a, eps, dfdu):
    return tuple(gradient.mean() for gradient in pathwise_grad(mu, a, eps, dfdu))


def by_torch_distributions(mu, a):
    import torch
    from torch import distributions as td

    q = td.Normal(torch.tensor(mu), torch.exp(torch.tensor(a) / 2))
    return td.kl_divergence(q, td.Normal(0.0, 1.0)).sum(-1)


def with_matrices(mu, a):
    flat = list(zip(mu.reshape(-1, mu.shape[-1]), a.reshape(-1, a.shape[-1]), strict=True))
    values = [
        0.5 * (-np.linalg.slogdet(np.diag(np.exp(b)))[1] - len(m) + np.trace(np.diag(np.exp(b))) + m @ m)
        for m, b in flat
    ]
    return np.reshape(values, mu.shape[:-1])


def entry_by_entry(mu, a):
    sigma = np.exp(0.5 * a)
    return np.einsum("...p->...", 0.5 * (mu * mu + sigma * sigma) - np.log(sigma) - 0.5)


def by_autograd(mu, a, eps, dfdu):
    import torch

    m, log_variance = (torch.tensor(x, requires_grad=True) for x in (mu, a))
    u = m + torch.exp(log_variance / 2) * torch.tensor(eps)
    u.backward(torch.tensor(dfdu(u.detach().numpy())) / len(eps))
    return m.grad, log_variance.grad


def draw_by_draw(mu, a, eps, dfdu):
    grad_mu, grad_a = np.zeros(len(mu)), np.zeros(len(mu))
    for e in eps:
        u = mu + np.sqrt(np.exp(a)) * e
        df = np.array([float(dfdu(x)) for x in u])
        grad_mu += df / len(eps)
        grad_a += df * (u - mu) / (2 * len(eps))
    return grad_mu, grad_a


def through_the_deviation(mu, a, eps, dfdu):
    sigma = np.sqrt(np.exp(a))
    slope = dfdu(sigma * eps + mu)
    in_sigma = np.mean(slope * eps, axis=0)
    return np.average(slope, axis=0), in_sigma * sigma / 2  # d sigma / d a is sigma / 2


E20 = Exercise(
    id="E20",
    title="A Gaussian's divergence, and a gradient through its draws",
    mirrors="the closed form (68.20) and the reparameterisation (68.17)",
    purpose="write the two formulas on which the training of a variational autoencoder stands",
    minutes=25,
    statement="""
$q$ is Gaussian with independent entries, means `mu` and **log-variances** `a`: $\\sigma_p^2=e^{a_p}$.

1. Write `kl_to_standard(mu, a)`: the divergence (68.20) of $q$ from the standard Gaussian, in nats. Both
   arrays have the shape `(..., P)`; the result has one value for each leading index (a single number if
   there is none).
2. Write `pathwise_grad(mu, a, eps, dfdu)`: an estimate of the gradient of $\\mathbb E_q\\sum_p f(u_p)$
   with respect to `mu` and `a`, from the draws $u=\\mu+\\Sigma^{1/2}\\epsilon$. `mu` and `a` have the
   shape `(P,)`, `eps` `(n, P)`; `dfdu` is the derivative of $f$, a function that works on arrays of any
   shape, entry by entry. Return two arrays `(P,)`, averages over the $n$ draws.
""",
    functions=(
        Function(
            reference=kl_to_standard,
            points=2,
            outputs=(Output("kl", "one value for each leading index"),),
            inputs=moments,
            right="It is 0 for the prior, and small variances cost as they should.",
            hints=(
                "For a diagonal covariance the logarithm of the determinant is the sum of a, and "
                "the trace is the sum of "
                "exp(a).",
                "P is the length of the last axis: `mu.shape[-1]`. Sum over `axis=-1` to leave the "
                "leading axes.",
            ),
            mistakes=(
                wrong_sign_of_the_logarithm,
                factor_one_half_missing,
                P_not_subtracted,
                one_instead_of_P,
                exp_a_for_a_standard_deviation,
                standard_deviations_in_the_trace,
                a_for_the_variance,
                other_direction,
                means_not_squared,
                one_number_for_all,
                averaged_over_entries,
            ),
            alternatives=(by_torch_distributions, with_matrices, entry_by_entry),
        ),
        Function(
            reference=pathwise_grad,
            points=3,
            outputs=(Output("grad_mu", "(P,)"), Output("grad_a", "(P,)")),
            inputs=draws,
            right="The draws carry the derivative: 1 for the mean, half of exp(a/2) eps for the "
            "log-variance.",
            hints=(
                "By the chain rule the gradient of one draw is f'(u) times the derivative of u in "
                "the parameter.",
                "u = mu + exp(a/2) eps: its derivative in mu is 1. What is the derivative of exp(a/2) in a?",
                "`dfdu(u)` has the shape (n, P), one slope for each draw and entry; average over "
                "axis 0 at the end.",
            ),
            mistakes=(
                drawn_with_exp_a,
                drawn_and_differentiated_with_exp_a,
                slope_at_eps,
                slope_at_the_mean,
                slope_at_the_mean_draw,
                one_half_missing,
                eps_missing,
                in_the_standard_deviation,
                sigma_missing,
                summed_over_draws,
                one_gradient_a_draw,
                averaged_over_everything,
            ),
            alternatives=(by_autograd, draw_by_draw, through_the_deviation),
        ),
    ),
    derivation=Derivation(
        task="""
Derive (68.20) for $q=\\mathcal N(\\mu,\\operatorname{diag}e^a)$ and the standard Gaussian prior. Then compute
$\\mathbb E_q u^2$ for $P=1$, and show that the pathwise gradients have the expectations $2\\mu$ and $e^a$.
""",
        rubric=(
            (1, "writes the mean of ln q - ln f under q with the two Gaussian log densities"),
            (1, "uses the mean of u squared, mu squared plus the variance, to reach the closed form"),
            (1, "finds 2 mu and exp(a), both from the formula and from the mean of the pathwise gradients"),
        ),
    ),
)


SET = ProblemSet(
    name="05_variational_bound",
    title="The variational bound",
    opening="""
Three exercises on [chapter 5](../05_variational_bound.ipynb): you turn a Gaussian number into a number
with any law, take the bound apart on a table with a class label, and write the divergence and the
gradient that a variational autoencoder is trained with. All you need is NumPy and a Gaussian distribution
function, or any other library that you like.
""",
    exercises=(P1, P2, E20),
)
