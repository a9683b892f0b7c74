"""All the SQL. One module a family of tables; a function is one statement and takes ``conn`` first.

Store functions never open a transaction and never decide: use cases do both.
"""
