//! Stacks as they are drawn: functions without names of one module are one frame, and a run of them is one box.
//!
//! Does: fold them, where there are any. Does not: touch what data formats write; addresses stay there.

use std::borrow::Cow;

use super::Profile;
use super::frame::Frame;

/// The stacks without addresses of functions that have no names.
pub fn without_addresses(stacks: &Profile) -> Cow<'_, Profile> {
    if has_nameless(stacks) {
        Cow::Owned(stacks.joined(|frame| frame.without_address().into_owned(), is_nameless))
    } else {
        Cow::Borrowed(stacks)
    }
}

/// Whether any function has no name.
pub fn has_nameless(stacks: &Profile) -> bool {
    stacks.frames().iter().any(is_nameless)
}

/// Whether a frame is one of a function without a name, or stands for such.
pub fn is_nameless(frame: &Frame) -> bool {
    frame.nameless().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::FrameKind;

    fn native(name: &str, module: &str) -> Frame {
        Frame::native(FrameKind::NativeExtension, name, Some(module))
    }

    fn shown(stacks: &Profile) -> Vec<(Vec<String>, u64)> {
        let names = |stack: Vec<&Frame>| stack.iter().map(|frame| frame.name.to_string()).collect();
        without_addresses(stacks).stacks().map(|(stack, weight)| (names(stack), weight)).collect()
    }

    #[test]
    fn runs_and_siblings_of_one_module_are_one_frame() {
        let (a, b, c) = (native("x.so+0x10", "x.so"), native("x.so+0x20", "x.so"), native("y.so+0x10", "y.so"));
        let named = native("f", "x.so");
        let mut stacks = Profile::new();
        stacks.add([&named, &a, &b, &a], 1);
        stacks.add([&named, &b], 2);
        stacks.add([&named, &b, &c, &b], 4);
        stacks.add([&named, &named], 8);
        let (x, y, f) = ("x.so [without names]", "y.so [without names]", "f");
        let expected: [(&[&str], u64); 3] = [(&[f, x], 3), (&[f, x, y, x], 4), (&[f, f], 8)];
        assert_eq!(
            shown(&stacks),
            expected.map(|(names, weight)| (names.iter().map(|n| (*n).to_owned()).collect(), weight))
        );
        assert_eq!(without_addresses(&stacks).total(), 15);
    }

    #[test]
    fn what_has_names_is_left_as_it_is() {
        let mut stacks = Profile::new();
        // A name that only begins like a module, one without a module, and one of another module.
        stacks.add([&native("x.so", "x.so"), &native("+0x10", ""), &native("y.so+0x10", "x.so")], 1);
        assert!(matches!(without_addresses(&stacks), Cow::Borrowed(_)));
    }
}
