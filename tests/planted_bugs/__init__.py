"""Bugs that are planted one at a time to see that a test catches each: a suite that passes with
one of them in place would not be worth trusting. ``make mutants`` runs them.
"""
