cwlVersion: v1.2
class: CommandLineTool
label: Developmental potential of cells (CytoTRACE 2)
doc: |
  Scores each cell of a single-cell RNA-seq experiment from 0 (differentiated) to 1 (totipotent).
  The input is raw counts, CPM or TPM, not log-transformed.

baseCommand: [ct2-lite, run]
arguments: [--disable-verbose, --disable-plotting, --max-cores, $(runtime.cores), --output-dir, .]

hints:
  DockerRequirement:
    dockerImageId: cytotrace2-lite # built with ../container/Containerfile
  SoftwareRequirement:
    packages:
      cytotrace2-lite:
        version: ["0.1.0"]
  ResourceRequirement:
    coresMin: 2
    ramMin: 2048
requirements:
  InlineJavascriptRequirement: {}
  NetworkAccess:
    networkAccess: false

inputs:
  expression:
    type: File
    doc: A table of genes by cells, 10x .h5, .h5ad, .h5mu, Loom, .rds, Parquet or Arrow.
    inputBinding: {position: 1}
  species:
    type:
      - "null"
      - type: enum
        symbols: [mouse, human]
    doc: Of the gene names; mouse by default.
    inputBinding: {prefix: --species}
  annotation:
    type: File?
    doc: Table of cell ids and labels.
    inputBinding: {prefix: --annotation-path}
  batch_key:
    type: string?
    doc: Column with the sample of each cell; each sample is scored by itself.
    inputBinding: {prefix: --batch-key}
  model:
    type: File?
    doc: An .onnx file of "ct2-lite models"; the model open by default.
    inputBinding: {prefix: --model}
  prefix:
    type: string?
    doc: How the names of all files begin.
    inputBinding: {prefix: --prefix}
  strict:
    type: boolean?
    doc: Treat warnings about the data as errors.
    inputBinding: {prefix: --strict}

outputs:
  results:
    type: File
    doc: One line per cell.
    outputBinding: {glob: "*cytotrace2_results.txt"}
  record:
    type: File
    doc: How the results were made, and their digest.
    outputBinding: {glob: "*run.json"}

# 1 unexpected, 2 usage, 3 input, 4 no usable genes, 5 model: trying again changes nothing.
successCodes: [0]
permanentFailCodes: [1, 2, 3, 4, 5]
temporaryFailCodes: [129, 130, 143]
