"""The stages of the computation, in their order: arrays in, arrays out.

`preprocess` (log2 CPM and ranks; the prediction that follows is in `models`), `diffusion`,
`binning`, `components` (with `standardised`, `gram` and `krylov`), `neighbors`. No stage imports
another one, but for `preprocess`.
"""
