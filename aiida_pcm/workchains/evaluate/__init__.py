"""How a model is asked about a data set: in slices, with restarts, for whatever a property takes."""
