//! Every change that was ever made: /var/lib/hostdiag/changes.jsonl.
