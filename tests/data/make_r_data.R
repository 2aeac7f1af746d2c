# Write `r/`: 20 example cells and 68 genes in objects of R. Run with R 4.2, Matrix, SeuratObject 4.1
# and SingleCellExperiment, in this directory: Rscript make_r_data.R
#
# Seurat's `Assay5` is not in SeuratObject 4.1: its documented slots are defined here.

suppressMessages({
  library(Matrix)
  library(SeuratObject)
  library(SingleCellExperiment)
})

table <- read.table(gzfile("enteric_300.txt.gz"), header = TRUE, row.names = 1, sep = "\t",
                    check.names = FALSE)
table <- table[seq(1, nrow(table), 250), 1:20]
dense <- as.matrix(table)
counts <- as(dense, "CsparseMatrix")
cells <- colnames(counts)
type <- factor(rep(c("neuron", "glia"), length.out = 20), levels = c("glia", "neuron"))
layout <- matrix(as.numeric(1:40), ncol = 2, dimnames = list(cells, c("UMAP_1", "UMAP_2")))
dir.create("r", showWarnings = FALSE)
write <- function(object, name, ...) saveRDS(object, file.path("r", name), ...)

# Matrices and data frames, in every compression.
write(counts, "dgcmatrix.rds")
write(as(counts, "TsparseMatrix"), "dgtmatrix.rds", compress = "bzip2")
write(as(counts, "RsparseMatrix"), "dgrmatrix.rds", compress = "xz")
write(dense, "matrix.rds", version = 2)
write(as(counts, "unpackedMatrix"), "dgematrix.rds")
write(table, "data_frame.rds")
write(data.frame(gene = rownames(table), table, row.names = NULL, check.names = FALSE),
      "names_in_a_column.rds")
write(as.data.frame(t(table)), "cells_in_rows.rds")

# Seurat: as a session leaves it, with code and environments in it.
seurat <- CreateSeuratObject(counts, project = "enteric")
seurat <- SetAssayData(seurat, "data", log1p(GetAssayData(seurat, "counts")))
seurat <- SetAssayData(seurat, "scale.data", as.matrix(GetAssayData(seurat, "data"))[1:5, ])
seurat$type <- type
seurat$donor <- rep(c("d1", "d2"), each = 10)
seurat$cluster <- rep(0:3, 5)
seurat$fraction <- rep(c(0.1, 100000, 1 / 3, NA), 5)
seurat$kept <- rep(c(TRUE, FALSE, NA, TRUE), 5)
seurat[["umap"]] <- CreateDimReducObject(layout, key = "UMAP_", assay = "RNA")
seurat[["SCT"]] <- CreateAssayObject(counts * 2)
seurat@misc$steps <- list(function(x) x + 1, compiler::cmpfun(function(x) for (i in x) print(i)),
                          y ~ x, quote(f(x)), new.env(), as.raw(1:3), 1i, expression(a),
                          globalenv(), asNamespace("stats"), sum, as.numeric_version("1.2"))
Idents(seurat) <- "type"
write(seurat, "seurat_v4.rds")
no_counts <- CreateSeuratObject(CreateAssayObject(data = log1p(counts)))
write(no_counts, "seurat_without_counts.rds")

# Version 5:
setClass("LogMap", contains = "matrix")
setClass("Assay5", representation(layers = "list", cells = "LogMap", features = "LogMap",
                                  default = "integer", assay.orig = "character",
                                  meta.data = "data.frame", misc = "list", key = "character"))
