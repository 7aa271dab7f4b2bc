"""The problem set of chapter 10: a discriminator that also names the class, and labels that give it away.

It mirrors Problem 68.8 of Sayed's chapter, and E21 follows his section 68.6, (68.162) to (68.174), with the
label that both players should get (erratum S28). References are plain NumPy and SciPy and do not use the
library's `cgan`, so that the two can be compared. Left out: trainings, which the chapter shows.
"""

# ruff: noqa: D103 (a mistake is described by its hint)

import numpy as np
from scipy.special import expit, softmax

from gennet.exercises.declare import Derivation, Exercise, Function, Output, ProblemSet, mistake

# -------------------------------------------------------------------------------------------------- 68.8

KINDS = ("real", "fake", "gen_class", "gen_any")


def boundary_deltas(z, kind, c=None):
    """Return prediction minus target (B, C + 1) for outputs z before the soft-max."""
    return softmax(z, axis=1) - right_target(z, kind, c)


def right_target(z, kind, c):
    """Return what the outputs are to be, shape (B, C + 1)."""
    if kind == "gen_any":
        return np.hstack([softmax(z[:, :-1], axis=1), np.zeros((len(z), 1))])
    return np.eye(z.shape[1])[np.full(len(z), -1) if kind == "fake" else c]


def outputs_and_kinds(rng):
    """Yield outputs for one class and for several, and with a sure discriminator."""
    z = np.array([[0.2, -0.4, 1.0, 0.3]])
    yield z, "real", np.array([2])
    yield z, "fake"
    yield z, "gen_class", np.array([0])
    yield z, "gen_any"
    one_class = rng.normal(size=(3, 2)).round(3)
    yield one_class, "real", np.zeros(3, dtype=int)
    yield one_class, "gen_any"
    for B, C in ((5, 3), (8, 6)):
        z, c = 2 * rng.normal(size=(B, C + 1)).round(3), rng.permutation(np.arange(B) % C)
        for kind in KINDS:
            yield (z, kind, c) if kind in ("real", "gen_class") else (z, kind)
    yield np.array([[0.5, 1, -1, 60], [0, 0, 2, 50]]), "gen_any"


def with_targets(z, kind, c, **targets):
    """Return prediction minus target, with the targets of some kinds replaced."""
    return softmax(z, axis=1) - (targets[kind]() if kind in targets else right_target(z, kind, c))


def fakes(z):
    return np.eye(z.shape[1])[np.full(len(z), -1)]


@mistake(
    "For 'gen_any' your target is the same for all real classes. The generator is content with *any* of "
    "them: keep the proportions that the discriminator gives, and only take away the fake class. Then divide "
    "by the sum."
)
def uniform_over_the_classes(z, kind, c=None):
    real = 1 - fakes(z)
    return with_targets(z, kind, c, gen_any=lambda: real / real.sum(axis=1, keepdims=True))


@mistake(
    "For 'gen_any' your target is the most probable real class. That asks for more than 'any of them': the "
    "gradient of ln(1 - p) with the probability p of the fake class keeps the proportions of the real "
    "classes."
)
def most_probable_class(z, kind, c=None):
    return with_targets(z, kind, c, gen_any=lambda: np.eye(z.shape[1])[z[:, :-1].argmax(axis=1)])


@mistake(
    "For 'gen_any' your target does not add up to 1: the real classes keep their probabilities and the fake "
    "class gets 0. Divide by 1 minus the probability of the fake class, so that the rows of the result add "
    "up to 0."
)
def target_not_renormalised(z, kind, c=None):
    return with_targets(z, kind, c, gen_any=lambda: softmax(z, axis=1) * (1 - fakes(z)))


@mistake(
    "This is the derivative of ln p for the probability p of the fake class, the saturating form. 'gen_any' "
    "maximises ln(1 - p); prediction minus target is the derivative of -ln(1 - p)."
)
def saturating_form(z, kind, c=None):
    right = boundary_deltas(z, kind, c)
    return fakes(z) - softmax(z, axis=1) if kind == "gen_any" else right


