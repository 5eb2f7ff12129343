"""Inception Score: are the classes of the images certain one by one, and many together?"""

import numpy as np

from cia.metrics.comparing import Comparison, Estimate

SPLITS = 10


def inception_score(probabilities: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """Return the Inception Score's mean and standard deviation over splits.

    `exp(mean KL(p(y|x) || p(y)))` per split; Salimans et al., "Improved Techniques for Training
    GANs" (2016). The images are split in the order of their rows, at the places at which
    torch-fidelity splits them.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Class probabilities, shape (n, k).
    splits : int
        Number of splits; n must be at least as large.

    Returns
    -------
    tuple of float
        Mean and population standard deviation; larger is better, from 1 to k.
    """
    places = [split * len(probabilities) // splits for split in range(1, splits)]
    parts = np.split(probabilities.astype(np.float64), places)
    scores = [
        np.exp(_log_scores(part, np.full((1, len(part)), 1 / len(part)))[0]) for part in parts
    ]
    return float(np.mean(scores)), float(np.std(scores))


def score_replicates(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the Inception Score without splits in each draw of a bootstrap.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Shape (n, k).
    shares : numpy.ndarray
        Each image's share of each draw, shape (draws, n).
    """
    return np.exp(_log_scores(probabilities.astype(np.float64), shares))


def _log_scores(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return, for each row of shares, the entropy of the mean less the mean of the entropies."""
    marginal = shares @ probabilities
    return _entropy(marginal) - shares @ _entropy(probabilities)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)


def measure(sets: Comparison) -> dict[str, Estimate]:
    """Inception Score, on the class probabilities of a classifier."""
    if sets.probabilities is None:
        return {}
    images, classes = sets.probabilities.shape
    if not classes:
        reason = f"the model {sets.model!r} has no class probabilities"
        return {"inception_score": Estimate.missing(reason)}
    if images < SPLITS:
        return {
            "inception_score": Estimate.missing(f"{images} images are too few for {SPLITS} splits")
        }
    mean, std = inception_score(sets.probabilities)
    replicates = None
    if sets.draws:
        replicates = score_replicates(sets.probabilities, sets.draws.synthetic)
        replicates *= mean / replicates.mean()
    return {"inception_score": Estimate(mean, replicates, {"std": std, "splits": SPLITS})}
