# cytotrace2_lite(): CytoTRACE 2 for Seurat, SingleCellExperiment, matrices and data frames.
#
#     source(system2("ct2-lite", "r-function", stdout = TRUE))
#     object <- cytotrace2_lite(object, species = "human")
#
# The expression is written as a 10x directory into a temporary directory, the program ct2-lite
# scores it, and the columns of its results are put into the object. Base R and Matrix suffice.
#
# object             Seurat object (v3, v4, v5), SingleCellExperiment or SummarizedExperiment;
#                    matrix (sparse or dense) or data frame of genes x cells; path of an .rds file
#                    of one of these, or of any other file that ct2-lite run reads. Raw counts, CPM
#                    or TPM, not log-transformed.
# species            "mouse" or "human": that of the gene names.
# is_seurat          Ignored: the class of the object says what it is.
# slot_type          Slot or layer of a Seurat assay, assay of a SingleCellExperiment.
# batch_size         Largest number of cells scored together.
# smooth_batch_size  Largest number of cells smoothed by diffusion together.
# parallelize_models, parallelize_smoothing
#                    Ignored: ncores = 1 uses one thread. The results are the same.
# ncores             Number of threads; NULL for one per processor.
# seed               Of the random splits into batches.
# assay              Assay of a Seurat object; NULL for RNA if there is one, else the default assay.
# batch_key          Each sample is scored by itself: the name of a column of the metadata, or for
#                    a matrix or data frame a vector with the sample of each cell.
# model              Name of a model or path of an .onnx file; NULL as ct2-lite chooses.
# duplicate_genes    What to do with genes of the same name: "error", "first" or "sum".
# extra_columns      Add raw score, probabilities, pseudotime and status.
# output_dir         Directory that keeps the results file and run.json; NULL for none.
# program            The program ct2-lite: its path, or its name if it is on the PATH.
#
# Value: the object with these columns in meta.data or colData; for a matrix, a data frame or a
# file that is not an .rds, a data frame with a row for each cell, in the order of the input:
# CytoTRACE2_Score, CytoTRACE2_Potency (an ordered factor), CytoTRACE2_Relative,
# preKNN_CytoTRACE2_Score, preKNN_CytoTRACE2_Potency. Cells without any count have NA.

