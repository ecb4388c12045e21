"""Tills, third parties and shops that pass files of rows: over a folder of this machine, or an SFTP server."""
