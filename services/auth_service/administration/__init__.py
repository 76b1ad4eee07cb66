"""What an operator does. The command line and the admin API both call this, so there is one implementation.

Every function takes a connection of the administrator role first and the ``Actor`` second, checks its input before
it touches the database, does its work and writes its audit event in one transaction, and raises
``AdministrationError`` with one sentence that says what to do.
"""
