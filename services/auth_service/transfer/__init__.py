"""Clients that move: from other servers to here, and from here to a file.

Readers (one module for each source) are pure: what the source holds and the resources that exist here go in, neutral
records and the reasons for what is not taken come out. One writer puts records into the database, in one transaction.
"""
