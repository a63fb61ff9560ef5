"""Stages of an audit and what is made of it, nodes in and nodes out: each can be run alone. Protocols beside them."""
