"""What is computed, where AiiDA is unknown: arrays and plain data go in, and come out.

In: structures with references, predictions of models, choices. Out: errors, boxes, bounds, scores, certificates.
"""