@mistake(
    "The generator's fakes are given the label 'fake' in its own step. The generator *pretends*: the "
    "requested class is its target, or any real one."
)
def generator_with_the_fake_label(z, kind, c=None):
    return with_targets(z, kind, c, gen_class=lambda: fakes(z), gen_any=lambda: fakes(z))


@mistake(
    "For the generator you return target minus prediction, the direction of ascent. Asked is prediction "
    "minus target for all four kinds: the derivative of a cross entropy, which is minimised."
)
def ascent_for_the_generator(z, kind, c=None):
    return boundary_deltas(z, kind, c) * (-1 if kind.startswith("gen") else 1)


@mistake("All signs are reversed: this is target minus prediction. Return prediction minus target.")
def target_minus_prediction(z, kind, c=None):
    return -boundary_deltas(z, kind, c)


@mistake(
    "There are only C columns. The fake class is a class of its own, the last one: C + 1 outputs under one "
    "soft-max."
)
def fake_class_not_counted(z, kind, c=None):
    return boundary_deltas(z, kind, c)[:, :-1]


@mistake(
    "Each output goes through a logistic function of its own, so that the rows do not add up to 0. There is "
    "one soft-max over all C + 1 outputs: a sample is of one kind only."
)
def logistic_units(z, kind, c=None):
    return expit(z) - right_target(z, kind, c)


@mistake(
    "Your fake class is the first one, and the real classes follow. Here classes count from 0 and the fake "
    "class is the last column."
)
def fake_class_first(z, kind, c=None):
    p = softmax(z, axis=1)
    if kind == "gen_any":
        return p - np.hstack([np.zeros((len(z), 1)), softmax(z[:, 1:], axis=1)])
    return p - np.eye(z.shape[1])[np.zeros(len(z), dtype=int) if kind == "fake" else c + 1]


@mistake("Your classes count from 1. Here they count from 0: class c belongs to column c.")
def classes_from_one(z, kind, c=None):
    return boundary_deltas(z, kind, None if c is None else c - 1)


@mistake("You divide by the number of samples. Asked is one row for each sample, of its own loss.")
def divided_by_the_batch(z, kind, c=None):
    return boundary_deltas(z, kind, c) / len(z)


@mistake(
    "For 'gen_any' you divide by 1 - p, which is rounded to 0 when the discriminator is sure of the fake: "
    "just where the generator needs its gradient most. The same target is the soft-max of the first C "
    "outputs alone."
)
def division_by_zero(z, kind, c=None):
    p = softmax(z, axis=1)
    with np.errstate(all="ignore"):
        return with_targets(z, kind, c, gen_any=lambda: p * (1 - fakes(z)) / (1 - p[:, -1:]))


def deltas_by_autograd(z, kind, c=None):
    import torch

    z = torch.tensor(z, requires_grad=True)
    log = torch.log_softmax(z, dim=1)
    if kind == "gen_any":
        loss = -torch.logsumexp(log[:, :-1], dim=1)
    elif kind == "fake":
        loss = -log[:, -1]
    else:
        loss = torch.nn.functional.cross_entropy(z, torch.tensor(c), reduction="none")
    return torch.autograd.grad(loss.sum(), z)[0]


def deltas_sample_by_sample(z, kind, c=None):
    deltas = np.empty(z.shape, dtype=np.float32)
    for b, row in enumerate(z):
        p = np.exp(row - row.max())
        p /= p.sum()
        if kind == "gen_any":
            p[:-1] *= 1 - 1 / p[:-1].sum()
        else:
            p[-1 if kind == "fake" else c[b]] -= 1
        deltas[b] = p
    return deltas


def deltas_by_the_odds(z, kind, c=None):
    from scipy.special import logsumexp

    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    if kind == "gen_any":
        proportions = np.exp(z[:, :-1] - logsumexp(z[:, :-1], axis=1, keepdims=True))
        return np.einsum("b,bq->bq", p[:, -1], np.hstack([-proportions, np.ones((len(z), 1))]))
    target = np.zeros_like(z)
    target[range(len(z)), len(z) * [z.shape[1] - 1] if kind == "fake" else c] = 1
    return p - target


