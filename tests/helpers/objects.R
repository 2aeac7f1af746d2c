# Runs cytotrace2_lite() on objects of all kinds, for tests/test_r_function.py.
#
#     Rscript objects.R DIRECTORY [all]
#
# DIRECTORY has genes.txt, cells.txt, values.txt (counts, a line per gene) and the function. What
# each case gave is written to CASE.tsv; checks.tsv has a line for each check: its name, and "ok" or
# what was wrong; without "all", those called long_check are left out. The program that is called is
# in CT2_LITE_PROGRAM.

setwd(commandArgs(trailingOnly = TRUE)[1])
source(Sys.getenv("R_FUNCTION"))
stopifnot(identical(ls(), "cytotrace2_lite"))
suppressPackageStartupMessages({
  library(Matrix)
  library(SeuratObject)
  library(SingleCellExperiment)
})

lines_of <- function(path) readLines(path, encoding = "UTF-8")
genes <- lines_of("genes.txt")
cells <- lines_of("cells.txt")
dense <- matrix(
  scan("values.txt", quiet = TRUE), length(genes), byrow = TRUE, dimnames = list(genes, cells)
)
columns <- as(dense, "CsparseMatrix")
triplets <- as(columns, "TsparseMatrix")
real <- columns
real@x <- real@x / 7
names_of_results <- c(
  "CytoTRACE2_Score", "CytoTRACE2_Potency", "CytoTRACE2_Relative", "preKNN_CytoTRACE2_Score",
  "preKNN_CytoTRACE2_Potency"
)

# ---- Results of all kinds of objects.

write_results <- function(case, results) {
  results <- as.data.frame(results)[names_of_results]
  numbers <- vapply(results, is.numeric, TRUE)
  results[numbers] <- lapply(results[numbers], sprintf, fmt = "%.17g")
  file <- file(paste0(case, ".tsv"), "wb")
  on.exit(close(file))
  fields <- unname(c(list(enc2utf8(rownames(results))), lapply(results, as.character)))
  writeLines(do.call(paste, c(fields, sep = "\t")), file, useBytes = TRUE)
}

# An entry that is stored in two parts counts with their sum.
halves <- triplets
first <- which(halves@x > 1)[1]
halves@x[first] <- halves@x[first] - 1
halves@i <- c(halves@i, halves@i[first])
halves@j <- c(halves@j, halves@j[first])
halves@x <- c(halves@x, 1)

# The documented slots of SeuratObject 5, if this is an older one.
if (!existsFunction("CreateAssay5Object")) {
  setClass("LogMap", contains = "matrix")
  setClass("StdAssay", representation(
    "VIRTUAL", layers = "list", cells = "LogMap", features = "LogMap", default = "integer",
    assay.orig = "character", meta.data = "data.frame", misc = "list", key = "character"
  ))
  setClass("Assay5", contains = "StdAssay")
}
map_of <- function(all, members) {
  map <- vapply(members, function(some) all %in% some, logical(length(all)))
  new("LogMap", matrix(map, length(all), dimnames = list(all, names(members))))
}
five <- function(layers) {
  object <- seurat
  object@assays$RNA <- new("Assay5",
    layers = lapply(layers, unname),
    cells = map_of(cells, lapply(layers, colnames)),
    features = map_of(genes, lapply(layers, rownames)),
    default = 1L, key = "rna_", meta.data = data.frame(row.names = genes)
  )
  object
}

seurat <- CreateSeuratObject(columns)
experiment <- SingleCellExperiment(
  list(logcounts = log1p(columns), counts = columns),
  colData = DataFrame(mark = seq_along(cells), row.names = cells)
)
is_odd <- seq_along(cells) %% 2 == 1
expressed <- function(matrix) matrix[rowSums(matrix) > 0, ]
saveRDS(seurat, "seurat.rds")

