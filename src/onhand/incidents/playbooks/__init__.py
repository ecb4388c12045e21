"""Playbooks: what is done about an incident, as documents.

Owns the vocabulary (model.py), its lint (lint.py), what conditions may ask (facts.py), which step comes next
(decide.py), the words that customers are told (fill.py), prices that slow demand (throttle.py): all pure; the table
`playbook` (store.py), and the documents that ship (*.yaml). Promises: nothing in a document is code, and what is wrong
with one is told with its place before it is saved. What the steps do is in flows/playbooks. Start reading at model.py.
"""