P8 = Exercise(
    id="68.8",
    title="A discriminator with C + 1 outputs",
    mirrors="Sayed, Problem 68.8, on (68.139), (68.140) and the listings (68.160), (68.161)",
    purpose="let one soft-max say real or fake and, if real, of which class; find all its sensitivities",
    minutes=35,
    statement="""
The discriminator has $C+1$ outputs `z`, shape `(B, C + 1)`, under one soft-max $\\hat\\gamma$: entry $q<C$
is the probability that the sample is real and of class $q$ (classes count from 0), the last entry,
$\\hat\\gamma_C$ in this counting, that it is a fake. It reads the sample and no label.

Write `boundary_deltas(z, kind, c=None)`: the sensitivities at the outputs, prediction minus target, one row a
sample, shape `(B, C + 1)`, for the four `kind`s:

* `"real"`: the discriminator's step, real samples of the classes `c`, shape `(B,)`, whole numbers;
* `"fake"`: the discriminator's step, fakes (`c` is not given);
* `"gen_class"`: the generator's step, fakes that were requested to be of the classes `c`, and pretend to be
  real samples of them;
* `"gen_any"`: the generator's step without classes: it wants $\\ln(1-\\hat\\gamma_C)$ large, that is any
  real class is as good as another. Return the derivative of $-\\ln(1-\\hat\\gamma_C)$.

All four are derivatives of losses that are minimised, so that the rows add up to 0. The discriminator may be
very sure: where its probability of a fake is rounded to 1, the generator needs its sensitivities all the
more.
""",
    functions=(
        Function(
            reference=boundary_deltas,
            points=4,
            outputs=(Output("delta", "(B, C + 1)"),),
            inputs=outputs_and_kinds,
            right="One soft-max, four targets; the one of 'any class' keeps the proportions of the real "
            "classes.",
            hints=(
                "For three kinds the target is a unit vector: class c, the last entry, class c again.",
                "For 'gen_any': 1 - p of the last class is the sum of the others, (sum of exp z_q over q < "
                "C) / (sum of exp z_q over all). Take the logarithm, and differentiate both sums.",
                "The derivative of the logarithm of a sum of exponentials is a soft-max: over all outputs "
                "for one of them, over the first C for the other.",
            ),
            mistakes=(
                uniform_over_the_classes,
                most_probable_class,
                target_not_renormalised,
                saturating_form,
                generator_with_the_fake_label,
                ascent_for_the_generator,
                target_minus_prediction,
                fake_class_not_counted,
                logistic_units,
                fake_class_first,
                classes_from_one,
                divided_by_the_batch,
                division_by_zero,
            ),
            alternatives=(deltas_by_autograd, deltas_sample_by_sample, deltas_by_the_odds),
        ),
    ),
    derivation=Derivation(
        task="""
1. Which lines of the listings (68.160) and (68.161) change, and how? Give the sizes of the last layer, the
   targets, and say what the input of the discriminator is.
2. Derive the ascent gradient of $\\ln(1-\\hat\\gamma_C)$ in $z$, and write it as target minus prediction.
3. Compare its size with that of the descent gradient of $\\ln\\hat\\gamma_C$ where the fake is found out.
   Which of the two is the saturating form?
4. What does `"gen_any"` become for $C=1$?
""",
        rubric=(
            (1, "changes the last layer and the targets, nothing else, and feeds no label"),
            (1, "derives the gradient with both soft-maxes"),
            (1, "compares sizes, p against 1 - p, and names the saturating form"),
            (1, "finds the sensitivity of the ordinary generator step, (68.140) with the label 'real'"),
        ),
    ),
)

# --------------------------------------------------------------------------------------------------- E21


def discriminator_input(x, classes, C):
    """Return the samples x (B, M) with the labels of their classes behind: (B, M + C)."""
    return np.hstack([x, np.eye(C)[classes]])


def label_leak(labels, is_fake, new_labels, new_is_fake):
    """Return how often a rule for the labels, learnt on the first, is right on the new."""
    counts = {}
    for label, fake in zip(labels.tolist(), is_fake, strict=True):
        counts[tuple(label)] = counts.get(tuple(label), 0) + (1 if fake else -1)
    answers = np.array([counts[tuple(label)] > 0 for label in new_labels.tolist()])
    return (answers == new_is_fake).mean()


