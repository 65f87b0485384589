//! Names that compilers of Python give to functions in C.
//!
//! Does: tell the function of the source, with its module and class, by the names of Cython and of mypyc. Does not: name what these make for
//! themselves (`__Pyx_…`, `CPy_…`).
//!
//! Cython (Compiler/Naming.py, Symtab.py): a prefix, each scope as its length, itself and `_`, and the function; in front of one that Python
//! can call is a number, which tells functions of one name apart. mypyc (namegen.py): `.` is `___`, and `___` is `___3_`.

/// A Cython function as Python calls it, its body, the body of a generator.
const NUMBERED: [&str; 3] = ["__pyx_pw_", "__pyx_pf_", "__pyx_gb_"];
/// A `cdef` function.
const PLAIN: &str = "__pyx_f_";
/// A mypyc function, and what Python calls for it.
const MYPYC: [&str; 2] = ["CPyDef_", "CPyPy_"];

/// The name in the source; `None` of any other name.
pub(super) fn name(raw: &str) -> Option<String> {
    if let Some(rest) = MYPYC.iter().find_map(|prefix| raw.strip_prefix(prefix)) {
        let parts = rest.split("___3_").map(|part| part.replace("___", "."));
        return Some(parts.collect::<Vec<_>>().join("___")).filter(|name| !name.is_empty());
    }
    let raw = without_fused(raw);
    match NUMBERED.iter().find_map(|prefix| raw.strip_prefix(prefix)) {
        Some(rest) => cython(rest, true),
        None => cython(raw.strip_prefix(PLAIN)?, false),
    }
}

/// Copies of a function for several types have a number each in front.
fn without_fused(raw: &str) -> &str {
    let rest = raw.strip_prefix("__pyx_fuse_").and_then(|rest| rest.split_once("__pyx_"));
    let is_number = |number: &str| number.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    rest.filter(|(number, _)| is_number(number))
        .and_then(|(number, _)| raw.get("__pyx_fuse_".len() + number.len()..))
        .unwrap_or(raw)
}

fn cython(mut rest: &str, is_numbered: bool) -> Option<String> {
    // What is behind each scope. A number and a function can look like a scope (`2cy_callback`), so the last ones are on trial: the most
    // scopes behind which there is a function are right.
    let mut scopes = Vec::new();
    while let Some((scope, behind)) = scope(rest) {
        scopes.push((scope, behind));
        rest = behind;
    }
    let function = |text: &str| {
        let name = if is_numbered {
            text.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned()
        } else {
            text.to_owned()
        };
        (!name.is_empty() && (!is_numbered || name.len() < text.len())).then_some(name)
    };
    let (last, function) =
        scopes.iter().enumerate().rev().find_map(|(at, (_, behind))| Some((at, function(behind)?)))?;
    let scopes = scopes.iter().take(last + 1).map(|(scope, _)| *scope);
    Some(scopes.chain([&*function]).collect::<Vec<_>>().join("."))
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
            ("__pyx_pf_5cymod_2cy_callback", Some("cymod.cy_callback")),
            ("__pyx_f_5cymod_inner", Some("cymod.inner")),
            ("__pyx_pw_5cymod_3Acc_3addmany", Some("cymod.Acc.addmany")),
            ("__pyx_pw_7sklearn_5utils_5_fast_11make", Some("sklearn.utils._fast.make")),
            ("__pyx_gb_5cymod_4gen", Some("cymod.gen")),
            ("__pyx_fuse_0__pyx_pw_5cymod_7total", Some("cymod.total")),
            ("__pyx_pw_5cymod_callback", None),
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
