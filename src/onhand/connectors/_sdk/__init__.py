"""The engine of connectors: values, vocabulary, lint, and what puts a document to work. Start at interface.py."""