setClass("Assay5T", contains = "Assay5")
log_map <- function(names, layers) {
  new("LogMap", matrix(unlist(layers), nrow = length(names), dimnames = list(names, names(layers))))
}
as_version_5 <- function(layers, in_cells, in_features) {
  layers <- lapply(layers, function(m) { dimnames(m) <- list(NULL, NULL); m })
  assay <- new("Assay5", layers = layers, cells = log_map(cells, in_cells),
               features = log_map(rownames(counts), in_features), default = 1L,
               assay.orig = character(), misc = list(), key = "rna_",
               meta.data = data.frame(row.names = seq_len(nrow(counts)))[, 0])
  object <- CreateSeuratObject(counts)
  object$type <- type
  object[["umap"]] <- CreateDimReducObject(layout[20:1, ], key = "UMAP_", assay = "RNA")
  attr(object, "assays") <- list(RNA = assay)
  object
}
all_cells <- rep(TRUE, 20)
all_genes <- rep(TRUE, nrow(counts))
write(as_version_5(list(counts = counts, data = log1p(counts)),
                   list(counts = all_cells, data = all_cells),
                   list(counts = all_genes, data = all_genes)), "seurat_v5.rds")
transposed <- as_version_5(list(counts = t(counts)), list(counts = all_cells), list(counts = all_genes))
attr(transposed, "assays") <- list(RNA = as(transposed@assays$RNA, "Assay5T"))
write(transposed, "seurat_v5_transposed.rds")
# Split by sample: each layer has some of the cells, and those of the genes that it expresses.
of_first <- rep(c(TRUE, FALSE), 10)
genes_1 <- rowSums(counts[, of_first]) > 0
genes_2 <- rowSums(counts[, !of_first]) > 0
write(as_version_5(list(counts.1 = counts[genes_1, of_first], counts.2 = counts[genes_2, !of_first]),
                   list(counts.1 = of_first, counts.2 = !of_first),
                   list(counts.1 = genes_1, counts.2 = genes_2)), "seurat_v5_split.rds")

# Bioconductor.
ids <- sprintf("ENSXXXG%011d", seq_len(nrow(counts)) - 1L)
labels <- DataFrame(type = type, donor = Rle(rep(c("d1", "d2"), each = 10)), row.names = cells)
write(SingleCellExperiment(list(logcounts = log1p(counts), counts = counts), colData = labels,
                           reducedDims = list(PCA = layout * 2, UMAP = layout)), "sce.rds")
write(SingleCellExperiment(list(counts = `rownames<-`(counts, ids)), colData = labels,
                           rowData = DataFrame(Symbol = rownames(counts), row.names = ids)),
      "sce_of_ids.rds")
write(SummarizedExperiment(list(counts = dense), colData = labels), "summarized.rds", compress = FALSE)

# Workspaces.
numbers <- 1:10
save(numbers, counts, file = "r/one.RData")
save(numbers, seurat, counts, file = "r/several.RData", compress = "xz")
save(numbers, file = "r/none.RData", compress = "bzip2")

# Forms of vectors since R 3.5, encodings, and things that are refused.
numbered <- dense[, 1:3]
dimnames(numbered) <- list(rownames(dense), as.character(1:3))  # text that is still numbers
write(numbered, "deferred_names.rds")
sequences <- structure(
  list(up = 1:68, down = as.numeric(68:1), kept = .Internal(wrap_meta(dense[, 1] + 0, 1L, TRUE))),
  class = "data.frame", row.names = rownames(dense))
write(sequences, "sequences.rds")
strange <- dense[, 1:3]
latin1 <- iconv("caf\u00e9", "UTF-8", "latin1")
colnames(strange) <- c("na\u00efve", latin1, "\u7d30\u80de")
write(strange, "encodings.rds")
bytes <- "caf\xe9"
Encoding(bytes) <- "bytes"
colnames(strange)[1] <- bytes
write(strange, "bytes.rds")
missing <- dense
storage.mode(missing) <- "integer"
missing[3, 2] <- NA
write(missing, "missing.rds")
write(dense > 0, "logical.rds")
write(as(counts, "nMatrix"), "pattern.rds")
write(crossprod(counts), "symmetric.rds")
write(unname(dense), "without_names.rds")
write(lm(y ~ x, data.frame(x = 1:3, y = 3:1)), "lm.rds")
write(dense, "text.rds", ascii = TRUE)
