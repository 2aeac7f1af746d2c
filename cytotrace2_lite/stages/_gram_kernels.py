"""The inner loops of products with the Gram matrix, in LLVM's assembly language.

For each gene, the vectors on the cells are multiplied with its values, and the result back on the
cells, while the values are in the cache: each value is read from memory once, where two products of
matrices would read it twice. Eight vectors are multiplied at a time. Their entries for one cell lie
side by side, so one instruction (of AVX-512; two of AVX2, four of NEON or SSE2) multiplies
a value with all of them. In C, but for the names of types:

    void dense(values, n_groups, n_cells, vectors, start, on_cells, total)
    {
        for (group = 0; group < n_groups; group++)         // of eight genes
            for each of its genes g at once {
                on_gene = start;
                for (cell = 0; cell < n_cells; cell++)
                    on_gene += values[group][cell][g] * vectors[cell];
                total += on_gene;
                for (cell = 0; cell < n_cells; cell++)
                    on_cells[cell] += values[group][cell][g] * on_gene;
            }
    }

    void sparse(values, cells, first, n_genes, vectors, start, on_cells, total)
    {
        for (gene = 0; gene < n_genes; gene++) {
            on_gene = start;
            for (i = first[gene]; i < first[gene + 1]; i++)
                on_gene += values[i] * vectors[cells[i]];
            total += on_gene;
            for (i = first[gene]; i < first[gene + 1]; i++)
                on_cells[cells[i]] += values[i] * on_gene;
        }
    }

And so values get where these look for them:

    void pack(log2, genes, first, n_cells, first_cell, n_genes, place, n_dense, n_filled, dense,
              free, values, cells, sums)
    {
        for (cell = 0; cell < n_cells; cell++) {
            sum = squares = 0;
            for (i = first[cell]; i < first[cell + 1]; i++) {
                value = rint(log2[i] / UNIT);
                sum += value, squares += value * value;
                gene = place[genes[i]];
                if (gene < n_dense)
                    dense[gene / 8][first_cell + cell][gene % 8] = value;
                else {
                    at = free[gene - n_dense]++;
                    values[at] = value, cells[at] = first_cell + cell;
                }
            }
            sums[cell] = {sum, n_genes * squares - sum * sum};   // the second of 128 bits
        }
    }

Sums are taken in a fixed order, that of a sparse gene as one of its even and one of its odd values.
Whether a product and the sum that follows are rounded once or twice depends on the processor, as
with BLAS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytotrace2_lite.system.compiler import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CELLS_PER_TILE",
    "GENES_PER_GROUP",
    "KERNELS",
    "UNIT",
    "VECTORS_PER_PRODUCT",
    "for_cells",
]

#: How many vectors are multiplied together. With 4 the components are found in a quarter fewer
#: vectors, but a product of 4 takes nearly as long as one of 8.
VECTORS_PER_PRODUCT = 8
#: The dense genes of a group: their sums fill half of the registers of AVX-512, and all of AVX2's.
GENES_PER_GROUP = 8
#: What the values are whole multiples of: log2(1e6 + 1) < 20 is less than 2**31 of them.
UNIT = 2.0**-26
#: The number of cells of dense genes is a multiple of this: so many are converted at a time.
CELLS_PER_TILE = 64

_BYTES_AHEAD = 1024  # how far in front of a conversion memory is asked for
_VECTOR = f"<{VECTORS_PER_PRODUCT} x double>"
_MULTIPLY_ADD = f"call {_VECTOR} @llvm.fmuladd.v{VECTORS_PER_PRODUCT}f64"
_TILE = CELLS_PER_TILE * GENES_PER_GROUP


def _each(line: Callable[[int], str]) -> str:
    """Repeat a line for each gene of a group."""
    return "\n".join(line(gene) for gene in range(GENES_PER_GROUP))


def _phi(name: str, *values: str) -> str:
    """Name a vector that differs by the block that was left last."""
    return f"  %{name} = phi {_VECTOR} " + ", ".join(f"[{value}]" for value in values)


def _spread(name: str, number: str) -> str:
    """Put a double into all entries of a vector."""
    return f"""\
  %{name}.one = insertelement {_VECTOR} poison, double {number}, i32 0
  %{name} = shufflevector {_VECTOR} %{name}.one, {_VECTOR} poison,
            <{VECTORS_PER_PRODUCT} x i32> zeroinitializer"""


def _converted(name: str, at: str) -> str:
    """Load a converted value of the tile, for all entries of a vector."""
    return f"""\
  %{name}.at = getelementptr double, ptr %tile, i64 {at}
  %{name}.number = load double, ptr %{name}.at, align 8
{_spread(name, f"%{name}.number")}"""


def _bounds(number: str, indptr: str) -> str:
    """Load where the values of gene or cell g begin and end; bounds are numbers of this type."""
    return f"""\
  %begin.at = getelementptr {number}, ptr {indptr}, i64 %g
  %begin = load {number}, ptr %begin.at
  %end.at = getelementptr {number}, ptr {indptr}, i64 %g.next
  %end = load {number}, ptr %end.at"""


def _value(name: str, at: str) -> str:
    """Load a value of a sparse gene, for all entries of a vector."""
    return f"""\
  %{name}.at = getelementptr i32, ptr %values, i64 {at}
  %{name}.whole = load i32, ptr %{name}.at, align 4
  %{name}.number = sitofp i32 %{name}.whole to double
{_spread(name, f"%{name}.number")}"""


def _row(name: str, index: str, at: str, rows: str) -> str:
    """Load the vector of the cell that a value of a sparse gene belongs to."""
    return f"""\
  %{name}.at = getelementptr {index}, ptr %cells, i64 {at}
  %{name}.narrow = load {index}, ptr %{name}.at, align 2
  %{name}.cell = zext {index} %{name}.narrow to i64
  %{name}.row = getelementptr {_VECTOR}, ptr {rows}, i64 %{name}.cell
  %{name} = load {_VECTOR}, ptr %{name}.row, align 8"""


def _to_gene(k: int) -> str:
    """Add what a cell contributes to gene k of the group."""
    return f"""\
  %i.{k} = add i64 %i.at, {k}
{_converted(f"v.{k}", f"%i.{k}")}
  %on_gene.{k} = {_MULTIPLY_ADD}({_VECTOR} %v.{k}, {_VECTOR} %x, {_VECTOR} %cell.{k})"""


def _from_gene(k: int) -> str:
    """Add what gene k of the group contributes to a cell."""
    return f"""\
  %j.{k} = add i64 %j.at, {k}
{_converted(f"w.{k}", f"%j.{k}")}
  %y.{k + 1} = {_MULTIPLY_ADD}({_VECTOR} %w.{k}, {_VECTOR} %on_gene.{k}, {_VECTOR} %y.{k})"""


_CONVERT = f"""
declare {_VECTOR} @llvm.fmuladd.v{VECTORS_PER_PRODUCT}f64({_VECTOR}, {_VECTOR}, {_VECTOR})
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare double @llvm.rint.f64(double)

