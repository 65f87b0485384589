//! Names that compilers of Python give to functions in C.
//!
//! Does: tell the function of the source, with its module and class, by the names of Cython and of mypyc. Does not: name what these make for
//! themselves (`__Pyx_…`, `CPy_…`).
//!
//! Cython (Compiler/Naming.py, Symtab.py): a prefix, each scope as its length, itself and `_`, and the function; in front of one that Python
//! can call is a number, which tells functions of one name apart. Where a name can be read in two ways it stays as it is. mypyc (namegen.py): `.` is `___`, and `___` is `___3_`.

/// The number in front of a Cython function: the first body of a scope has 0, which is not written, and what Python calls for it 1; the next
/// ones have 2 and 3.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    Odd,
    EvenOrNone,
    None,
}

/// A Cython function as Python calls it, its body, the body of a generator, a `cdef` function.
const CYTHON: [(&str, Number); 4] = [
    ("__pyx_pw_", Number::Odd),
    ("__pyx_pf_", Number::EvenOrNone),
    ("__pyx_gb_", Number::EvenOrNone),
    ("__pyx_f_", Number::None),
];
/// A mypyc function, and what Python calls for it.
const MYPYC: [&str; 2] = ["CPyDef_", "CPyPy_"];

/// The name in the source; `None` of any other name.
pub(super) fn name(raw: &str) -> Option<String> {
    if let Some(rest) = MYPYC.iter().find_map(|prefix| raw.strip_prefix(prefix)) {
        let parts = rest.split("___3_").map(|part| part.replace("___", "."));
        return Some(parts.collect::<Vec<_>>().join("___")).filter(|name| !name.is_empty());
    }
    let raw = without_fused(raw);
    CYTHON.iter().find_map(|(prefix, number)| cython(raw.strip_prefix(prefix)?, *number))
}

/// Copies of a function for several types have a number each in front.
fn without_fused(raw: &str) -> &str {
    let rest = raw.strip_prefix("__pyx_fuse_").and_then(|rest| rest.split_once("__pyx_"));
    let is_number = |number: &str| number.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    rest.filter(|(number, _)| is_number(number))
        .and_then(|(number, _)| raw.get("__pyx_fuse_".len() + number.len()..))
        .unwrap_or(raw)
}

fn cython(mut rest: &str, number: Number) -> Option<String> {
    let mut scopes = Vec::new();
    while let Some((scope, behind)) = scope(rest) {
        scopes.push((scope, behind));
        rest = behind;
    }
    // A number and a function can look like a scope: `2cy_callback`. So each scope may be the last one.
    let mut ends =
        scopes.iter().enumerate().rev().filter_map(|(at, (_, behind))| Some((at, function(behind, number)?)));
    let (last, (function, is_numbered)) = ends.next()?;
    if number == Number::EvenOrNone && !is_numbered && ends.next().is_some() {
        // `callback` in a class `cy`, or the function `cy_callback`.
        return None;
    }
    let scopes = scopes.iter().take(last + 1).map(|(scope, _)| *scope);
    Some(scopes.chain([function]).collect::<Vec<_>>().join("."))
}

/// The function behind its number, and whether it has one.
fn function(text: &str, number: Number) -> Option<(&str, bool)> {
    let name = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(name)?;
    let is_odd = digits.bytes().last().is_some_and(|digit| digit % 2 == 1);
    let fits = match number {
        Number::Odd => is_odd,
        Number::EvenOrNone => !is_odd,
        Number::None => digits.is_empty(),
    };
    (fits && !name.is_empty()).then_some((name, !digits.is_empty()))
}

/// A scope at the beginning, and what is behind it.
fn scope(text: &str) -> Option<(&str, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (length, behind) = text.split_at_checked(digits)?;
    let length: usize = length.parse().ok().filter(|length| *length > 0)?;
    let scope = behind.get(..length)?;
    Some((scope, behind.get(length..)?.strip_prefix('_').filter(|rest| !rest.is_empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_the_source() {
        let cases = [
            ("__pyx_pw_5cymod_3cy_callback", Some("cymod.cy_callback")),
            ("__pyx_pf_5cymod_2cy_callback", None),
            ("__pyx_pf_5cymod_2total", Some("cymod.total")),
            ("__pyx_pf_5cymod_cy_loop", Some("cymod.cy_loop")),
            ("__pyx_pf_5cymod_3Acc_add", Some("cymod.Acc.add")),
            ("__pyx_pf_5cymod_3Acc_2addmany", Some("cymod.Acc.addmany")),
            ("__pyx_pw_5cymod_1cy_loop", Some("cymod.cy_loop")),
            ("__pyx_f_5cymod_inner", Some("cymod.inner")),
            ("__pyx_pw_5cymod_3Acc_3addmany", Some("cymod.Acc.addmany")),
            ("__pyx_pw_7sklearn_5utils_5_fast_11make", Some("sklearn.utils._fast.make")),
            ("__pyx_gb_5cymod_4gen", Some("cymod.gen")),
            ("__pyx_fuse_0__pyx_pw_5cymod_7total", Some("cymod.total")),
            ("__pyx_pw_5cymod_callback", None),
            ("__pyx_pw_5cymod_2callback", None),
            ("__pyx_pw_99cymod_1f", None),
            ("__pyx_f_", None),
            ("__pyx_pymod_exec_cymod", None),
            ("__Pyx_PyObject_Call", None),
            ("CPyDef_fib", Some("fib")),
            ("CPyPy_shop___Cart___total", Some("shop.Cart.total")),
            ("CPyDef_a___3_b", Some("a___b")),
            ("CPyDef_", None),
            ("PyObject_Call", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(name(raw).as_deref(), expected, "{raw}");
        }
    }
}
