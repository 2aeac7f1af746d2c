"""The loop that sorts the values of each cell by feature, in LLVM's assembly language.

The values of a cell are put at the places of their features, where there was 0 before; then all
places are gone through, 64 at a time, and what is not 0 is taken. In C, but for the names of types:

    long sort(ends, n_runs, n_cells, genes, values, place_of, n_places, places,
              indptr, features, sorted, totals, largest)
    {
        n = n_put = indptr[0] = 0;
        for (cell = 0; cell < n_cells; cell++) {
            totals[cell] = largest[cell] = 0;
            for (run = 0; run < n_runs; run++)
                for (i = ends[run][cell]; i < ends[run][cell + 1]; i++) {
                    place = place_of[genes[i]];
                    places[place] = values[i];
                    n_put += place != n_places;          // where those that are no feature go
                }
            for (word = 0; word < n_places; word += 64) {
                full = the bits of places[word] to places[word + 63] that are not 0;
                for (; full; full &= full - 1) {
                    value = places[word + lowest bit of full];
                    features[n] = word + lowest bit of full, sorted[n++] = value;
                    totals[cell] += value is whole ? value : NaN;    // others NumPy adds up
                    largest[cell] = max(largest[cell], value);
                }
                set them to 0;
            }
            indptr[cell + 1] = n;
        }
        return n == n_put ? n : -1;                      // else a value was put over another one
    }
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.system.compiler import Compiled

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

__all__ = ["PLACES_PER_WORD", "kernel"]

#: The number of places is a multiple of this.
PLACES_PER_WORD = 64

_GENES = {"u2": "i16", "i4": "i32"}
_VALUES = {"u1": "i8", "u2": "i16", "f4": "float", "f8": "double"}
_WORD_BYTES = {"i8": "i8", "i16": "i16", "float": "i32", "double": "i64"}
_NAN = "0x7FF8000000000000"

# The sum and the largest of whole numbers are taken as whole numbers.
_WHOLE = """\
  %wide = zext {value} %value to i64
  %total.next = add i64 %total, %wide
  %is.larger = icmp ugt i64 %wide, %most"""
_ANY = f"""\
  %wide = {{widen}} {{value}} %value to double
  %cut = call double @llvm.trunc.f64(double %wide)
  %is.whole = fcmp oeq double %wide, %cut
  %term = select i1 %is.whole, double %wide, double {_NAN}
  %total.next = fadd double %total, %term
  %is.larger = fcmp ogt double %wide, %most"""


def _sort(gene: str, value: str) -> str:
    """Write the loop for genes and values of these types."""
    if value.startswith("i"):
        number, zero, to_double = "i64", "0", "uitofp i64"
        add = _WHOLE.format(value=value)
    else:
        number, zero, to_double = "double", "0.0", "bitcast double"
        add = _ANY.format(value=value, widen="bitcast" if value == "double" else "fpext")
    word = f"<{PLACES_PER_WORD} x {_WORD_BYTES[value]}>"
    return f"""
declare i64 @llvm.cttz.i64(i64, i1)
declare double @llvm.trunc.f64(double)