define internal void @convert(ptr noalias %from, ptr noalias %to) alwaysinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %i.from = getelementptr i32, ptr %from, i64 %i
  %i.ahead = getelementptr i8, ptr %i.from, i64 {_BYTES_AHEAD}
  call void @llvm.prefetch.p0(ptr %i.ahead, i32 0, i32 3, i32 1)
  %whole = load <16 x i32>, ptr %i.from, align 4
  %number = sitofp <16 x i32> %whole to <16 x double>
  %i.to = getelementptr double, ptr %to, i64 %i
  store <16 x double> %number, ptr %i.to, align 64
  %next = add i64 %i, 16
  %more = icmp ult i64 %next, {_TILE}
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""

_DENSE = f"""
define void @dense(ptr noalias %values, i64 %n_groups, i64 %n_cells, ptr noalias %vectors,
                   ptr noalias %start, ptr noalias %on_cells, ptr noalias %total) {{
entry:
  %tile = alloca [{_TILE} x double], align 64
  %on_gene.start = load {_VECTOR}, ptr %start, align 8
  %total.start = load {_VECTOR}, ptr %total, align 8
  %values_per_group = mul i64 %n_cells, {GENES_PER_GROUP}
  br label %group
group:
  %g = phi i64 [0, %entry], [%g.next, %group.end]
{_phi("total.0", "%total.start, %entry", f"%total.{GENES_PER_GROUP}, %group.end")}
  %g.at = mul i64 %g, %values_per_group
  %g.values = getelementptr i32, ptr %values, i64 %g.at
  br label %to.tile
to.tile:
  %c = phi i64 [0, %group], [%c.next, %to.end]
{_each(lambda k: _phi(f"tile.{k}", "%on_gene.start, %group", f"%on_gene.{k}, %to.end"))}
  %c.at = mul i64 %c, {GENES_PER_GROUP}
  %c.values = getelementptr i32, ptr %g.values, i64 %c.at
  call void @convert(ptr %c.values, ptr %tile)
  %c.vectors = getelementptr {_VECTOR}, ptr %vectors, i64 %c
  br label %to.cell
to.cell:
  %i = phi i64 [0, %to.tile], [%i.next, %to.cell]
{_each(lambda k: _phi(f"cell.{k}", f"%tile.{k}, %to.tile", f"%on_gene.{k}, %to.cell"))}
  %x.at = getelementptr {_VECTOR}, ptr %c.vectors, i64 %i
  %x = load {_VECTOR}, ptr %x.at, align 8
  %i.at = mul i64 %i, {GENES_PER_GROUP}
{_each(_to_gene)}
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, {CELLS_PER_TILE}
  br i1 %i.more, label %to.cell, label %to.end
to.end:
  %c.next = add i64 %c, {CELLS_PER_TILE}
  %c.more = icmp ult i64 %c.next, %n_cells
  br i1 %c.more, label %to.tile, label %turn
turn:
{_each(lambda k: f"  %total.{k + 1} = fadd {_VECTOR} %total.{k}, %on_gene.{k}")}
  br label %back.tile
back.tile:
  %d = phi i64 [0, %turn], [%d.next, %back.end]
  %d.at = mul i64 %d, {GENES_PER_GROUP}
  %d.values = getelementptr i32, ptr %g.values, i64 %d.at
  call void @convert(ptr %d.values, ptr %tile)
  %d.cells = getelementptr {_VECTOR}, ptr %on_cells, i64 %d
  br label %back.cell
back.cell:
  %j = phi i64 [0, %back.tile], [%j.next, %back.cell]
  %y.at = getelementptr {_VECTOR}, ptr %d.cells, i64 %j
  %y.0 = load {_VECTOR}, ptr %y.at, align 8
  %j.at = mul i64 %j, {GENES_PER_GROUP}
{_each(_from_gene)}
  store {_VECTOR} %y.{GENES_PER_GROUP}, ptr %y.at, align 8
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, {CELLS_PER_TILE}
  br i1 %j.more, label %back.cell, label %back.end
back.end:
  %d.next = add i64 %d, {CELLS_PER_TILE}
  %d.more = icmp ult i64 %d.next, %n_cells
  br i1 %d.more, label %back.tile, label %group.end
group.end:
  %g.next = add i64 %g, 1
  %g.more = icmp ult i64 %g.next, %n_groups
  br i1 %g.more, label %group, label %done
done:
  store {_VECTOR} %total.{GENES_PER_GROUP}, ptr %total, align 8
  ret void
}}
"""


