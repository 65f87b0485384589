//! Names short enough for a box.
//!
//! Does: keep the last two parts of a C++ or Rust name, with what is in angle brackets folded. Does not: change a name that is not made
//! of such parts, or decide where the short one is shown: the whole one is beside it everywhere.

use std::borrow::Cow;

/// What stands for what is in angle brackets.
const FOLDED: &str = "<…>";
/// How many parts are kept.
const KEPT: usize = 2;

/// The short form of a label, `name (place)`.
pub(super) fn short_label(label: &str) -> Cow<'_, str> {
    match label.rsplit_once(" (").filter(|(_, place)| place.ends_with(')')) {
        Some((name, place)) => match short_name(name) {
            Cow::Borrowed(_) => Cow::Borrowed(label),
            Cow::Owned(short) => Cow::Owned(format!("{short} ({place}")),
        },
        None => short_name(label),
    }
}

/// The short form of a function's whole name: `Vec<…>::push` of `<alloc::vec::Vec<u8>>::push`.
pub(super) fn short_name(full: &str) -> Cow<'_, str> {
    if !full.contains("::") && !full.contains('<') {
        return Cow::Borrowed(full);
    }
    let Some(parts) = parts(full) else { return Cow::Borrowed(full) };
    let short = parts.get(parts.len().saturating_sub(KEPT)..).unwrap_or_default().join("::");
    if short.is_empty() || short == full { Cow::Borrowed(full) } else { Cow::Owned(short) }
}

/// The parts of a name between `::`, folded; `None` where brackets do not match.
fn parts(full: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let (mut part, mut depth, mut angles) = (String::new(), 0_usize, 0_usize);
    // Where a bracket begins that is a part of its own: a type, in Rust.
    let mut type_from = None;
    let mut rest = full.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let is_outside = depth == 0 && angles == 0;
        if is_outside && part == "operator" && !c.is_alphanumeric() && c != '_' {
            // `operator<`, `operator->`, `operator()` and what it is for: the end of the name.
            part.push_str(full.get(at..)?);
            break;
        }
        match c {
            ':' if is_outside && rest.peek().is_some_and(|(_, next)| *next == ':') => {
                rest.next();
                parts.push(std::mem::take(&mut part));
            }
            '<' if depth == 0 => {
                if angles == 0 && part.is_empty() {
                    type_from = Some(at + 1);
                }
                angles += 1;
            }
            // An arrow, as in `fn() -> u8`.
            '>' if depth == 0 && !full.get(..at)?.ends_with('-') => {
                angles = angles.checked_sub(1)?;
                if angles == 0 {
                    let inside = type_from.take().map(|from| full.get(from..at)).unwrap_or_default();
                    match (inside, parts.last_mut()) {
                        // `drop_in_place::<T>` is one part.
                        (Some(_), Some(last)) => last.push_str(FOLDED),
                        (Some(inside), None) => part = type_name(inside)?,
                        (None, _) => part.push_str(FOLDED),
                    }
                }
            }
            '(' | '[' | '{' if angles == 0 => {
                depth += 1;
                part.push(c);
            }
            ')' | ']' | '}' if angles == 0 => {
                depth = depth.checked_sub(1)?;
                part.push(c);
            }
            _ if angles == 0 => part.push(c),
            _ => {}
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    (depth == 0 && angles == 0).then_some(parts)
}

/// The last part of the type in `<Type as Trait>` or `<Type>`.
fn type_name(inside: &str) -> Option<String> {
    let mut angles = 0_usize;
    let is_as = |at: usize| inside.get(at..).is_some_and(|rest| rest.starts_with(" as "));
    let end = inside.char_indices().find(|(at, c)| {
        match c {
            '<' => angles += 1,
            '>' => angles = angles.saturating_sub(1),
            _ => {}
        }
        angles == 0 && is_as(*at)
    });
    let name = inside.get(..end.map_or(inside.len(), |(at, _)| at))?;
    // `<<A as B>::C as D>`: a type of another trait's, of which the last part is enough.
    match name.starts_with('<') {
        true => Some(name.rsplit("::").next()?.to_owned()),
        false => parts(name)?.pop(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_parts_tell() {
        let cases = [
            // C and Python's own.
            ("PyObject_Vectorcall", "PyObject_Vectorcall"),
            ("zlib.compress", "zlib.compress"),
            // C++: torch, onnxruntime, libstdc++, pybind11.
            ("at::native::cpublas::gemm", "cpublas::gemm"),
            ("at::native::(anonymous namespace)::cpu_kernel<float, long>", "(anonymous namespace)::cpu_kernel<…>"),
            ("std::vector<int, std::allocator<int> >::push_back", "vector<…>::push_back"),
            ("std::unique_ptr<a::B, std::default_delete<a::B> >::operator->", "unique_ptr<…>::operator->"),
            ("std::ostream::operator<<", "ostream::operator<<"),
            ("pybind11::cpp_function::dispatcher", "cpp_function::dispatcher"),
            ("onnxruntime::Node::~Node", "Node::~Node"),
            ("add<int>", "add<…>"),
            // Rust: polars, ruff, tokenizers, PyO3.
            ("core::ptr::drop_in_place::<alloc::vec::Vec<u8>>", "ptr::drop_in_place<…>"),
            ("core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "ptr::drop_in_place<…>"),
            ("<alloc::vec::Vec<u8>>::push", "Vec<…>::push"),
            ("<polars_core::frame::DataFrame as core::clone::Clone>::clone", "DataFrame::clone"),
            ("<rayon_core::job::StackJob<L,F,R> as rayon_core::job::Job>::execute", "StackJob<…>::execute"),
            ("tokenizers::models::bpe::model::BPE::tokenize::{closure#0}", "tokenize::{closure#0}"),
            ("pyo3::impl_::trampoline::trampoline::<fn() -> u8>", "trampoline::trampoline<…>"),
            // What does not match stays.
            ("a::b<c", "a::b<c"),
            ("a::b)::c", "a::b)::c"),
            ("", ""),
            ("::", "::"),
        ];
        for (full, short) in cases {
            assert_eq!(short_name(full), short, "{full}");
        }
    }

    #[test]
    fn a_label_keeps_its_place() {
        assert_eq!(short_label("at::native::cpublas::gemm (BlasKernel.cpp:12)"), "cpublas::gemm (BlasKernel.cpp:12)");
        assert_eq!(short_label("run (shop.py:3)"), "run (shop.py:3)");
        assert_eq!(short_label("a::b::(anonymous namespace)::f"), "(anonymous namespace)::f");
    }

    #[test]
    fn no_name_is_trouble() {
        let pieces = ["<", ">", "::", "a", "operator", " as ", "(", ")", "->", "{", "é", " "];
        for number in 0..12_usize.pow(4) {
            let name: String = (0..4).map(|at| pieces[number / 12_usize.pow(at) % 12]).collect();
            assert!(!short_name(&name).is_empty(), "{name:?}");
        }
    }
}