def generator_boundary(W1, delta2, f_prime):
    """Return the derivatives of +ln D in the generator's last z, shape (B, M)."""
    return -f_prime * (delta2 @ W1[: f_prime.shape[1]].T)


def samples_and_classes(rng):
    """Yield samples with their classes; all sizes differ, and not every class occurs."""
    yield np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 1.0]]), np.array([0, 2, 1]), 3
    yield np.array([[0.1], [0.2]]), np.array([3, 3]), 5
    for B, M, C in ((5, 4, 3), (3, 7, 10), (6, 2, 2)):
        yield rng.normal(size=(B, M)).round(3), rng.integers(C, size=B), C


def one_hot_batch(rng, n, of_real, of_fakes, form):
    """Draw n real samples and n fakes; return their labels, in the form given, and which are fakes."""
    is_fake = np.repeat([False, True], n)
    C = len(of_real)
    classes = np.concatenate([rng.choice(C, n, p=of_real), rng.choice(C, n, p=of_fakes)])
    labels = np.eye(C)[classes]
    if form == "printed":  # (68.162), (68.163): the last entry is 1 exactly for fakes
        labels = np.eye(C + 1)[np.where(is_fake, C, classes)]
    if form == "flagged":  # the class, and beside it an entry for fakes
        labels = np.hstack([labels, is_fake[:, None]])
    order = rng.permutation(2 * n)
    return labels[order], is_fake[order]


def is_clear(labels, is_fake):
    """Tell whether every label has a majority."""
    known = np.unique(labels, axis=0)
    return all((2 * is_fake - 1)[(labels == label).all(axis=1)].sum() for label in known)


def batches_with_labels(rng):
    """Yield labels as printed, usual ones, from other laws, and flagged; rules that fail by chance, too."""
    half, other = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    plans = [
        (6, half[:2] / 0.8, half[:2] / 0.8, "printed", lambda share: True),
        (40, half, half, "usual", lambda share: share < 0.48),
        (100, half, other, "usual", lambda share: share > 0.5),
        (30, half, half, "flagged", lambda share: True),
        (60, np.full(5, 0.2), np.full(5, 0.2), "usual", lambda share: share > 0.5),
    ]
    for n, of_real, of_fakes, form, wanted in plans:
        while True:
            first, new = (one_hot_batch(rng, n, of_real, of_fakes, form) for _ in range(2))
            alike = np.array_equal(*(np.unique(labels, axis=0) for labels, _ in (first, new)))
            if alike and is_clear(*first) and is_clear(*new) and wanted(label_leak(*first, *new)):
                break
        yield *first, *new


def sensitivities_of_the_discriminator(rng):
    """Yield a discriminator's first weights and sensitivities, and slopes of a generator."""
    W1 = np.array([[1.0, 0], [0, 2], [5, 5]])
    yield W1, np.array([[1.0, -1]]), np.array([[1.0, 0.5]])
    for B, M, C, n in ((4, 5, 3, 6), (6, 2, 4, 3), (3, 3, 3, 7)):
        yield (
            rng.normal(size=(M + C, n)).round(3),
            rng.normal(size=(B, n)).round(3),
            rng.uniform(0.1, 1, (B, M)).round(3),
        )


@mistake(
    "There is one column too many, for 'fake'. Such an entry gives the answer away: with it the "
    "discriminator need not look at the sample at all. The class label has C entries, for real samples and "
    "for fakes alike."
)
def extra_fake_entry(x, classes, C):
    return np.hstack([x, np.eye(C + 1)[classes]])


@mistake("The label stands before the sample. Here the sample comes first: col{h, gamma}.")
def label_first(x, classes, C):
    return np.hstack([np.eye(C)[classes], x])


@mistake(
    "The class is appended as a number. Numbers have an order and distances, classes have not: append a unit "
    "vector of C entries."
)
def class_as_a_number(x, classes, C):
    return np.column_stack([x, classes])


@mistake("The label is missing: the discriminator must be told which class the sample is to be of.")
def no_label(x, classes, C):
    return x


@mistake("Your classes count from 1. Here they count from 0: class c has its 1 in column c of the label.")
def label_counted_from_one(x, classes, C):
    return np.hstack([x, np.eye(C)[classes - 1]])


