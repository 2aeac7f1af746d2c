"""The stages of the computation, in their order: arrays in, arrays out.

`preprocess` (log2 CPM and ranks), `diffusion`, `binning`, `components` (with `standardised` and
`krylov`), `neighbors`. The prediction comes before `diffusion`; it is in `models`. No stage imports
another one, but for `preprocess`, and for `components`, which puts two files together.
"""
