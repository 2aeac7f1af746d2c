"""Model files, and what they predict.

`ensemble` is the loaded model. Nothing is imported here: the command line looks for models
(`catalog`, `installed`) without loading NumPy or onnxruntime.
"""
