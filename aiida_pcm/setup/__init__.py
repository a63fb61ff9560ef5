"""Makes what is missing on a machine (profile, computer, codes, pseudopotentials, reference) and says what is there."""
