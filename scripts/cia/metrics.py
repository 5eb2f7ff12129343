"""Distribution metrics (DTD): how far the synthetic images are, as a set, from the real ones."""

import logging

import numpy as np

from cia.errors import UserError

logger = logging.getLogger("cia")


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Return the squared Frechet distance of two feature sets, seen as Gaussians.

    `|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))`, with unbiased covariances, as in Heusel
    et al., "GANs Trained by a Two Time-Scale Update Rule" (2017); on Inception's pool features it
    is the FID. The last trace is the sum of the singular values of `X1 X2^T`, where X are the
    centered features over sqrt(n - 1): exact, with no matrix root, and cheap for few images. With
    more images than features, X is replaced by the triangular factor of its QR decomposition,
    which has the same singular values.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n and m at least 2.

    Returns
    -------
    float
        At least 0; smaller is closer.
    """
    first, second = _factor(real), _factor(synthetic)
    difference = real.mean(axis=0, dtype=np.float64) - synthetic.mean(axis=0, dtype=np.float64)
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    traces = np.square(first).sum() + np.square(second).sum()
    return max(0.0, float(difference @ difference + traces - 2 * cross))


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Return the Inception Score's mean and standard deviation over splits.

    `exp(mean KL(p(y|x) || p(y)))` per split; Salimans et al., "Improved Techniques for Training
    GANs" (2016). The images are split in the order of their rows.

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
    scores = []
    for part in np.array_split(probabilities.astype(np.float64), splits):
        marginal = part.mean(axis=0, keepdims=True)
        terms = part * (np.log(np.maximum(part, 1e-300)) - np.log(np.maximum(marginal, 1e-300)))
        scores.append(np.exp(terms.sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def distribution_metrics(
    real: np.ndarray, synthetic: np.ndarray, probabilities: np.ndarray, model: str
) -> dict:
    """Compute every distribution metric of one feature model.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d).
    probabilities : numpy.ndarray
        Class probabilities of the synthetic images, shape (m, k); k = 0 if the model has none.
    model : str
        The model's name in the config: on `inception` the Frechet distance is the FID.

    Returns
    -------
    dict
        Per metric `value` (None with a `reason` where it can't be had), `direction`, and what
        else belongs to it.

    Raises
    ------
    UserError
        If a set has fewer than 2 images, or the two differ in their number of features.
    """
    if min(len(real), len(synthetic)) < 2:
        raise UserError(
            f"{len(real)} real and {len(synthetic)} synthetic images: a distribution needs at "
            "least 2 of each"
        )
    if real.shape[1] != synthetic.shape[1]:
        raise UserError(
            f"the real images have {real.shape[1]} features, the synthetic ones "
            f"{synthetic.shape[1]}: delete both .npy files to make them with one model"
        )
    name = "fid" if model == "inception" else "frechet_distance"
    distance = {"value": frechet_distance(real, synthetic), "direction": "lower"}
    if warning := _small_sample(min(len(real), len(synthetic)), real.shape[1]):
        distance["warning"] = warning
        logger.warning("%s: %s", name, warning)
    return {name: distance, "inception_score": _inception_score(probabilities, model)}


def _inception_score(probabilities: np.ndarray, model: str, splits: int = 10) -> dict:
    images, classes = probabilities.shape
    reason = ""
    if not classes:
        reason = f"the model {model!r} has no class probabilities"
    elif images < splits:
        reason = f"{images} images are too few for {splits} splits"
    if reason:
        return {"value": None, "direction": "higher", "reason": reason}
    mean, std = inception_score(probabilities, splits)
    return {"value": mean, "std": std, "direction": "higher", "splits": splits}


def _factor(features: np.ndarray) -> np.ndarray:
    """Return a matrix F of at most d rows with F^T F the covariance, in float64."""
    centered = features.astype(np.float64)
    centered -= centered.mean(axis=0)
    centered /= np.sqrt(len(features) - 1)
    return np.linalg.qr(centered, mode="r") if len(features) > features.shape[1] else centered


def _small_sample(images: int, dimensions: int) -> str:
    if images > dimensions:
        return ""
    return (
        f"{images} images for {dimensions} features: the distance is biased upwards; compare it "
        "only with others at the same numbers of images"
    )
