"""Third parties and suppliers that speak ANSI X12: 940, 945, 846, 850, 855, 856, 997, over folders of files."""