@mistake(
    "Only as many label entries as the largest class of this batch needs. The size must not depend on the "
    "batch: there are always C of them."
)
def entries_by_the_batch(x, classes, C):
    return np.hstack([x, np.eye(classes.max() + 1)[classes]])


def input_by_comparison(x, classes, C):
    return np.concatenate([x, classes[:, None] == np.arange(C)], axis=1)


def input_row_by_row(x, classes, C):
    rows = []
    for sample, c in zip(x.tolist(), classes.tolist(), strict=True):
        rows.append(sample + [0.0] * c + [1.0] + [0.0] * (C - c - 1))
    return rows


def input_in_torch(x, classes, C):
    import torch

    x, classes = torch.tensor(x), torch.tensor(classes)
    return torch.cat([x, torch.nn.functional.one_hot(classes, C)], dim=1).float()


@mistake(
    "The accuracy is counted on the same samples from which the rule was learnt. It is above one half by "
    "chance there: count on the new ones."
)
def counted_in_the_sample(labels, is_fake, new_labels, new_is_fake):
    return label_leak(labels, is_fake, labels, is_fake)


@mistake(
    "The rule is learnt from the new samples, on which it is counted afterwards. Learn it from the first "
    "ones."
)
def learnt_from_the_new(labels, is_fake, new_labels, new_is_fake):
    return label_leak(new_labels, new_is_fake, new_labels, new_is_fake)


@mistake("The two sets are exchanged: learn from the first one, count on the new one.")
def sets_exchanged(labels, is_fake, new_labels, new_is_fake):
    return label_leak(new_labels, new_is_fake, labels, is_fake)


@mistake(
    "You look at the first 1 of each label only. A label may have several, and any of its entries may tell: "
    "compare whole rows."
)
def first_one_only(labels, is_fake, new_labels, new_is_fake):
    first, new = (np.eye(labels.shape[1])[rows.argmax(axis=1)] for rows in (labels, new_labels))
    return label_leak(first, is_fake, new, new_is_fake)


@mistake(
    "You take the last entry of the label for the answer. That is right for the labels of (68.163) only; "
    "learn from the samples what a label tells."
)
def last_entry(labels, is_fake, new_labels, new_is_fake):
    return ((new_labels[:, -1] == 1) == new_is_fake).mean()


@mistake("This is the share of errors. Asked is the accuracy, how often the rule is right.")
def share_of_errors(labels, is_fake, new_labels, new_is_fake):
    return 1 - label_leak(labels, is_fake, new_labels, new_is_fake)


@mistake(
    "An accuracy below one half is turned round. The rule was fixed before: if it is wrong more often than "
    "right on new samples, it has learnt nothing but chance, and that is what the number should say."
)
def turned_round(labels, is_fake, new_labels, new_is_fake):
    share = label_leak(labels, is_fake, new_labels, new_is_fake)
    return max(share, 1 - share)


@mistake(
    "The labels are not used: this is the accuracy of one answer for all. Answer for each label with the "
    "kind that has it more often among the first samples."
)
def one_answer_for_all(labels, is_fake, new_labels, new_is_fake):
    return max(new_is_fake.mean(), 1 - new_is_fake.mean())


def leak_by_unique_rows(labels, is_fake, new_labels, new_is_fake):
    both = np.concatenate([labels, new_labels])
    which = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    first, new = which[: len(labels)], which[len(labels) :]
    fakes, all_of_them = (np.bincount(first, weights=w, minlength=which.max() + 1) for w in (is_fake, None))
    return np.mean((fakes > all_of_them / 2)[new] == new_is_fake)


def leak_by_comparing_rows(labels, is_fake, new_labels, new_is_fake):
    right = 0
    for label, fake in zip(new_labels, new_is_fake, strict=True):
        same = (labels == label).all(axis=1)
        right += (is_fake[same].mean() > 0.5) == fake
    return right / len(new_labels)


def leak_by_a_tree(labels, is_fake, new_labels, new_is_fake):
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(labels, is_fake).score(new_labels, new_is_fake)


