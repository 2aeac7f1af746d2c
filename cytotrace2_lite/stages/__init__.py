"""The stages of the computation: arrays in, arrays out."""
