"""The Lean library: four sources, what they prove (README.md), what is trusted (TRUST.md), older versions."""