define i64 @sort(ptr noalias %ends, i64 %n_runs, i64 %n_cells, ptr noalias %genes,
                 ptr noalias %values, ptr noalias %place_of, i64 %n_places,
                 ptr noalias %places, ptr noalias %indptr, ptr noalias %features,
                 ptr noalias %sorted, ptr noalias %totals, ptr noalias %largest) {{
entry:
  %n_ends = add i64 %n_cells, 1
  store i64 0, ptr %indptr, align 8
  br label %cell
cell:
  %c = phi i64 [0, %entry], [%c.next, %cell.end]
  %c.n = phi i64 [0, %entry], [%n.next, %cell.end]
  %c.put = phi i64 [0, %entry], [%run.put, %cell.end]
  %c.next = add i64 %c, 1
  br label %run
run:
  %r = phi i64 [0, %cell], [%r.next, %run.end]
  %r.put = phi i64 [%c.put, %cell], [%run.put, %run.end]
  %r.row = mul i64 %r, %n_ends
  %r.at = add i64 %r.row, %c
  %begin.at = getelementptr i64, ptr %ends, i64 %r.at
  %begin = load i64, ptr %begin.at, align 8
  %end.at = getelementptr i64, ptr %begin.at, i64 1
  %end = load i64, ptr %end.at, align 8
  %some = icmp ult i64 %begin, %end
  br i1 %some, label %put, label %run.end
put:
  %i = phi i64 [%begin, %run], [%i.next, %put]
  %i.put = phi i64 [%r.put, %run], [%put.next, %put]
  %gene.at = getelementptr {gene}, ptr %genes, i64 %i
  %gene.narrow = load {gene}, ptr %gene.at
  %gene = zext {gene} %gene.narrow to i64
  %place.at = getelementptr i16, ptr %place_of, i64 %gene
  %place.narrow = load i16, ptr %place.at, align 2
  %place = zext i16 %place.narrow to i64
  %value.at = getelementptr {value}, ptr %values, i64 %i
  %value.put = load {value}, ptr %value.at
  %to = getelementptr {value}, ptr %places, i64 %place
  store {value} %value.put, ptr %to
  %is.put = icmp ne i64 %place, %n_places
  %one = zext i1 %is.put to i64
  %put.next = add i64 %i.put, %one
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %end
  br i1 %i.more, label %put, label %run.end
run.end:
  %run.put = phi i64 [%r.put, %run], [%put.next, %put]
  %r.next = add i64 %r, 1
  %r.more = icmp ult i64 %r.next, %n_runs
  br i1 %r.more, label %run, label %word

word:
  %w = phi i64 [0, %run.end], [%w.next, %word.end]
  %w.n = phi i64 [%c.n, %run.end], [%n.next, %word.end]
  %w.total = phi {number} [{zero}, %run.end], [%w.total.next, %word.end]
  %w.most = phi {number} [{zero}, %run.end], [%w.most.next, %word.end]
  %w.places = getelementptr {value}, ptr %places, i64 %w
  %all = load {word}, ptr %w.places, align 8
  %not.0 = icmp ne {word} %all, zeroinitializer
  %full = bitcast <{PLACES_PER_WORD} x i1> %not.0 to i{PLACES_PER_WORD}
  %any = icmp ne i64 %full, 0
  br i1 %any, label %take, label %word.end
take:
  %left = phi i64 [%full, %word], [%left.next, %take]
  %n = phi i64 [%w.n, %word], [%n.taken, %take]
  %total = phi {number} [%w.total, %word], [%total.next, %take]
  %most = phi {number} [%w.most, %word], [%most.next, %take]
  %bit = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %less = sub i64 %left, 1
  %left.next = and i64 %left, %less
  %feature = add i64 %w, %bit
  %from = getelementptr {value}, ptr %places, i64 %feature
  %value = load {value}, ptr %from
  %sorted.at = getelementptr {value}, ptr %sorted, i64 %n
  store {value} %value, ptr %sorted.at
  %feature.narrow = trunc i64 %feature to i16
  %feature.at = getelementptr i16, ptr %features, i64 %n
  store i16 %feature.narrow, ptr %feature.at, align 2
  %n.taken = add i64 %n, 1
{add}
  %most.next = select i1 %is.larger, {number} %wide, {number} %most
  %more = icmp ne i64 %left.next, 0
  br i1 %more, label %take, label %taken
taken:
  store {word} zeroinitializer, ptr %w.places, align 8
  br label %word.end
word.end:
  %n.next = phi i64 [%w.n, %word], [%n.taken, %taken]
  %w.total.next = phi {number} [%w.total, %word], [%total.next, %taken]
  %w.most.next = phi {number} [%w.most, %word], [%most.next, %taken]
  %w.next = add i64 %w, {PLACES_PER_WORD}
  %w.more = icmp ult i64 %w.next, %n_places
  br i1 %w.more, label %word, label %cell.end
cell.end:
  %next.at = getelementptr i64, ptr %indptr, i64 %c.next
  store i64 %n.next, ptr %next.at, align 8
  %total.double = {to_double} %w.total.next to double
  %total.at = getelementptr double, ptr %totals, i64 %c
  store double %total.double, ptr %total.at, align 8
  %most.double = {to_double} %w.most.next to double
  %most.at = getelementptr double, ptr %largest, i64 %c
  store double %most.double, ptr %most.at, align 8
  %c.more = icmp ult i64 %c.next, %n_cells
  br i1 %c.more, label %cell, label %done
done:
  %all.taken = icmp eq i64 %n.next, %run.put
  %answer = select i1 %all.taken, i64 %n.next, i64 -1
  ret i64 %answer
}}
"""


# One for each pair of types: those that are not there need not be compiled.
_KERNELS = {
    (gene, value): Compiled(partial(_sort, _GENES[gene], _VALUES[value]))
    for gene in _GENES
    for value in _VALUES
}


def kernel(genes: np.dtype[Any], values: np.dtype[Any]) -> Callable[..., int]:
    """Give `sort`, as above, for genes (uint16 or int32) and values (uint8, uint16 or floats).

    Its arguments are numbers, and addresses of arrays of these types, of int64 (`ends`, `indptr`),
    of uint16 (`place_of`, `features`) and of float64 (`totals`, `largest`). `n_places` is a
    multiple of `PLACES_PER_WORD`, and the place of what is no feature; `places` has one more than
    that, all of them 0. There is at least one cell and one run.
    """
    return _KERNELS[genes.str[1:], values.str[1:]]["sort"]
