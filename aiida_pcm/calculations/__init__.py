"""CalcJobs: nodes go in, and come out of the room `parsers`; between the two the runner works, on any computer."""
