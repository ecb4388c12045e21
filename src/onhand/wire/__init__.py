"""Requests to addresses that somebody else wrote, and folders that somebody else works in: webhooks and channels.

Owns the only HTTP client and the only SFTP client. Promises: a host is resolved once and the connection goes to an
address that was checked; no redirects, no proxy, nothing without a limit of time and size; a file is written whole, and
no path leads out of its folder. Start reading at caller.py and folder.py.
"""

from onhand.wire.caller import Answer, Caller, Guard, NotReachable, Request
from onhand.wire.folder import Doors, Entry, FileThere, Folder, Folders, LocalFolder, NoSuchFile

__all__ = [
    "Answer",
    "Caller",
    "Doors",
    "Entry",
    "FileThere",
    "Folder",
    "Folders",
    "Guard",
    "LocalFolder",
    "NoSuchFile",
    "NotReachable",
    "Request",
]
