"""Proofs about a ticket: how far it can be from its target on all that it was made for."""
