"""One step of science in the graph each, one a file: nodes go in and are unpacked, what science says is packed."""
