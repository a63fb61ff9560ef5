"""What runs beside a potential or Lean, on any machine: it travels with the job, and needs no other room.

In: a job file with structures, features or the text of a certificate. Out: arrays and a report, or the reason why none.
"""
