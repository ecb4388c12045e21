"""Publication: telling channels what they may sell, and knowing what they show.

Owns `published` and `channel_health`. Promises: a write is recorded before it leaves and is sent again under its own
key after a crash; of several changes of a listing only the newest is sent, those that risk an oversell first; what a
channel shows comes to be what we last wanted, whatever fails in between. Start reading at book.py (what is known of the
listings of one channel), then showing.py (the numbers), compare.py (what a channel shows otherwise) and breaker.py
(when to leave it alone). All of them are pure; the loop is flows/publish.py.
"""
