//! From the name in a symbol table to the name that its author wrote.
//!
//! Does: demangle C++, Rust, Cython and mypyc, and drop parameters, hashes, symbol versions and the suffixes that compilers give to
//! parts and copies of a function: one function has one name.
//! Does not: shorten template arguments.

mod extension;

use std::fmt;

use cpp_demangle::{DemangleOptions, Symbol};

/// Longer mangled names are shown as they are, cut to this many bytes.
const MAX_MANGLED: usize = 16 << 10;
/// Demangling can grow a name exponentially (substitutions); this bounds the result, in bytes.
const MAX_NAME: usize = 4 << 10;

/// The name to show for a raw name from a symbol table or from DWARF.
///
/// ```
/// use fpprof::symbolize::display_name;
/// assert_eq!(display_name("_ZN2ns5Class6methodEi.constprop.0"), "ns::Class::method");
/// assert_eq!(display_name("_PyEval_EvalFrameDefault.cold"), "_PyEval_EvalFrameDefault");
/// assert_eq!(display_name("memcpy@@GLIBC_2.14"), "memcpy");
/// ```
pub fn display_name(raw: &str) -> String {
    let name = without_suffixes(without_version(raw));
    if name.len() > MAX_MANGLED {
        return cut(name, MAX_NAME).to_owned();
    }
    let demangled = if is_rust(name) { rust(name) } else { cpp(name).or_else(|| extension::name(name)) };
    demangled.unwrap_or_else(|| cut(name, MAX_NAME).to_owned())
}

/// Whether a raw name is mangled: then it carries its namespace, which DWARF's plain names do not.
pub(super) fn is_mangled(raw: &str) -> bool {
    raw.starts_with("_Z") || raw.starts_with("_R")
}

fn without_version(name: &str) -> &str {
    match name.find('@') {
        Some(at) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// Drops `.cold`, `.part.0`, `.constprop.0.isra.3`, `.llvm.123` and the like from the end.
fn without_suffixes(name: &str) -> &str {
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let is_suffix = |s: &str| {
        matches!(s, "cold" | "constprop" | "isra" | "part" | "llvm" | "lto_priv" | "localalias" | "__uniq" | "warm")
    };
    let mut kept = name;
    let mut rest = name;
    while let Some((before, last)) = rest.rsplit_once('.') {
        if before.is_empty() {
            break;
        }
        rest = before;
        if is_suffix(last) {
            kept = before;
        } else if !is_number(last) {
            break;
        }
    }
    kept
}

/// Rust's v0 names begin with `_R`; legacy ones are C++ names that end in a hash, `17h` and 16 hexadecimal digits.
fn is_rust(name: &str) -> bool {
    let legacy_hash = || {
        let hash = name.strip_suffix('E').and_then(|n| n.len().checked_sub(19).and_then(|at| n.get(at..)));
        hash.and_then(|h| h.strip_prefix("17h")).is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    name.starts_with("_R") || (name.starts_with("_ZN") && legacy_hash())
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut out = Bounded::default();
    fmt::Write::write_fmt(&mut out, format_args!("{demangled:#}")).ok()?;
    Some(out.0)
}

fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    let forwarded = thunk_target(name);
    let symbol = Symbol::new(forwarded.as_deref().unwrap_or(name)).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type().hide_expression_literal_types();
    let mut out = Bounded::default();
    symbol.structured_demangle(&mut out, &options).ok()?;
    Some(without_qualifiers(out.0))
}

/// Drops the `&` or `&&` that qualifies a member function: it belongs to the parameters.
fn without_qualifiers(mut name: String) -> String {
    let trimmed = name.trim_end_matches(['&', ' ']);
    if !trimmed.ends_with("operator") {
        name.truncate(trimmed.len());
    }
    name
}

/// The function that a thunk adjusts `this` for and jumps to: a thunk, `_ZTh <offset> _ <function>` or
/// `_ZTv <offset> _ <offset> _ <function>` (Itanium C++ ABI, 5.1.4.5), is shown as that function.
fn thunk_target(name: &str) -> Option<String> {
    let without_offset = |s: &str| {
        let (offset, rest) = s.split_once('_')?;
        let digits = offset.strip_prefix('n').unwrap_or(offset);
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| rest.to_owned())
    };
    let function = match name.strip_prefix("_ZTv") {
        Some(rest) => without_offset(&without_offset(rest)?)?,
        None => without_offset(name.strip_prefix("_ZTh")?)?,
    };
    Some(format!("_Z{function}"))
}

/// A string that refuses to grow beyond [`MAX_NAME`].
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.0.len().saturating_add(s.len()) > MAX_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(s);
        Ok(())
    }
}

fn cut(name: &str, max: usize) -> &str {
    let end = (0..=max.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_copies_of_a_function_have_the_functions_name() {
        for raw in ["f", "f.cold", "f.part.0", "f.constprop.0.isra.3", "f.llvm.12345", "f.part.0.cold", "f.cold.1"] {
            assert_eq!(display_name(raw), "f", "{raw}");
        }
        for raw in [".cold", "inner.0", "name.avx2", "a.b", "", "@", "f."] {
            assert_eq!(display_name(raw), raw, "not a suffix of the compiler's");
        }
    }

    #[test]
    fn cpp_names_have_no_parameters() {
        assert_eq!(
            display_name("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back"
        );
        assert_eq!(display_name("_ZN12_GLOBAL__N_13fooEv.cold"), "(anonymous namespace)::foo");
        assert_eq!(display_name("_Z3addIiET_S0_S0_"), "add<int>");
        assert_eq!(display_name("_ZThn16_N2ns1CD1Ev"), "ns::C::~C");
        assert_eq!(display_name("_ZTv0_n24_N2ns1CD1Ev"), "ns::C::~C");
        assert_eq!(display_name("_ZNO2ns1C3strEv"), "ns::C::str");
        assert_eq!(display_name("_ZN2ns1CanEi"), "ns::C::operator&");
        assert_eq!(display_name("_Zbroken"), "_Zbroken");
    }

    #[test]
    fn functions_of_cython_and_mypyc_have_the_names_of_their_sources() {
        assert_eq!(display_name("__pyx_pw_5cymod_3cy_callback.cold"), "cymod.cy_callback");
        assert_eq!(display_name("CPyDef_shop___Cart___total"), "shop.Cart.total");
    }

    #[test]
    fn rust_names_have_no_hash() {
        assert_eq!(display_name("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(display_name("_ZN4core3fmt5write17h0123456789abcdefE.llvm.77"), "core::fmt::write");
        assert_eq!(display_name("_RNvC6_123foo3bar"), "123foo::bar");
    }

    /// A back-reference to the type of the level before: of each level, the template's name is one and it another.
    fn back(level: usize) -> String {
        let number = 2 * level - 1;
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let (high, low) = (number / 36, number % 36);
        let high = if high == 0 { String::new() } else { char::from(digits[high]).to_string() };
        format!("S{high}{}_", char::from(digits[low]))
    }

    #[test]
    fn a_name_that_explodes_when_demangled_stays_as_it_is() {
        // Each level names the one before it twice.
        let levels: String =
            (0..30).map(|level| format!("1AI{0}{0}E", if level == 0 { "i".into() } else { back(level) })).collect();
        let bomb = format!("_Z1fIJ{levels}EEvv");
        assert!(cpp_demangle::Symbol::new(&bomb).is_ok(), "{bomb}");
        assert_eq!(display_name(&bomb), bomb);
        let long = "x".repeat(MAX_MANGLED + 1);
        assert_eq!(display_name(&long).len(), MAX_NAME);
    }
}