whole <- list(
  dgCMatrix = columns,
  dgTMatrix = triplets,
  halves = halves,
  dgRMatrix = as(columns, "RsparseMatrix"),
  dgeMatrix = as(dense, "denseMatrix"),
  matrix = dense,
  integer = matrix(as.integer(dense), nrow(dense), dimnames = dimnames(dense)),
  data_frame = as.data.frame(dense),
  Seurat = seurat,
  Seurat5 = five(list(data = log1p(columns), counts = columns)),
  Seurat5_split = five(list(
    counts.b = expressed(columns[, is_odd]), counts.a = expressed(columns[, !is_odd]),
    data = log1p(columns)
  )),
  rds = "seurat.rds",
  SingleCellExperiment = experiment,
  SummarizedExperiment = SummarizedExperiment(list(counts = dense)),
  DelayedArray = SingleCellExperiment(list(counts = DelayedArray::DelayedArray(columns))),
  nameless_assay = SummarizedExperiment(list(columns))
)
reals <- list(
  real_dgCMatrix = real, real_matrix = as.matrix(real), real_Seurat = CreateSeuratObject(real)
)
results_in <- function(scored) {
  if (is.data.frame(scored)) return(scored)
  if (is(scored, "Seurat")) scored@meta.data else colData(scored)
}
for (case in names(c(whole, reals))) {
  scored <- suppressMessages(cytotrace2_lite(c(whole, reals)[[case]]))
  write_results(case, results_in(scored))
}

# ---- Checks.

checks <- character()
check <- function(name, code) {
  said <- tryCatch({
    force(code)
    "ok"
  }, error = conditionMessage)
  checks <<- c(checks, paste(name, gsub("[\t\n]", " ", said), sep = "\t"))
}
long_check <- function(name, code) {
  if ("all" %in% commandArgs(trailingOnly = TRUE)) check(name, code)
}
error_of <- function(code) {
  tryCatch({
    suppressMessages(code)
    "no error"
  }, error = conditionMessage)
}
quietly <- function(...) suppressMessages(cytotrace2_lite(...))

