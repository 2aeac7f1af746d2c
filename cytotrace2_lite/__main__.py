"""`python -m cytotrace2_lite` is `ct2-lite`."""

from cytotrace2_lite.cli import main

main()
