"""Which end of every metric and score is the better one: `lower` or `higher`.

By themselves, since the config's check wants the names and nothing heavy.
"""

METRICS = {
    "fid": "lower",
    "frechet_distance": "lower",
    "frechet_infinity": "lower",
    "kid": "lower",
    "mmd_rbf": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "inception_score": "higher",
}
"""Distribution metrics (`cia.metrics.comparing`)."""

SCORES = {
    "mahalanobis": "lower",
    "mahalanobis_class": "lower",
    "mld_pinv": "lower",
    "knn_distance": "lower",
    "realism": "higher",
    "copy_real": "higher",
    "copy_synthetic": "higher",
    "condition_fidelity": "higher",
    "label_recall": "higher",
    "label_iou": "higher",
    "label_confidence": "higher",
    "extra_objects": "lower",
    "text_agreement": "higher",
}
"""Columns of scores tables (`cia.scores.scoring`, `cia.judging.cases`)."""

JUDGED = {
    "condition_fidelity": "condition_fidelity",
    "label_recall": "label_survival",
    "label_iou": "label_survival",
    "label_confidence": "label_survival",
    "extra_objects": "label_survival",
    "text_agreement": "text_agreement",
}
"""Scores that only a judge gives: the kind of judge."""