check("columns", {
  results <- quietly(columns)
  potencies <- c(
    "Differentiated", "Unipotent", "Oligopotent", "Multipotent", "Pluripotent", "Totipotent"
  )
  stopifnot(
    identical(names(results), names_of_results), identical(rownames(results), cells),
    is.ordered(results$CytoTRACE2_Potency), identical(levels(results$CytoTRACE2_Potency), potencies)
  )
})
check("Seurat keeps the rest", {
  scored <- quietly(seurat)
  stopifnot(identical(scored@meta.data[names(seurat@meta.data)], seurat@meta.data))
  scored@meta.data <- scored@meta.data[names(seurat@meta.data)]
  stopifnot(identical(scored, seurat))
})
check("SingleCellExperiment keeps the rest", {
  scored <- quietly(experiment)
  colData(scored) <- colData(scored)["mark"]
  stopifnot(identical(scored, experiment))
})
check("columns are replaced", {
  for (object in list(seurat, experiment)) {
    more <- quietly(object, extra_columns = TRUE)
    stopifnot(
      "CytoTRACE2_Raw_Score" %in% names(results_in(more)),
      is.numeric(results_in(more)$CytoTRACE2_Probability_Totipotent),
      is.factor(results_in(more)$CytoTRACE2_Status)
    )
    stopifnot(identical(results_in(quietly(more)), results_in(quietly(object))))
  }
})
check("order of the object's cells", {
  turned <- seurat
  turned@meta.data <- turned@meta.data[rev(cells), ]
  stopifnot(identical(
    quietly(turned)@meta.data[cells, "CytoTRACE2_Score"],
    quietly(seurat)@meta.data$CytoTRACE2_Score
  ))
})
check("arguments in upstream's order", {
  stopifnot(identical(
    quietly(seurat, "mouse", TRUE, "counts", 10000, 1000, TRUE, TRUE, NULL, 14), quietly(seurat)
  ))
})
check("samples", {
  sample <- ifelse(is_odd, "odd", "even")
  object <- seurat
  object$sample <- sample
  one <- results_in(quietly(object, batch_key = "sample"))[names_of_results]
  stopifnot(identical(one, quietly(dense, batch_key = factor(sample))))
  alone <- quietly(dense[, is_odd])
  stopifnot(identical(one[is_odd, ], alone))
})
check("assay", {
  object <- seurat
  object@assays$other <- CreateAssayObject(columns[, cells] * 2)
  object@active.assay <- "other"
  stopifnot(identical(results_in(quietly(object)), results_in(quietly(seurat))))
  object@assays$empty <- CreateAssayObject(data = log1p(columns))
  said <- error_of(quietly(object, assay = "empty"))
  stopifnot(startsWith(said, "Assay 'empty' has no counts. Choose another with assay: 'RNA', "))
  said <- error_of(quietly(object, assay = "ATAC"))
  stopifnot(said == "The object has no assay 'ATAC', but: 'RNA', 'other', 'empty'.")
})
check("layer", {
  object <- five(list(counts = columns, more = columns))
  stopifnot(identical(quietly(object, slot_type = "more")@meta.data, quietly(seurat)@meta.data))
  said <- error_of(quietly(object, slot_type = "data"))
  stopifnot(startsWith(said, "Assay 'RNA' has no layer 'data', but: 'counts', 'more'. Choose"))
  object <- five(list(counts.1 = columns, counts.2 = columns[, 1:3]))
  said <- error_of(quietly(object))
  stopifnot(startsWith(said, paste0("Cell '", cells[1], "' is in several of the layers")))
})
check("cells that no layer has", {
  object <- five(list(counts.1 = columns[, is_odd]))
  scores <- quietly(object)@meta.data$CytoTRACE2_Score
  stopifnot(all(is.na(scores[!is_odd])))
  stopifnot(identical(scores[is_odd], quietly(dense[, is_odd])$CytoTRACE2_Score))
})
check("cells without counts", {
  empty <- dense
  empty[, 2] <- 0
  results <- withCallingHandlers(quietly(empty), warning = function(w) {
    invokeRestart("muffleWarning")
  })
  stopifnot(is.na(results[2, ]), !is.na(results[-2, ]))
})
long_check("logical values and patterns count 1", {
  is_there <- columns > 0
  one <- quietly(as(is_there, "nMatrix"))
  stopifnot(identical(one, quietly(is_there)), identical(one, quietly(dense > 0)))
})
long_check("zeros that are stored", {
  stored <- columns
  stored@x[1:50] <- 0
  stopifnot(identical(quietly(stored), quietly(as.matrix(stored))))
})
long_check("a square matrix that is its own mirror image", {
  square <- dense[1:60, 1:60]
  square <- square + t(square)
  dimnames(square) <- list(genes[1:60], cells[1:60])
  stopifnot(identical(quietly(as(square, "CsparseMatrix")), quietly(square)))
})
check("names with tabs and line breaks", {
  odd <- dense
  colnames(odd)[1:3] <- c("a\tb", "c\nd", "e\rf")
  results <- quietly(odd)
  expected <- quietly(dense)
  stopifnot(identical(rownames(results), colnames(odd)))
  stopifnot(identical(results$CytoTRACE2_Score, expected$CytoTRACE2_Score))
})
long_check("paths with spaces", {
  dir.create("with space")
  object <- quietly(dense, output_dir = "with space/it's \"out\"")
  stopifnot(file.exists("with space/it's \"out\"/run.json"))
  path <- "with space/expr $HOME.txt"
  write.table(dense[, 11:15], path, sep = "\t", quote = FALSE, col.names = NA)
  stopifnot(identical(quietly(path), quietly(dense[, 11:15])))
})
check("messages and warnings", {
  said <- NULL
  withCallingHandlers(cytotrace2_lite(dense), message = function(m) {
    said <<- c(said, conditionMessage(m))
    invokeRestart("muffleMessage")
  })
  stopifnot(length(said) == 1, startsWith(said, "Model: made-up"))
  warned <- NULL
  withCallingHandlers(quietly(log1p(dense)), warning = function(w) {
    warned <<- c(warned, conditionMessage(w))
    invokeRestart("muffleWarning")
  })
  stopifnot(any(grepl("it looks log-transformed", warned)), !grepl("^Warning", warned))
})

# ---- What cannot be scored: one sentence.

