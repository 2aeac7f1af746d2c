r"""The loop over the bytes of a large table of counts, in LLVM's assembly language.

It knows the plain case alone, which nearly all tables are: fields of up to 9 digits, without
quotes. In C, with lines and fields counted from 0:

    long scan(text, length, delimiter, n_columns, names, ends, columns, values)
    {
        at = 1;                                      // the text begins with a newline
        for (row = 0; at < length; row++) {
            first = at;
            while (text[at] != delimiter)
                if (text[at] is a quote, NUL, newline or carriage return) return -1;
                else *names++ = text[at++];
            if (at == first) return -1;
            *names++ = '\n', at++;
            for (column = 0; ; column++) {
                value = 0, first = at;
                while (text[at] is a digit)
                    value = 10 * value + digit, at++;
                if (at == first || at > first + 9) return -1;
                if (value > 0)
                    columns[n] = column, values[n++] = value;
                if (text[at] != delimiter) break;
                at++;
            }
            at += text[at] == '\r';
            if (text[at++] != '\n' || column + 1 != n_columns) return -1;
            ends[row] = n;
        }
        *names = '\0';
        return n;
    }

Where it can, the loop over columns takes 64 bytes at a time, up to their last delimiter, as
masks of 64 bits: which bytes are delimiters, which are "0", and where fields begin. The other bytes
must be digits, no number may have more than 8 of them or begin with "0", and no field may be empty.
Then a column is a count of delimiters, the fields "0" cost nothing, and the digits of a number are
put together without a branch, which the processor would guess wrongly for every second value:

        for (each bit of starts & ~zeros, at place) {
            columns[n] = column + number of delimiters before place;
            digits = the 8 bytes from there on, shifted so that the first delimiter is beyond;
            values[n++] = digits, added up in pairs, then in fours, then in eights;
        }
"""

from __future__ import annotations

from cytotrace2_lite.system.compiler import Compiled

__all__ = ["KERNELS"]

_MAX_DIGITS = 9  # of whole numbers that int32 holds
_NUL, _LF, _CR, _QUOTE, _ZERO = b'\0\n\r"0'
_FAR = 64 + 8  # bytes that are looked at from the first of some fields on


def _splat(number: int) -> str:
    return "<" + ", ".join([f"i8 {number}"] * 64) + ">"


