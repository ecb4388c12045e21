"""Payments beside orders: follow what happens to orders, carry out what is due, reconcile the days."""