twice <- columns
colnames(twice)[2] <- colnames(twice)[1]
same <- columns
rownames(same)[2] <- rownames(same)[1]
changed <- function(value) {
  matrix <- columns
  matrix@x[1] <- value
  matrix
}
at_first <- paste0("ct2-lite: object: gene '", genes[columns@i[1] + 1], "', cell '", cells[1], "': ")
refuses <- function(call_and_start) {
  said <- error_of(eval(call_and_start[[1]]))
  if (!startsWith(said, call_and_start[[2]])) stop(said)
}
refused <- list(
  "no program" = list(
    quote(cytotrace2_lite(dense, program = "/no/ct2-lite")),
    "The program '/no/ct2-lite' is not found. Install cytotrace2_lite (with pip) and give its path"
  ),
  species = list(
    quote(cytotrace2_lite(dense, species = "rat")),
    "species must be \"mouse\" or \"human\", not \"rat\"."
  ),
  "other species" = list(
    quote(cytotrace2_lite(dense, species = "human")), "ct2-lite: only "
  ),
  "a cell twice" = list(
    quote(cytotrace2_lite(twice)),
    paste0("ct2-lite: cells of the object: cell '", cells[1], "' appears twice (cells 1 and 2).")
  ),
  "no cells" = list(quote(cytotrace2_lite(columns[, 0])), "There are no cells."),
  "no genes" = list(quote(cytotrace2_lite(dense[0, ])), "There are no genes."),
  negative = list(
    quote(cytotrace2_lite(-columns)), paste0(at_first, "the value -")
  ),
  "no names of cells" = list(
    quote(cytotrace2_lite(unname(dense))), "The rows have no names, which are the genes"
  ),
  "an empty name" = list(
    quote(cytotrace2_lite(`colnames<-`(dense, c("", cells[-1])))), "Cell 1 has no name."
  ),
  "a column of text" = list(
    quote(cytotrace2_lite(data.frame(gene = genes, dense))),
    "Column 'gene' of the data frame does not hold numbers."
  ),
  "a matrix of text" = list(
    quote(cytotrace2_lite(matrix("a", 2, 2))), "The matrix holds values of type character"
  ),
  "another class" = list(
    quote(cytotrace2_lite(list(1))), "An object of class 'list' is not supported."
  ),
  "no such assay" = list(
    quote(cytotrace2_lite(experiment, slot_type = "tpm")),
    "The object has no assay 'tpm', but: 'logcounts', 'counts'."
  ),
  "no such slot" = list(
    quote(cytotrace2_lite(seurat, slot_type = "scale.data")),
    "slot_type is 'scale.data'; an assay of this object has 'counts' and 'data'."
  ),
  "no such column" = list(
    quote(cytotrace2_lite(experiment, batch_key = "x")),
    "The metadata has no column 'x', but: 'mark'."
  ),
  "too few samples" = list(
    quote(cytotrace2_lite(dense, batch_key = c("a", "b"))), "batch_key has 2 values for 120 cells."
  ),
  "a missing sample" = list(
    quote(cytotrace2_lite(dense, batch_key = c(NA, cells[-1]))),
    paste0("Cell '", cells[1], "' has no value of batch_key.")
  ),
  "no such file" = list(quote(cytotrace2_lite("none.txt")), "ct2-lite: none.txt: no such file")
)
refused_late <- list(
  "a gene twice" = list(
    quote(cytotrace2_lite(same)),
    paste0("ct2-lite: genes of the object: gene '", genes[1], "' appears twice (genes 1 and 2).")
  ),
  "no values" = list(quote(cytotrace2_lite(columns * 0)), "ct2-lite: none of the 1500 genes"),
  missing = list(
    quote(cytotrace2_lite(changed(NA))), paste0(at_first, "the value nan is not a finite number.")
  ),
  infinite = list(
    quote(cytotrace2_lite(changed(Inf))), paste0(at_first, "the value inf is not a finite number.")
  ),
  "a wrong number" = list(
    quote(cytotrace2_lite(dense, batch_size = 0.5)), "ct2-lite: Invalid value for '-bs'"
  ),
  "no such model" = list(quote(cytotrace2_lite(dense, model = "none")), "ct2-lite: none: no such model")
)

for (name in names(refused)) check(name, refuses(refused[[name]]))
for (name in names(refused_late)) long_check(name, refuses(refused_late[[name]]))
check("nothing is left behind", stopifnot(length(list.files(tempdir(), pattern = "cytotrace2")) == 0))

numbers <- environment(cytotrace2_lite)$numbers
writeLines(sprintf("%a", numbers(lines_of("numbers.txt"))), "read_numbers.txt")
writeLines(checks, "checks.tsv")
