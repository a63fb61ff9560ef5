"""What the jobs of `calculations` left behind: retrieved files go in; nodes or the exit code that says why come out."""
