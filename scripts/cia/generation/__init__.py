"""Generation: a plan's rows in, images out, each kept in a store and made once."""
