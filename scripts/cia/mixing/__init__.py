"""Training sets of real, synthetic and classically augmented images."""
