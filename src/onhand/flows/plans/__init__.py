"""Plan stock in the background, and act on what is proposed. Start reading at run.py; approve.py makes it real."""
