"""Questions to the provenance graph (why, where from, what runs, does it hold), and what travels to another profile."""
