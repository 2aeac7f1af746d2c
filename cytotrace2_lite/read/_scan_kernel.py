r"""The loop over the bytes of a large table of counts, in LLVM's assembly language.

It knows the plain case alone, which nearly all tables are: fields of up to 15 digits, without
quotes. In C, with lines and fields counted from 0:

    long scan(text, length, delimiter, n_columns, names, rows, columns, values)
    {
        at = 1;                                      // the text begins with a newline
        for (row = 0; at < length; row++) {
            names[2 * row] = at;
            while (text[at] != delimiter)
                if (text[at] is a quote, NUL, newline or carriage return) return -1;
                else at++;
            if (at == names[2 * row]) return -1;
            names[2 * row + 1] = at++;
            for (column = 0; ; column++) {
                while (the next eight bytes are four times "0" and the delimiter)
                    at += 8, column += 4;
                value = 0, first = at;
                while (text[at] is a digit)
                    value = 10 * value + digit, at++;
                if (at == first || at > first + 15) return -1;
                if (value > 0)
                    rows[n] = row, columns[n] = column, values[n++] = value;
                if (text[at] != delimiter) break;
                at++;
            }
            at += text[at] == '\r';
            if (text[at++] != '\n' || column + 1 != n_columns) return -1;
        }
        return n;
    }
"""

from __future__ import annotations

from cytotrace2_lite.system.compiler import Compiled

__all__ = ["KERNELS"]

_MAX_DIGITS = 15  # of whole numbers that float64 holds exactly
_NUL, _LF, _CR, _QUOTE, _ZERO = b'\0\n\r"0'

_SCAN = f"""
define i64 @scan(ptr noalias readonly %text, i64 %length, i8 %delimiter, i64 %n_columns,
                 ptr noalias %names, ptr noalias %rows, ptr noalias %columns,
                 ptr noalias %values) {{
entry:
  %wide = zext i8 %delimiter to i16
  %high = shl i16 %wide, 8
  %zero = or i16 %high, {_ZERO}
  %zeros.1 = insertelement <4 x i16> poison, i16 %zero, i32 0
  %zeros.4 = shufflevector <4 x i16> %zeros.1, <4 x i16> poison, <4 x i32> zeroinitializer
  %zeros = bitcast <4 x i16> %zeros.4 to i64
  %last = sub i64 %length, 8
  br label %line

line:
  %row = phi i64 [0, %entry], [%row.next, %line.end]
  %line.n = phi i64 [0, %entry], [%n.next, %line.end]
  %line.at = phi i64 [1, %entry], [%line.next, %line.end]
  %line.more = icmp ult i64 %line.at, %length
  br i1 %line.more, label %line.begin, label %done
line.begin:
  %names.2 = mul i64 %row, 2
  %name.from = getelementptr i64, ptr %names, i64 %names.2
  store i64 %line.at, ptr %name.from, align 8
  br label %name

name:
  %name.at = phi i64 [%line.at, %line.begin], [%name.next, %name.more]
  %name.p = getelementptr i8, ptr %text, i64 %name.at
  %name.byte = load i8, ptr %name.p, align 1
  %name.next = add i64 %name.at, 1
  %name.ends = icmp eq i8 %name.byte, %delimiter
  br i1 %name.ends, label %name.end, label %name.more
name.more:
  switch i8 %name.byte, label %name [
    i8 {_NUL}, label %other
    i8 {_LF}, label %other
    i8 {_CR}, label %other
    i8 {_QUOTE}, label %other
  ]
name.end:
  %name.to = getelementptr i64, ptr %name.from, i64 1
  store i64 %name.at, ptr %name.to, align 8
  %nameless = icmp eq i64 %name.at, %line.at
  br i1 %nameless, label %other, label %fields

fields:
  %n = phi i64 [%line.n, %name.end], [%n, %four], [%n.next, %field.next]
  %column = phi i64 [0, %name.end], [%column.four, %four], [%column.next, %field.next]
  %at = phi i64 [%name.next, %name.end], [%at.four, %four], [%digit.next, %field.next]
  %eight = icmp ule i64 %at, %last
  br i1 %eight, label %look, label %field
look:
  %look.p = getelementptr i8, ptr %text, i64 %at
  %look.bytes = load <8 x i8>, ptr %look.p, align 1
  %look.word = bitcast <8 x i8> %look.bytes to i64
  %look.zeros = icmp eq i64 %look.word, %zeros
  br i1 %look.zeros, label %four, label %field
four:
  %column.four = add i64 %column, 4
  %at.four = add i64 %at, 8
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
  %is.zero = icmp eq i64 %whole, 0
  br i1 %is.zero, label %stored, label %store
store:
  %row.p = getelementptr i32, ptr %rows, i64 %n
  %row.32 = trunc i64 %row to i32
  store i32 %row.32, ptr %row.p, align 4
  %column.p = getelementptr i32, ptr %columns, i64 %n
  %column.32 = trunc i64 %column to i32
  store i32 %column.32, ptr %column.p, align 4
  %value.p = getelementptr double, ptr %values, i64 %n
  %value = sitofp i64 %whole to double
  store double %value, ptr %value.p, align 8
  %n.stored = add i64 %n, 1
  br label %stored
stored:
  %n.next = phi i64 [%n, %number], [%n.stored, %store]
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
  %row.next = add i64 %row, 1
  %line.next = add i64 %break.at, 1
  br label %line

done:
  ret i64 %line.n
other:
  ret i64 -1
}}
"""

#: `scan` as above, on bytes (`text`) and addresses of int64 (`names`), int32 (`rows` and `columns`)
#: and float64 (`values`). `text` ends with a newline; there is memory for all its lines and fields.
KERNELS = Compiled(lambda: _SCAN)
