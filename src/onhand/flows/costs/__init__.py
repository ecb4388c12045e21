"""Costs to serve: followed from the outbox, charged by carriers."""
