"""``make bench-validate``: are the waits that ``fastworker plan`` predicts those that a real worker shows?"""
