"""Prices on channels that take ours: what each listing asks, what it is to ask, what is on its way.

Owns `published_price`. Promises: the newest price of the catalogue and no other, in the channel's own currency or not
at all, and after numbers of stock. Start reading at book.py; the loop is flows/publish_prices.py.
"""
