"""The node's side: what a node has to do, and what it answers: accept, pack, ship, deliver, reject.

The rows belong to orders (orders/model.py); here are the decisions of a node and its work list.
Start reading at decide.py; which of them is possible when stands in orders/states.py.
"""