def leak_by_a_table(labels, is_fake, new_labels, new_is_fake):
    powers = 2 ** np.arange(labels.shape[1])
    numbers, new_numbers = (labels @ powers).astype(int), (new_labels @ powers).astype(int)
    votes = np.zeros(2 ** labels.shape[1])
    np.add.at(votes, numbers, np.where(is_fake, 1, -1))
    return float(np.mean((votes[new_numbers] > 0) == new_is_fake))


@mistake(
    "The rows of W1 that belong to the label are kept. Labels do not depend on the generator: no sensitivity "
    "goes back to them. Only the M leading rows, those of the fake itself, count."
)
def label_gradient_kept(W1, delta2, f_prime):
    back = -(delta2 @ W1.T)
    M = f_prime.shape[1]
    return np.hstack([f_prime * back[:, :M], back[:, M:]])


@mistake(
    "These are the last rows of W1, with those of the label among them. The sample comes first in the input, "
    "so its rows are the *leading* ones."
)
def trailing_rows(W1, delta2, f_prime):
    return -f_prime * (delta2 @ W1[-f_prime.shape[1] :].T)


@mistake(
    "The sign is missing. delta2 belongs to the loss -ln D, and asked are derivatives of +ln D, which the "
    "generator maximises: where the networks meet there is a minus."
)
def minus_forgotten(W1, delta2, f_prime):
    return -generator_boundary(W1, delta2, f_prime)


@mistake(
    "The slope f' of the generator's last layer is missing: its z goes through f before the discriminator."
)
def slope_forgotten(W1, delta2, f_prime):
    return -delta2 @ W1[: f_prime.shape[1]].T


@mistake(
    "You divide by the number of samples. A sensitivity belongs to one sample; averages come in the update."
)
def boundary_averaged(W1, delta2, f_prime):
    return generator_boundary(W1, delta2, f_prime) / len(delta2)


def boundary_by_einsum(W1, delta2, f_prime):
    M = f_prime.shape[1]
    return -np.einsum("bm,mn,bn->bm", f_prime, W1[:M], delta2)


def boundary_sample_by_sample(W1, delta2, f_prime):
    M = f_prime.shape[1]
    W_bar = np.hstack([np.eye(M), np.zeros((M, len(W1) - M))]) @ W1
    return [-s * (W_bar @ d) for s, d in zip(f_prime, delta2, strict=True)]


def boundary_by_autograd(W1, delta2, f_prime):
    import torch

    z = torch.zeros(f_prime.shape, dtype=torch.float64, requires_grad=True)
    h = torch.tensor(f_prime) * z  # has the slope f' at every z
    gamma = torch.ones(len(h), len(W1) - h.shape[1], dtype=torch.float64)
    z2 = torch.cat([h, gamma], dim=1) @ torch.tensor(W1)
    return -torch.autograd.grad((torch.tensor(delta2) * z2).sum(), z)[0]


