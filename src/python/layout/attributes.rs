//! Where the attributes of objects are, and the modules of an interpreter.
//!
//! Does: define that as data. Does not: read any.

/// What is needed to look up an attribute of a module or of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeLayout {
    /// `imports.modules` of the interpreter (`modules` on 3.11): the dict that is `sys.modules`.
    pub modules: u64,
    /// `PyModuleObject.md_dict`.
    pub module_dict: u64,
    /// `PyTypeObject.tp_basicsize`.
    pub basic_size: u64,
    /// `PyHeapTypeObject.ht_cached_keys`: the keys that the instances of a type share.
    pub cached_keys: u64,
    /// `PyDictObject.ma_values`: the values of a dict whose keys are shared.
    pub dict_values: u64,
    /// Where an instance has its dict (`Py_TPFLAGS_MANAGED_DICT`).
    pub instance: InstanceDict,
}

/// Where an instance has its attributes, or the dict of them: pycore_object.h, `MANAGED_DICT_OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceDict {
    /// 3.11: four words in front of it a pointer to the values, three words in front one to the dict; one of them is null.
    TwoPointers,
    /// 3.12: three words in front of it one of the two; a pointer to the values is less by one.
    Tagged,
    /// 3.13 and later: a pointer to the dict, so many bytes in front of it; where that is null, the values are behind the instance.
    Inline(u64),
}

impl InstanceDict {
    /// Where the first value is in `PyDictValues`: behind four single bytes and padding since 3.13 (pycore_dict.h).
    pub fn first_value(self) -> u64 {
        match self {
            InstanceDict::TwoPointers | InstanceDict::Tagged => 0,
            InstanceDict::Inline(_) => 8,
        }
    }
}

/// `PyDictValues.valid`, one byte (3.13 and later): whether values behind an instance are its attributes.
pub const VALUES_VALID: u64 = 3;