cytotrace2_lite <- local({

  potencies <- c(
    "Differentiated", "Unipotent", "Oligopotent", "Multipotent", "Pluripotent", "Totipotent"
  )
  potency_columns <- c("CytoTRACE2_Potency", "preKNN_CytoTRACE2_Potency")
  status_column <- "CytoTRACE2_Status"
  further_columns <- c(
    "CytoTRACE2_Raw_Score", paste0("CytoTRACE2_Probability_", potencies),
    "CytoTRACE2_Pseudotime", status_column, "CytoTRACE2_Score_SD"
  )
  # Entries and values that are held as text, or dense, at a time.
  entries_at_a_time <- 1e6
  values_at_a_time <- 4e6

  fail <- function(...) stop(..., call. = FALSE)

  listed <- function(names) {
    if (!length(names)) return("none")
    paste0("'", names, "'", collapse = ", ")
  }

  # ---- What an object holds: genes, cells, and pieces of the matrix of genes x cells. A piece has
  # ---- values, and the places of its rows and columns among all genes and cells (NULL: its own).

  expression_of <- function(values, genes = rownames(values), cells = colnames(values)) {
    if (!nrow(values)) fail("There are no genes.")
    if (!ncol(values)) fail("There are no cells.")
    if (is.null(genes)) fail("The rows have no names, which are the genes: set rownames().")
    if (is.null(cells)) fail("The columns have no names, which are the cells: set colnames().")
    list(
      genes = as.character(genes), cells = as.character(cells),
      pieces = list(list(values = values, rows = NULL, columns = NULL))
    )
  }

  matrix_expression <- function(object) {
    if (is.data.frame(object)) {
      is_number <- vapply(object, function(x) is.numeric(x) || is.logical(x), TRUE)
      if (!all(is_number)) {
        fail(
          "Column ", listed(names(object)[!is_number][1]), " of the data frame does not hold ",
          "numbers. Each column must be a cell; the names of the genes belong into rownames()."
        )
      }
    } else if (is.matrix(object) && !is.numeric(object) && !is.logical(object)) {
      fail("The matrix holds values of type ", typeof(object), ", not numbers.")
    }
    expression_of(object)
  }

  experiment_expression <- function(object, slot_type) {
    names <- SummarizedExperiment::assayNames(object)
    assays <- SummarizedExperiment::assays(object, withDimnames = FALSE)
    if (is.null(names) && length(assays) == 1) {
      values <- assays[[1]]
    } else if (slot_type %in% names) {
      values <- assays[[slot_type]]
    } else {
      fail(
        "The object has no assay '", slot_type, "', but: ", listed(names),
        ". Choose one with slot_type, of raw counts, CPM or TPM."
      )
    }
    expression_of(values, rownames(object), colnames(object))
  }

  seurat_expression <- function(object, slot_type, assay) {
    if (is.null(assay)) {
      assay <- if ("RNA" %in% names(object@assays)) "RNA" else object@active.assay
    }
    if (!assay %in% names(object@assays)) {
      fail("The object has no assay '", assay, "', but: ", listed(names(object@assays)), ".")
    }
    data <- object@assays[[assay]]
    if (methods::.hasSlot(data, "layers")) return(layers_expression(data, slot_type, assay))
    if (!slot_type %in% c("counts", "data") || !methods::.hasSlot(data, slot_type)) {
      fail("slot_type is '", slot_type, "'; an assay of this object has 'counts' and 'data'.")
    }
    values <- methods::slot(data, slot_type)
    if (!length(values)) {
      fail(
        "Assay '", assay, "' has no ", slot_type, ". Choose another with assay: ",
        listed(setdiff(names(object@assays), assay)), "."
      )
    }
    expression_of(values)
  }

  # Seurat v5: layers without names. `cells` and `features` say which of them a layer has. Counts
  # that are split by sample are in layers counts.1, counts.2, ...
  layers_expression <- function(data, slot_type, assay) {
    if (methods::is(data, "Assay5T")) {
      fail("Assay '", assay, "' is transposed (Assay5T), which is not supported.")
    }
    layers <- names(data@layers)
    chosen <- if (slot_type %in% layers) slot_type else {
      layers[startsWith(layers, paste0(slot_type, "."))]
    }
    if (!length(chosen)) {
      fail(
        "Assay '", assay, "' has no layer '", slot_type, "', but: ", listed(layers),
        ". Choose one with slot_type, of raw counts, CPM or TPM."
      )
    }
    in_layer <- function(map, layer) which(as.logical(map[, layer]))
    pieces <- lapply(chosen, function(layer) {
      list(
        values = data@layers[[layer]],
        rows = in_layer(data@features, layer), columns = in_layer(data@cells, layer)
      )
    })
    places <- unlist(lapply(pieces, `[[`, "columns"))
    if (anyDuplicated(places)) {
      fail(
        "Cell '", rownames(data@cells)[places[duplicated(places)][1]], "' is in several of the ",
        "layers ", listed(chosen), ". Choose one with slot_type."
      )
    }
    used <- sort(places)  # an assay may have cells that none of these layers has
    pieces <- lapply(pieces, function(piece) {
      piece$columns <- match(piece$columns, used)
      piece
    })
    list(genes = rownames(data@features), cells = rownames(data@cells)[used], pieces = pieces)
  }

  # ---- The 10x directory.

  # Calls use(row, column, value) for the values of a matrix that are not 0, some at a time.
  each_part <- function(values, use) {
    if (methods::is(values, "sparseMatrix")) return(each_part_of_columns(values, 0, use))
    n_columns <- ncol(values)
    step <- max(1, values_at_a_time %/% max(1, nrow(values)))
    for (first in seq(1, by = step, length.out = ceiling(n_columns / step))) {
      part <- values[, first:min(first + step - 1, n_columns), drop = FALSE]
      if (isS4(part)) part <- sparse(part)
      if (isS4(part)) {
        each_part_of_columns(part, first - 1, use)
      } else {
        part <- as.matrix(part)
        at <- which(part != 0 | is.na(part))
        use((at - 1) %% nrow(part) + 1, (at - 1) %/% nrow(part) + first, as.numeric(part[at]))
      }
    }
  }

  # Of what is not in memory (DelayedArray, BPCells) only as much as is asked for was read here.
  sparse <- function(part) {
    if (methods::is(part, "Matrix")) return(methods::as(part, "CsparseMatrix"))
    tryCatch(methods::as(part, "dgCMatrix"), error = function(e) as.matrix(part))
  }

  each_part_of_columns <- function(values, offset, use) {
    values <- general(values)
    ends <- values@p[-1]
    column <- 0
    while (column < ncol(values)) {
      start <- values@p[column + 1]
      last <- max(column + 1, findInterval(start + entries_at_a_time, ends))
      size <- ends[last] - start
      at <- seq.int(start + 1, length.out = size)
      value <- stored(values, at)
      columns <- rep.int(seq(column + 1, last), diff(values@p[(column:last) + 1]))
      kept <- is.na(value) | value != 0
      if (any(kept)) use(values@i[at][kept] + 1, columns[kept] + offset, value[kept])
      column <- last
    }
  }

  general <- function(values) {
    methods::as(methods::as(values, "CsparseMatrix"), "generalMatrix")
  }

  # Matrices of logical values or patterns count TRUE as 1.
  stored <- function(values, at) {
    if (methods::.hasSlot(values, "x")) as.numeric(values@x[at]) else rep(1, length(at))
  }

  is_whole <- function(value) all(is.finite(value) & value == floor(value) & abs(value) < 2^31)

  write_matrix <- function(expression, path) {
    pieces <- expression$pieces
    values <- pieces[[1]]$values
    # Matrix writes whole numbers three times as fast, others slowly; Inf and NaN as 1e308; a square
    # matrix perhaps as one triangle.
    if (length(pieces) == 1 && is.null(pieces[[1]]$rows) && methods::is(values, "dgCMatrix") &&
        nrow(values) != ncol(values) && length(values@x) && is_whole(values@x)) {
      Matrix::writeMM(values, path)
      return(invisible())
    }
    n_entries <- 0
    for (piece in pieces) {
      each_part(piece$values, function(row, column, value) {
        n_entries <<- n_entries + length(value)
      })
    }
    file <- file(path, "wb")
    on.exit(close(file))
    writeLines(c(
      "%%MatrixMarket matrix coordinate real general",
      sprintf("%d %d %.0f", length(expression$genes), length(expression$cells), n_entries)
    ), file)
    for (piece in pieces) {
      each_part(piece$values, function(row, column, value) {
        if (!is.null(piece$rows)) row <- piece$rows[row]
        if (!is.null(piece$columns)) column <- piece$columns[column]
        row <- as.integer(row)
        column <- as.integer(column)
        if (is_whole(value)) {
          entries <- list(row, column, as.integer(value))
          utils::write.table(entries, file, row.names = FALSE, col.names = FALSE)
        } else {
          value[is.na(value)] <- NaN  # ct2-lite names the gene and the cell
          writeLines(sprintf("%d %d %.17g", row, column, value), file)
        }
      })
    }
  }

  # Names as fields of a table.
  fields <- function(names) {
    names <- gsub("[\t\r\n]", " ", enc2utf8(names))
    quoted <- grepl("\"", names, fixed = TRUE)
    names[quoted] <- paste0("\"", gsub("\"", "\"\"", names[quoted], fixed = TRUE), "\"")
    names
  }

  write_names <- function(path, header, ...) {
    file <- file(path, "wb")
    on.exit(close(file))
    writeLines(c(header, paste(..., sep = "\t")), file, useBytes = TRUE)
  }

  check_names <- function(names, what) {
    nameless <- which(is.na(names) | !nzchar(trimws(names)))
    if (length(nameless)) {
      fail(what, " ", nameless[1], " has no name. Name it or remove it.")
    }
  }

  write_10x <- function(expression, directory) {
    genes <- expression$genes
    cells <- expression$cells
    check_names(genes, "Gene")
    check_names(cells, "Cell")
    dir.create(directory)
    gene_fields <- fields(genes)
    write_names(
      file.path(directory, "features.tsv"), "gene_id\tgene_name\tfeature_type",
      gene_fields, gene_fields, rep("Gene Expression", length(genes))
    )
    write_names(file.path(directory, "barcodes.tsv"), "barcode", fields(cells))
    write_matrix(expression, file.path(directory, "matrix.mtx"))
  }

  # ---- The program.

  find_program <- function(program) {
    found <- unname(Sys.which(path.expand(program)))
    if (!nzchar(found)) {
      fail(
        "The program '", program, "' is not found. Install cytotrace2_lite (with pip) and give ",
        "its path: program = \"/path/to/ct2-lite\", or Sys.setenv(CT2_LITE_PROGRAM = ",
        "\"/path/to/ct2-lite\")."
      )
    }
    found
  }

  # Runs it; its warnings become warnings, an error becomes an error.
  run_program <- function(program, arguments, work, input) {
    log <- file.path(work, "log.txt")
    status <- suppressWarnings(
      system2(program, c("run", shQuote(arguments)), stdout = FALSE, stderr = log)
    )
    lines <- if (file.exists(log)) readLines(log, warn = FALSE, encoding = "UTF-8") else character()
    if (!is.null(input)) {
      in_words <- c("matrix.mtx" = "object", "features.tsv" = "genes of the object",
        "barcodes.tsv" = "cells of the object")
      for (name in names(in_words)) {
        lines <- gsub(file.path(input, name), in_words[[name]], lines, fixed = TRUE)
      }
      lines <- gsub(input, "object", lines, fixed = TRUE)
    }
    is_warning <- startsWith(lines, "Warning: ")
    for (line in lines[is_warning]) warning(sub("^Warning: ", "", line), call. = FALSE)
    lines <- lines[!is_warning & nzchar(lines)]
    if (status != 0) {
      error <- grep("^Error: ", lines)
      said <- if (length(error)) lines[error[1]:length(lines)] else utils::tail(lines, 1)
      fail(
        "ct2-lite: ", sub("^Error: ", "", paste(said, collapse = "\n")),
        if (!length(said)) paste0("it ended with exit code ", status, ".")
      )
    }
    for (line in lines) message(line)
  }

  # ---- The results.

  # Product of two doubles, and what was rounded off from it (Dekker 1971).
  two_product <- function(x, y) {
    halves <- function(x) {
      shifted <- 134217729 * x  # 2^27 + 1
      upper <- shifted - (shifted - x)
      list(upper, x - upper)
    }
    a <- halves(x)
    b <- halves(y)
    product <- x * y
    rounded_off <- ((a[[1]] * b[[1]] - product) + a[[1]] * b[[2]] + a[[2]] * b[[1]]) +
      a[[2]] * b[[2]]
    list(product, rounded_off)
  }

  # Numbers of a text, correctly rounded. as.numeric() is off by the last bit in one of 10,000, or
  # in more where `long double` has 64 bits: what it is off by is computed and added.
  numbers <- function(text) {
    value <- as.numeric(text)
    mantissa <- sub("[eE].*", "", text, perl = TRUE)
    exponent <- rep("0", length(text))
    has_exponent <- nchar(mantissa) < nchar(text)
    exponent[has_exponent] <- sub(".*[eE]", "", text[has_exponent])
    digits <- sub(".", "", mantissa, fixed = TRUE)
    point <- regexpr(".", mantissa, fixed = TRUE)
    shift <- ifelse(point > 0, nchar(mantissa) - point, 0) - as.integer(exponent)
    digits <- sub("^0+", "", digits, perl = TRUE)
    n <- nchar(digits)
    to_correct <- which(!is.na(value) & n > 0 & n <= 17 & shift >= 1 & shift <= 44)
    digits <- digits[to_correct]
    n <- n[to_correct]
    shift <- shift[to_correct]
    found <- value[to_correct]
    # The text is (high * 1e8 + low) / scale; each of these, and 1e22, is a double.
    high <- as.numeric(substr(digits, 1, n - 8))
    high[is.na(high)] <- 0
    low <- as.numeric(substr(digits, n - 7, n))
    power <- as.numeric(paste0("1e", 0:22))
    scale <- two_product(power[pmin(shift, 22) + 1], power[pmax(shift - 22, 0) + 1])
    whole <- two_product(found, scale[[1]])
    rest <- ((high * 1e8 - whole[[1]]) + low) - whole[[2]] - found * scale[[2]]
    value[to_correct] <- found + rest / scale[[1]]
    value
  }

  read_results <- function(path) {
    table <- utils::read.table(
      path, header = TRUE, sep = "\t", quote = "\"", colClasses = "character", na.strings = NULL,
      check.names = FALSE, comment.char = "", encoding = "UTF-8", row.names = NULL
    )
    cells <- table[[1]]
    table <- table[-1]
    for (name in names(table)) {
      text <- table[[name]]
      table[[name]] <- if (name %in% potency_columns) {
        factor(text, levels = potencies, ordered = TRUE)
      } else if (name == status_column) {
        factor(text)
      } else {
        numbers(text)
      }
    }
    rownames(table) <- cells
    table
  }

  # Puts the columns into a table with a row for each cell; those of an earlier run are replaced.
  with_columns <- function(metadata, cells, results) {
    at <- match(rownames(metadata), cells)
    for (name in setdiff(intersect(further_columns, names(metadata)), names(results))) {
      metadata[[name]] <- NULL
    }
    for (name in names(results)) metadata[[name]] <- results[[name]][at]
    metadata
  }

  # Gives the sample of each cell and the name of its column.
  samples_of <- function(batch_key, metadata, cells) {
    if (length(batch_key) == 1 && is.character(batch_key) && !is.null(metadata)) {
      if (!batch_key %in% names(metadata)) {
        fail("The metadata has no column '", batch_key, "', but: ", listed(names(metadata)), ".")
      }
      samples <- metadata[[batch_key]][match(cells, rownames(metadata))]
      key <- batch_key
    } else {
      samples <- batch_key
      key <- "batch"
    }
    samples <- as.character(samples)
    if (length(samples) != length(cells)) {
      fail("batch_key has ", length(samples), " values for ", length(cells), " cells.")
    }
    missing <- which(is.na(samples) | !nzchar(samples))
    if (length(missing)) {
      fail("Cell '", cells[missing[1]], "' has no value of batch_key. Give one for each cell.")
    }
    list(key = key, samples = samples)
  }

  function(object, species = "mouse", is_seurat = FALSE, slot_type = "counts", batch_size = 10000,
           smooth_batch_size = 1000, parallelize_models = TRUE, parallelize_smoothing = TRUE,
           ncores = NULL, seed = 14, assay = NULL, batch_key = NULL, model = NULL,
           duplicate_genes = "error", extra_columns = FALSE, output_dir = NULL,
           program = Sys.getenv("CT2_LITE_PROGRAM", "ct2-lite")) {
    program <- find_program(program)
    if (!identical(species, "mouse") && !identical(species, "human")) {
      fail("species must be \"mouse\" or \"human\", not ", deparse(species)[1], ".")
    }
    is_path <- is.character(object) && length(object) == 1 && is.null(dim(object))
    if (is_path && grepl("[.]rds$", object, ignore.case = TRUE)) {
      if (!file.exists(object)) fail(object, ": no such file. Check the path.")
      object <- readRDS(object)
      is_path <- FALSE
    }
    package <- attr(class(object), "package")
    if (!is.null(package) && package != ".GlobalEnv") requireNamespace(package, quietly = TRUE)

    is_experiment <- !is_path && methods::is(object, "SummarizedExperiment")
    is_object <- is_experiment || inherits(object, "Seurat")
    metadata <- NULL
    if (is_path) {
      if (!is.null(batch_key)) fail("batch_key is for an object, not for a path.")
    } else if (inherits(object, "Seurat")) {
      expression <- seurat_expression(object, slot_type, assay)
      metadata <- object@meta.data
    } else if (is_experiment) {
      expression <- experiment_expression(object, slot_type)
      metadata <- SummarizedExperiment::colData(object)
    } else if (inherits(object, "seurat")) {
      fail("This object is of Seurat v2. Convert it first: UpdateSeuratObject(object).")
    } else if (is.data.frame(object) || length(dim(object)) == 2) {
      expression <- matrix_expression(object)
    } else {
      fail(
        "An object of class ", listed(class(object)[1]), " is not supported. Give a Seurat ",
        "object, a SingleCellExperiment, a SummarizedExperiment, a matrix or a data frame of ",
        "genes x cells."
      )
    }

    work <- tempfile("cytotrace2_lite_")
    dir.create(work)
    on.exit(unlink(work, recursive = TRUE))
    work <- normalizePath(work, winslash = "/")
    input <- if (is_path) path.expand(object) else file.path(work, "10x")
    results <- if (is.null(output_dir)) file.path(work, "results") else path.expand(output_dir)
    number <- function(x) format(x, scientific = FALSE, digits = 15)
    arguments <- c(
      "-f", input, "-o", results, "-sp", species, "-bs", number(batch_size),
      "-sbs", number(smooth_batch_size), "-r", number(seed), "--duplicate-genes", duplicate_genes,
      "-dpl", "-dv",
      if (!is_path) c("--orientation", "genes-x-cells"),
      if (!is.null(ncores)) c("-mc", number(ncores)),
      if (!is.null(model)) c("-m", path.expand(model)),
      if (isTRUE(extra_columns)) "--extra-columns"
    )
    if (!is_path) {
      if (!is.null(batch_key)) {
        annotation <- samples_of(batch_key, metadata, expression$cells)
        path <- file.path(work, "samples.tsv")
        # A header that is no cell: it would be taken for a line of data.
        header <- paste(utils::tail(make.unique(c(expression$cells, "cell")), 1), annotation$key,
          sep = "\t")
        write_names(path, header, fields(expression$cells), fields(annotation$samples))
        arguments <- c(arguments, "-a", path, "--batch-key", annotation$key)
      }
      write_10x(expression, input)
    }
    run_program(program, arguments, work, if (!is_path) input)

    found <- read_results(file.path(results, "cytotrace2_results.txt"))
    if (is_path) return(found)
    if (nrow(found) != length(expression$cells)) {
      fail(nrow(found), " cells have results, but the object has ", length(expression$cells), ".")
    }
    # In the order of the input; the object's own spelling of the names.
    rownames(found) <- expression$cells
    if (inherits(object, "Seurat")) {
      object@meta.data <- with_columns(metadata, expression$cells, found)
    } else if (is_experiment) {
      SummarizedExperiment::colData(object) <- with_columns(metadata, expression$cells, found)
    }
    if (is_object) object else found
  }
})
