"""Downstream models: trained on a mix, chosen on val, tested once on the real test split."""
