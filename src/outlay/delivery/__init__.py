"""Delivery: messages of the outbox on their way to the channels they are for."""
