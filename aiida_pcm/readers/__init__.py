"""Files of structures, read as their manifest says: a file and a manifest go in, a MaterialSet comes out.

What is wrong with rows is counted and told; nothing is guessed, executed or unpickled.
"""
