"""Documents that people write: YAML and JSON with places, conditions in CEL, findings that say where and what to do.

Owns nothing. Promises that nothing here runs what a document says: it is read, checked and told about. Start reading at
findings.py (a document against its model), then expression.py (a condition against what it may ask).
"""
