"""One module for each figure: `tables(bench)` measures it and returns its tables."""