def _sparse(index: str) -> str:
    """Write the loops for sparse genes, whose cells are of this type.

    Two sums are taken at once, so each gene has an even number of values.
    """
    return f"""
define void @sparse_{index}(ptr noalias %values, ptr noalias %cells, ptr noalias %first,
                            i64 %n_genes, ptr noalias %vectors, ptr noalias %start,
                            ptr noalias %on_cells, ptr noalias %total) {{
entry:
  %on_gene.start = load {_VECTOR}, ptr %start, align 8
  %total.start = load {_VECTOR}, ptr %total, align 8
  br label %gene
gene:
  %g = phi i64 [0, %entry], [%g.next, %gene.end]
{_phi("total.gene", "%total.start, %entry", "%total.next, %gene.end")}
  %g.next = add i64 %g, 1
{_bounds("i64", "%first")}
  br label %to.pair
to.pair:
  %i = phi i64 [%begin, %gene], [%i.next, %to.pair]
{_phi("even.sum", "%on_gene.start, %gene", "%even.next, %to.pair")}
{_phi("odd.sum", "zeroinitializer, %gene", "%odd.next, %to.pair")}
  %i.odd = add i64 %i, 1
{_value("v", "%i")}
{_row("x", index, "%i", "%vectors")}
  %even.next = {_MULTIPLY_ADD}({_VECTOR} %v, {_VECTOR} %x, {_VECTOR} %even.sum)
{_value("v.odd", "%i.odd")}
{_row("x.odd", index, "%i.odd", "%vectors")}
  %odd.next = {_MULTIPLY_ADD}({_VECTOR} %v.odd, {_VECTOR} %x.odd, {_VECTOR} %odd.sum)
  %i.next = add i64 %i, 2
  %i.more = icmp ult i64 %i.next, %end
  br i1 %i.more, label %to.pair, label %turn
turn:
  %on_gene = fadd {_VECTOR} %even.next, %odd.next
  %total.next = fadd {_VECTOR} %total.gene, %on_gene
  br label %back.cell
back.cell:
  %j = phi i64 [%begin, %turn], [%j.next, %back.cell]
{_value("w", "%j")}
{_row("y", index, "%j", "%on_cells")}
  %y.next = {_MULTIPLY_ADD}({_VECTOR} %w, {_VECTOR} %on_gene, {_VECTOR} %y)
  store {_VECTOR} %y.next, ptr %y.row, align 8
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %end
  br i1 %j.more, label %back.cell, label %gene.end
gene.end:
  %g.more = icmp ult i64 %g.next, %n_genes
  br i1 %g.more, label %gene, label %done
done:
  store {_VECTOR} %total.next, ptr %total, align 8
  ret void
}}
"""