E21 = Exercise(
    id="E21",
    title="Labels that do not give the answer away",
    mirrors="Sayed, the conditional GAN of section 68.6, (68.162) to (68.174) (errata S28, S29)",
    purpose="tell both players the class, and test what a label alone tells the discriminator",
    minutes=35,
    statement="""
A conditional GAN makes samples of a requested class. Both players are told the class $c$, from 0 to $C-1$,
as a unit vector of $C$ entries: the generator reads $\\operatorname{col}\\{u,\\gamma\\}$, the discriminator
$\\operatorname{col}\\{h,\\gamma\\}$, with the same kind of label for a real sample of this class and for a
fake made for it. Write three functions.

1. `discriminator_input(x, classes, C)`: samples `x`, shape `(B, M)`, and their classes, shape `(B,)`, whole
   numbers; return what the discriminator reads, shape `(B, M + C)`.
2. `label_leak(labels, is_fake, new_labels, new_is_fake)`: does the label give the answer away? `labels` has
   shape `(n, K)`, label vectors of zeros and ones (perhaps with several ones), `is_fake` shape `(n,)`,
   booleans. The rule of somebody who sees the label alone: for each label vector, answer with the kind, real
   or fake, that has it more often. Learn this rule from `labels` and `is_fake`, and return how often it is
   right on the *new* ones, a number from 0 to 1. (There are no ties, and every new label vector occurs among
   the first ones.)
3. `generator_boundary(W1, delta2, f_prime)`: in the generator's step a sensitivity goes back through the
   discriminator. `W1`, shape `(M + C, n)`, are the discriminator's first weights; `delta2`, shape `(B, n)`,
   the derivatives of the loss $-\\ln D$ in its first $z$; `f_prime`, shape `(B, M)`, the slopes of the
   generator's last activation. Return the derivatives of $+\\ln D$ in the generator's last $z$, of the shape
   of `f_prime`.
""",
    functions=(
        Function(
            reference=discriminator_input,
            points=1,
            outputs=(Output("input", "(B, M + C)"),),
            inputs=samples_and_classes,
            right="C entries for the class, and none that says where the sample comes from.",
            hints=(
                "`np.eye(C)[classes]` has the unit vectors of all classes as rows.",
                "Put them behind the samples with `np.hstack`.",
            ),
            mistakes=(
                extra_fake_entry,
                label_first,
                class_as_a_number,
                no_label,
                label_counted_from_one,
                entries_by_the_batch,
            ),
            alternatives=(input_by_comparison, input_row_by_row, input_in_torch),
        ),
        Function(
            reference=label_leak,
            points=2,
            outputs=(Output("accuracy", "a number"),),
            inputs=batches_with_labels,
            right="1 for a label that says 'fake', about one half for a class label drawn alike for both.",
            hints=(
                "Count, for each different row of `labels`, how many real samples and how many fakes have "
                "it.",
                "A dictionary does it, with `tuple(row)` as the key; or `(labels == row).all(axis=1)` "
                "selects the samples with the same label.",
                "Then look every row of `new_labels` up, and compare with `new_is_fake`.",
            ),
            mistakes=(
                counted_in_the_sample,
                learnt_from_the_new,
                sets_exchanged,
                first_one_only,
                last_entry,
                share_of_errors,
                turned_round,
                one_answer_for_all,
            ),
            alternatives=(leak_by_unique_rows, leak_by_comparing_rows, leak_by_a_tree, leak_by_a_table),
        ),
        Function(
            reference=generator_boundary,
            points=1,
            outputs=(Output("delta", "(B, M)"),),
            inputs=sensitivities_of_the_discriminator,
            right="Only the leading rows of W1 count: labels are constants, no gradient goes back to them.",
            hints=(
                "The discriminator's first z is h @ W1[:M] + gamma @ W1[M:] - theta. Which of these terms "
                "depends on the generator?",
                "The derivative of the loss in h is `delta2 @ W1[:M].T`. Then through the activation, and "
                "mind the sign.",
            ),
            mistakes=(
                label_gradient_kept,
                trailing_rows,
                minus_forgotten,
                slope_forgotten,
                boundary_averaged,
            ),
            alternatives=(boundary_by_einsum, boundary_sample_by_sample, boundary_by_autograd),
        ),
    ),
    derivation=Derivation(
        task="""
In (68.162) and (68.163) a label has $C+1$ entries: a real sample of class $c$ has its 1 in place $c$, every
fake in the last place, and the discriminator reads the label beside the sample.

1. Find a discriminator that is right always and looks at no sample. What is the value of the game then, for
   *any* generator, and what does that leave to learn?
2. Let labels have $C$ entries, and let the class of the fakes be drawn from another law than that of the real
   samples, $q_c$ instead of $p_c$. How often is the best rule for labels right? When is it one half?
3. Could one tell the class to the generator only?
""",
        rubric=(
            (1, "names the discriminator, the value 0 and a divergence stuck at ln 2"),
            (1, "finds the share in terms of p and q, and for which laws it is one half"),
            (1, "says that then nobody checks the class: any real-looking sample would do"),
        ),
    ),
)

SET = ProblemSet(
    name="10_conditional_gan",
    title="Conditional GANs",
    opening="""
Two exercises on [chapter 10](../10_conditional_gan.ipynb), on samples of a class that one may choose. In the
first the discriminator *names* the class, in the second it is *told*, and the question is what one may tell
it. NumPy is enough.
""",
    exercises=(P8, E21),
)
