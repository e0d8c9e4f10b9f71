"""From official downloads to the data set format, one module per data set."""
