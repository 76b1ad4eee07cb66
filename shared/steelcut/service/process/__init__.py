"""A process that serves: how it begins, with which workers, by which certificate, and what it leaves nowhere."""
