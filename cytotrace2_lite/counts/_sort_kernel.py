"""The sorting of values by cell, in LLVM's assembly language.

SciPy does it with 32-bit indices, so that most of its time goes into conversions. This knows the
smallest types alone: genes and cells of 16 bits, values of 8 or 16. In C, for `sort_8`:

    void sort_8(n_values, cells, genes, values, first_cell, n_cells,
                ends, sorted_genes, sorted_values)
    {
        for (i = 0; i < n_values; i++)
            ends[cells[i] - first_cell + 2]++;
        for (i = 2; i < n_cells + 2; i++)
            ends[i] += ends[i - 1];                  // ends[i + 1] is where cell i begins
        for (i = 0; i < n_values; i++) {
            place = ends[cells[i] - first_cell + 1]++;
            sorted_genes[place] = genes[i];
            sorted_values[place] = values[i];
        }                                            // ends[i] is where cell i begins
    }
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytotrace2_lite.system.compiler import Compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KERNELS", "sort_by_cell"]

_BITS = (8, 16)  # of a value
_AHEAD = (
    16  # values whose places are fetched ahead: without that, 10,000 cells take 1.5 times as long
)
_DECLARED = """
declare i64 @llvm.umin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
"""


def _sort(bits: int) -> str:
    return f"""
define void @sort_{bits}(i64 %n_values, ptr noalias readonly %cells, ptr noalias readonly %genes,
                         ptr noalias readonly %values, i64 %first_cell, i64 %n_cells,
                         ptr noalias %ends, ptr noalias %sorted_genes,
                         ptr noalias %sorted_values) {{
entry:
  %before = sub i64 2, %first_cell
  %before.1 = sub i64 1, %first_cell
  %last = sub i64 %n_values, 1
  %n_ends = add i64 %n_cells, 2
  br label %count

count:
  %c = phi i64 [0, %entry], [%c.next, %count]
  %c.cell.p = getelementptr i16, ptr %cells, i64 %c
  %c.cell = load i16, ptr %c.cell.p, align 2
  %c.cell.64 = zext i16 %c.cell to i64
  %c.at = add i64 %c.cell.64, %before
  %c.p = getelementptr i32, ptr %ends, i64 %c.at
  %c.n = load i32, ptr %c.p, align 4
  %c.n.next = add i32 %c.n, 1
  store i32 %c.n.next, ptr %c.p, align 4
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, %n_values
  br i1 %c.more, label %count, label %add

add:
  %a = phi i64 [2, %count], [%a.next, %add]
  %a.sum = phi i32 [0, %count], [%a.sum.next, %add]
  %a.p = getelementptr i32, ptr %ends, i64 %a
  %a.n = load i32, ptr %a.p, align 4
  %a.sum.next = add i32 %a.sum, %a.n
  store i32 %a.sum.next, ptr %a.p, align 4
  %a.next = add i64 %a, 1
  %a.more = icmp ult i64 %a.next, %n_ends
  br i1 %a.more, label %add, label %move

move:
  %m = phi i64 [0, %add], [%m.next, %move]
  %f.far = add i64 %m, {_AHEAD}
  %f = call i64 @llvm.umin.i64(i64 %f.far, i64 %last)
  %f.cell.p = getelementptr i16, ptr %cells, i64 %f
  %f.cell = load i16, ptr %f.cell.p, align 2
  %f.cell.64 = zext i16 %f.cell to i64
  %f.at = add i64 %f.cell.64, %before.1
  %f.p = getelementptr i32, ptr %ends, i64 %f.at
  %f.place = load i32, ptr %f.p, align 4
  %f.place.64 = zext i32 %f.place to i64
  %f.gene.to = getelementptr i16, ptr %sorted_genes, i64 %f.place.64
  call void @llvm.prefetch.p0(ptr %f.gene.to, i32 1, i32 3, i32 1)
  %f.value.to = getelementptr i{bits}, ptr %sorted_values, i64 %f.place.64
  call void @llvm.prefetch.p0(ptr %f.value.to, i32 1, i32 3, i32 1)
  %m.cell.p = getelementptr i16, ptr %cells, i64 %m
  %m.cell = load i16, ptr %m.cell.p, align 2
  %m.cell.64 = zext i16 %m.cell to i64
  %m.at = add i64 %m.cell.64, %before.1
  %m.p = getelementptr i32, ptr %ends, i64 %m.at
  %m.place = load i32, ptr %m.p, align 4
  %m.place.next = add i32 %m.place, 1
  store i32 %m.place.next, ptr %m.p, align 4
  %m.place.64 = zext i32 %m.place to i64
  %m.gene.p = getelementptr i16, ptr %genes, i64 %m
  %m.gene = load i16, ptr %m.gene.p, align 2
  %m.gene.to = getelementptr i16, ptr %sorted_genes, i64 %m.place.64
  store i16 %m.gene, ptr %m.gene.to, align 2
  %m.value.p = getelementptr i{bits}, ptr %values, i64 %m
  %m.value = load i{bits}, ptr %m.value.p, align {bits // 8}
  %m.value.to = getelementptr i{bits}, ptr %sorted_values, i64 %m.place.64
  store i{bits} %m.value, ptr %m.value.to, align {bits // 8}
  %m.next = add i64 %m, 1
  %m.more = icmp ult i64 %m.next, %n_values
  br i1 %m.more, label %move, label %done
done:
  ret void
}}
"""


#: `sort_8` and `sort_16` as above, on addresses: cells and genes are uint16, values uint8 or
#: uint16, `ends` int32, shape (n_cells + 2,), all 0. There is at least one value.
KERNELS = Compiled(lambda: _DECLARED + "".join(map(_sort, _BITS)))


def sort_by_cell(
    cells: NDArray[Any], genes: NDArray[Any], values: NDArray[Any], first_cell: int, n_cells: int
) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]] | None:
    """Sort values by cell, with the order that they have within each cell.

    Parameters
    ----------
    cells, genes, values
        Shape (n_values,), at least one.
    first_cell, n_cells
        The lowest cell, and how many follow, itself included.

    Returns
    -------
    tuple or None
        As the arrays of a CSR matrix: where each cell begins (and the last ends), int32, shape
        (n_cells + 1,), genes and values. None where the code is not compiled yet, or not made for
        these types.
    """
    bits = 8 * values.dtype.itemsize
    if not (
        KERNELS.is_ready
        and cells.dtype == genes.dtype == np.uint16
        and values.dtype.kind == "u"
        and bits in _BITS
    ):
        return None
    ends = np.zeros(n_cells + 2, np.int32)
    sorted_genes, sorted_values = np.empty_like(genes), np.empty_like(values)
    KERNELS[f"sort_{bits}"](
        len(values),
        *(array.ctypes.data for array in (cells, genes, values)),
        first_cell,
        n_cells,
        *(array.ctypes.data for array in (ends, sorted_genes, sorted_values)),
    )
    return ends[:-1], sorted_genes, sorted_values
