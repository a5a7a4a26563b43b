from functools import partial

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from shortlist.fm.noise import FIRST_SHAPE, SHAPES, Noise, NoisePrior

N_USERS, N_EXAMPLES = 400, 50


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def squares(rng, precision):
    """Of what N_EXAMPLES examples a user miss."""
    return rng.chisquare(N_EXAMPLES, N_USERS) / precision


def test_draws_have_the_posterior_of_noise_level_and_of_how_far_users_differ(rng):
    # GIVEN eight users, one of them without examples, and the posterior by summing over all ν and many τ
    counts = np.array([0, 3, 3, 5, 8, 8, 12, 20])
    missed = np.array([0, 1.2, 9.0, 2.0, 3.0, 16.0, 4.0, 30.0])
    levels = np.exp(np.linspace(-5, 5, 800))
    nu, tau = SHAPES[:, None, None], levels[None, :, None]
    told = nu / 2 * np.log(nu / 2 / tau) - gammaln(nu / 2) + gammaln((nu + counts) / 2)
    told = (told - (nu + counts) / 2 * np.log((nu / tau + missed) / 2)).sum(-1)
    told += -np.log(levels) / 2 - 1 / (2 * levels)  # 1/τ ~ Gamma(½, ½), by ln τ
    posterior = np.exp(told - logsumexp(told))
    expected = (nu + counts) / (nu / tau + missed)

    # WHEN one long chain is drawn
    prior, noise, shapes, precisions, log_levels = NoisePrior(counts), Noise.start(len(counts)), [], [], []
    for _ in range(30_000):
        noise = prior.drawn(noise, missed, rng)
        shapes.append(noise.shape)
        precisions.append(noise.precision)
        log_levels.append(np.log(noise.level))

    # THEN shares of ν, means of τ_u and of ln τ agree
    shares = np.bincount(shapes, minlength=len(SHAPES)) / len(shapes)
    np.testing.assert_allclose(shares, posterior.sum(1), atol=0.03)
    np.testing.assert_allclose(np.mean(precisions, 0), (posterior[..., None] * expected).sum((0, 1)), rtol=0.06)
    assert np.mean(log_levels) == pytest.approx(float(posterior.sum(0) @ np.log(levels)), abs=0.05)


@pytest.mark.parametrize("draws", [True, False])
def test_users_who_are_alike_get_one_noise(rng, draws):
    noise = after_forty_steps(squares(rng, np.full(N_USERS, 4.0)), rng, draws)

    assert SHAPES[noise.shape] >= 128
    assert noise.precision.std() < 0.12 * noise.precision.mean()  # 2 / √50 of them is chance
    assert noise.level == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("draws", [True, False])
def test_users_who_differ_get_their_own(rng, draws):
    true = rng.gamma(3 / 2, 2 / 3, N_USERS)

    noise = after_forty_steps(squares(rng, true), rng, draws)

    assert SHAPES[noise.shape] in (2, 4)
    assert np.corrcoef(np.log(noise.precision), np.log(true))[0, 1] > 0.9


@pytest.mark.parametrize("draws", [True, False])
def test_a_common_noise_follows_what_scores_miss_however_alike_users_are(rng, draws):
    # GIVEN a chain that knows all users to be alike, from three examples of each
    missed = rng.chisquare(3, 3_000)
    prior, noise = NoisePrior(np.full(3_000, 3)), Noise.start(3_000)
    step = partial(prior.drawn, rng=rng) if draws else prior.expected
    for _ in range(60):
        noise = step(noise, missed)
    assert SHAPES[noise.shape] >= 64

    # WHEN scores get better
    for _ in range(3):
        noise = step(noise, missed / 4)

    # THEN it is there at once
    assert noise.level == pytest.approx(4.0, rel=0.1)
    assert noise.precision.mean() == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("scale", [1e-6, 100])
@pytest.mark.parametrize("draws", [True, False])
def test_the_first_level_may_be_far_away(rng, draws, scale):
    missed, prior, noise = scale * rng.chisquare(5, 200), NoisePrior(np.full(200, 5)), Noise.start(200)

    for _ in range(5):
        noise = prior.drawn(noise, missed, rng) if draws else prior.expected(noise, missed)

    assert noise.level == pytest.approx(1_000 / missed.sum(), rel=0.3)


def after_forty_steps(missed, rng, draws):
    prior, noise = NoisePrior(np.full(N_USERS, N_EXAMPLES)), Noise.start(N_USERS)
    for _ in range(40):
        noise = prior.drawn(noise, missed, rng) if draws else prior.expected(noise, missed)
    return noise


def test_without_examples_noise_is_what_the_prior_says(rng):
    prior, noise = NoisePrior(np.zeros(3, np.int64)), Noise.start(3)

    noise = prior.drawn(noise, np.zeros(3), rng)

    assert abs(noise.shape - FIRST_SHAPE) <= 1
    assert np.all(np.isfinite(noise.precision) & (noise.precision > 0))