_SCAN = f"""
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.ctpop.i64(i64)

define i64 @scan(ptr noalias readonly %text, i64 %length, i8 %delimiter, i64 %n_columns,
                 ptr noalias %names, ptr noalias %ends, ptr noalias %columns,
                 ptr noalias %values) {{
entry:
  %delimiter.1 = insertelement <64 x i8> poison, i8 %delimiter, i32 0
  %delimiters = shufflevector <64 x i8> %delimiter.1, <64 x i8> poison, <64 x i32> zeroinitializer
  %last = sub i64 %length, {_FAR}
  br label %line

line:
  %row = phi i64 [0, %entry], [%row.next, %line.end]
  %line.n = phi i64 [0, %entry], [%n.next, %line.end]
  %line.at = phi i64 [1, %entry], [%line.next, %line.end]
  %line.names = phi ptr [%names, %entry], [%names.end, %line.end]
  %line.more = icmp ult i64 %line.at, %length
  br i1 %line.more, label %name, label %done

name:
  %name.at = phi i64 [%line.at, %line], [%name.next, %name.copy]
  %name.to = phi ptr [%line.names, %line], [%name.to.next, %name.copy]
  %name.p = getelementptr i8, ptr %text, i64 %name.at
  %name.byte = load i8, ptr %name.p, align 1
  %name.next = add i64 %name.at, 1
  %name.ends = icmp eq i8 %name.byte, %delimiter
  br i1 %name.ends, label %name.end, label %name.more
name.more:
  switch i8 %name.byte, label %name.copy [
    i8 {_NUL}, label %other
    i8 {_LF}, label %other
    i8 {_CR}, label %other
    i8 {_QUOTE}, label %other
  ]
name.copy:
  store i8 %name.byte, ptr %name.to, align 1
  %name.to.next = getelementptr i8, ptr %name.to, i64 1
  br label %name
name.end:
  store i8 {_LF}, ptr %name.to, align 1
  %names.end = getelementptr i8, ptr %name.to, i64 1
  %nameless = icmp eq i64 %name.at, %line.at
  br i1 %nameless, label %other, label %fields

fields:
  %n = phi i64 [%line.n, %name.end], [%fast.n, %fast.end], [%n.next, %field.next]
  %column = phi i64 [0, %name.end], [%column.fast, %fast.end], [%column.next, %field.next]
  %at = phi i64 [%name.next, %name.end], [%at.fast, %fast.end], [%digit.next, %field.next]
  %is.far = icmp sle i64 %at, %last
  br i1 %is.far, label %look, label %field
look:
  %p = getelementptr i8, ptr %text, i64 %at
  %bytes = load <64 x i8>, ptr %p, align 1
  %are.delimiters = icmp eq <64 x i8> %bytes, %delimiters
  %are.zeros = icmp eq <64 x i8> %bytes, {_splat(_ZERO)}
  %digits = sub <64 x i8> %bytes, {_splat(_ZERO)}
  %are.digits = icmp ult <64 x i8> %digits, {_splat(10)}
  %are.plain = or <64 x i1> %are.delimiters, %are.digits
  %plain = bitcast <64 x i1> %are.plain to i64
  %all.delimiters = bitcast <64 x i1> %are.delimiters to i64
  %zeros = bitcast <64 x i1> %are.zeros to i64
  %not.plain = xor i64 %plain, -1
  %more.plain = add i64 %plain, 1
  %first.not.plain = and i64 %not.plain, %more.plain
  %before = sub i64 %first.not.plain, 1
  %ends.64 = and i64 %all.delimiters, %before
  %is.none = icmp eq i64 %ends.64, 0
  br i1 %is.none, label %field, label %look.ends
look.ends:
  %beyond = call i64 @llvm.ctlz.i64(i64 %ends.64, i1 true)
  %whole.fields = lshr i64 -1, %beyond
  %ends.shifted = shl i64 %ends.64, 1
  %starts.1 = or i64 %ends.shifted, 1
  %starts = and i64 %starts.1, %whole.fields
  %empty = and i64 %starts, %ends.64
  %is.empty = icmp ne i64 %empty, 0
  br i1 %is.empty, label %other, label %look.zeros
look.zeros:
  %zero.starts = and i64 %starts, %zeros
  %zero.ends = shl i64 %zero.starts, 1
  %not.ends = xor i64 %ends.64, -1
  %long.zeros = and i64 %zero.ends, %not.ends
  %is.long.zero = icmp ne i64 %long.zeros, 0
  br i1 %is.long.zero, label %field, label %look.lengths
look.lengths:
  %ends.1 = lshr i64 %ends.64, 1
  %ends.1.of.2 = lshr i64 %ends.1, 1
  %ends.2 = or i64 %ends.1, %ends.1.of.2
  %ends.2.of.4 = lshr i64 %ends.2, 2
  %ends.4 = or i64 %ends.2, %ends.2.of.4
  %ends.4.of.8 = lshr i64 %ends.4, 4
  %ends.8 = or i64 %ends.4, %ends.4.of.8
  %not.ends.8 = xor i64 %ends.8, -1
  %long = and i64 %starts, %not.ends.8
  %is.long = icmp ne i64 %long, 0
  br i1 %is.long, label %field, label %some
some:
  %not.zeros = xor i64 %zeros, -1
  %values.all = and i64 %starts, %not.zeros
  %n.fields = call i64 @llvm.ctpop.i64(i64 %ends.64)
  %column.fast = add i64 %column, %n.fields
  %n.used = sub i64 64, %beyond
  %at.fast = add i64 %at, %n.used
  br label %fast
fast:
  %fast.n = phi i64 [%n, %some], [%fast.n.next, %fast.value]
  %left = phi i64 [%values.all, %some], [%left.next, %fast.value]
  %is.left = icmp ne i64 %left, 0
  br i1 %is.left, label %fast.value, label %fast.end
fast.value:
  %place = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %left.less = sub i64 %left, 1
  %left.next = and i64 %left, %left.less
  %place.bit = shl i64 1, %place
  %below = sub i64 %place.bit, 1
  %ends.below = and i64 %ends.64, %below
  %n.below = call i64 @llvm.ctpop.i64(i64 %ends.below)
  %column.here = add i64 %column, %n.below
  %column.here.32 = trunc i64 %column.here to i32
  %column.here.p = getelementptr i32, ptr %columns, i64 %fast.n
  store i32 %column.here.32, ptr %column.here.p, align 4
  %ends.from = lshr i64 %ends.64, %place
  %n.bytes = call i64 @llvm.cttz.i64(i64 %ends.from, i1 true)
  %n.bits = shl i64 %n.bytes, 3
  %n.bits.beyond = sub i64 64, %n.bits
  %word.p = getelementptr i8, ptr %p, i64 %place
  %word = load i64, ptr %word.p, align 1
  %word.digits = and i64 %word, {0x0F0F0F0F0F0F0F0F}
  %ones = shl i64 %word.digits, %n.bits.beyond
  %tens = mul i64 %ones, 10
  %ones.next = lshr i64 %ones, 8
  %pairs = add i64 %tens, %ones.next
  %pairs.even = and i64 %pairs, {0x000000FF000000FF}
  %pairs.shifted = lshr i64 %pairs, 16
  %pairs.odd = and i64 %pairs.shifted, {0x000000FF000000FF}
  %even = mul i64 %pairs.even, {100 + (1_000_000 << 32)}
  %odd = mul i64 %pairs.odd, {1 + (10_000 << 32)}
  %sums = add i64 %even, %odd
  %sum = lshr i64 %sums, 32
  %sum.32 = trunc i64 %sum to i32
  %sum.p = getelementptr i32, ptr %values, i64 %fast.n
  store i32 %sum.32, ptr %sum.p, align 4
  %fast.n.next = add i64 %fast.n, 1
  br label %fast
fast.end:
  br label %fields

field:
  br label %digit
digit:
  %digit.at = phi i64 [%at, %field], [%digit.next, %digit.add]
  %whole = phi i64 [0, %field], [%whole.next, %digit.add]
  %digit.p = getelementptr i8, ptr %text, i64 %digit.at
  %digit.byte = load i8, ptr %digit.p, align 1
  %digit.next = add i64 %digit.at, 1
  %digit.value = sub i8 %digit.byte, {_ZERO}
  %is.digit = icmp ult i8 %digit.value, 10
  br i1 %is.digit, label %digit.add, label %digits.end
digit.add:
  %digit.whole = zext i8 %digit.value to i64
  %ten = mul i64 %whole, 10
  %whole.next = add i64 %ten, %digit.whole
  br label %digit
digits.end:
  %n.digits = sub i64 %digit.at, %at
  %n.digits.less = sub i64 %n.digits, 1
  %is.number = icmp ult i64 %n.digits.less, {_MAX_DIGITS}
  br i1 %is.number, label %number, label %other
number:
  %column.p = getelementptr i32, ptr %columns, i64 %n
  %column.32 = trunc i64 %column to i32
  store i32 %column.32, ptr %column.p, align 4
  %value.p = getelementptr i32, ptr %values, i64 %n
  %value.32 = trunc i64 %whole to i32
  store i32 %value.32, ptr %value.p, align 4
  %is.value = icmp ne i64 %whole, 0
  %one = zext i1 %is.value to i64
  %n.next = add i64 %n, %one
  %column.next = add i64 %column, 1
  %is.delimiter = icmp eq i8 %digit.byte, %delimiter
  br i1 %is.delimiter, label %field.next, label %line.break
field.next:
  br label %fields

line.break:
  %is.cr = icmp eq i8 %digit.byte, {_CR}
  %cr = zext i1 %is.cr to i64
  %break.at = add i64 %digit.at, %cr
  %break.p = getelementptr i8, ptr %text, i64 %break.at
  %break.byte = load i8, ptr %break.p, align 1
  %is.lf = icmp eq i8 %break.byte, {_LF}
  %is.full = icmp eq i64 %column.next, %n_columns
  %is.line = and i1 %is.lf, %is.full
  br i1 %is.line, label %line.end, label %other
line.end:
  %end.p = getelementptr i64, ptr %ends, i64 %row
  store i64 %n.next, ptr %end.p, align 8
  %row.next = add i64 %row, 1
  %line.next = add i64 %break.at, 1
  br label %line

done:
  store i8 {_NUL}, ptr %line.names, align 1
  ret i64 %line.n
other:
  ret i64 -1
}}
"""

#: `scan` as above, on bytes (`text`) and addresses of bytes (`names`), int64 (`ends`) and int32
#: (`columns` and `values`). `text` ends with a newline; there is memory for all its lines and
#: fields, and for one value more.
KERNELS = Compiled(lambda: _SCAN)
