"""The Lean library: four sources and a README; no Python."""
