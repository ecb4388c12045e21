"""Amazon, Selling Partner API: what the vocabulary can say is in connector.yaml, the rest in program.py.

feeds.py: many numbers in one file, read by Amazon later; outbound.py: Amazon's warehouses ship our orders; sqs.py: the
queue that Amazon's notifications come by; usage_plans.py: limits, taken from the vendor's models.
"""