def _pack(index: str) -> str:
    """Write the loops that put values where the products look for them; for this type of cells."""
    return f"""
define void @pack_{index}(ptr noalias %log2, ptr noalias %genes, ptr noalias %indptr, i64 %n_cells,
                          i64 %first_cell, i64 %n_genes, ptr noalias %place, i32 %n_dense,
                          i64 %n_filled, ptr noalias %dense, ptr noalias %free,
                          ptr noalias %values, ptr noalias %cells, ptr noalias %sums) {{
entry:
  %wide.genes = zext i64 %n_genes to i128
  br label %cell
cell:
  %g = phi i64 [0, %entry], [%g.next, %cell.end]
  %g.next = add i64 %g, 1
{_bounds("i32", "%indptr")}
  %cell.64 = add i64 %g, %first_cell
  %narrow = trunc i64 %cell.64 to {index}
  br label %value
value:
  %i = phi i32 [%begin, %cell], [%i.next, %value.end]
  %sum = phi i64 [0, %cell], [%sum.next, %value.end]
  %squares = phi i128 [0, %cell], [%squares.next, %value.end]
  %log2.at = getelementptr double, ptr %log2, i32 %i
  %log2.value = load double, ptr %log2.at, align 8
  %in.units = fmul double %log2.value, {1 / UNIT:.1f}
  %rounded = call double @llvm.rint.f64(double %in.units)
  %whole = fptosi double %rounded to i32
  %whole.64 = sext i32 %whole to i64
  %sum.next = add i64 %sum, %whole.64
  %square = mul i64 %whole.64, %whole.64
  %square.128 = zext i64 %square to i128
  %squares.next = add i128 %squares, %square.128
  %gene.at = getelementptr i32, ptr %genes, i32 %i
  %gene = load i32, ptr %gene.at, align 4
  %place.at = getelementptr i32, ptr %place, i32 %gene
  %p = load i32, ptr %place.at, align 4
  %is.dense = icmp ult i32 %p, %n_dense
  br i1 %is.dense, label %to.dense, label %to.sparse
to.dense:
  %group.32 = udiv i32 %p, {GENES_PER_GROUP}
  %k = urem i32 %p, {GENES_PER_GROUP}
  %group = zext i32 %group.32 to i64
  %group.at = mul i64 %group, %n_filled
  %cell.at = add i64 %group.at, %cell.64
  %to = getelementptr [{GENES_PER_GROUP} x i32], ptr %dense, i64 %cell.at, i32 %k
  store i32 %whole, ptr %to, align 4
  br label %value.end
to.sparse:
  %s = sub i32 %p, %n_dense
  %free.at = getelementptr i64, ptr %free, i32 %s
  %at = load i64, ptr %free.at, align 8
  %at.next = add i64 %at, 1
  store i64 %at.next, ptr %free.at, align 8
  %to.value = getelementptr i32, ptr %values, i64 %at
  store i32 %whole, ptr %to.value, align 4
  %to.cell = getelementptr {index}, ptr %cells, i64 %at
  store {index} %narrow, ptr %to.cell, align 2
  br label %value.end
value.end:
  %i.next = add i32 %i, 1
  %i.more = icmp ult i32 %i.next, %end
  br i1 %i.more, label %value, label %cell.end
cell.end:
  %sum.128 = zext i64 %sum.next to i128
  %times.genes = mul i128 %squares.next, %wide.genes
  %of.sum = mul i128 %sum.128, %sum.128
  %spread = sub i128 %times.genes, %of.sum
  %spread.low = trunc i128 %spread to i64
  %spread.shifted = lshr i128 %spread, 64
  %spread.high = trunc i128 %spread.shifted to i64
  %sum.at = getelementptr [3 x i64], ptr %sums, i64 %g
  store i64 %sum.next, ptr %sum.at, align 8
  %low.at = getelementptr i64, ptr %sum.at, i64 1
  store i64 %spread.low, ptr %low.at, align 8
  %high.at = getelementptr i64, ptr %sum.at, i64 2
  store i64 %spread.high, ptr %high.at, align 8
  %g.more = icmp ult i64 %g.next, %n_cells
  br i1 %g.more, label %cell, label %done
done:
  ret void
}}
"""


def for_cells(name: str, cells: NDArray[np.uint16] | NDArray[np.int32]) -> str:
    """Name the function for the type of these cells."""
    return f"{name}_i16" if cells.itemsize == 2 else f"{name}_i32"


#: `dense`, and `sparse_i16` and `sparse_i32` by the type of `cells`. Arguments are as above:
#: addresses of int32 (`values`), int64 (`first`) and float64 (all from `vectors` on, of which
#: `on_cells` and `total` are added to). There is at least one group, gene, tile of cells, and pair
#: of values in each gene.
#:
#: `pack_i16` and `pack_i32` put the values of some cells, the arrays of a CSR matrix of float64,
#: where these look for them: `place` is the number of each gene, the dense ones first, and `free`
#: where the next value of each sparse one goes. In `sums`, shape (n_cells, 3), they leave of each
#: cell the sum of its values, and n_genes times that of their squares less the square of the sum,
#: as its lower and its upper 64 bits: all in units, exactly. There is at least one cell, and one
#: value in each.
KERNELS = Compiled(
    lambda: "".join(
        [
            _CONVERT,
            _DENSE,
            *(write(index) for write in (_sparse, _pack) for index in ("i16", "i32")),
        ]
    )
)
