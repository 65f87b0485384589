//! CPython's call plumbing: the functions that lead from one Python call to the code that is called.
//!
//! Does: know them by name, as data, for all supported versions. Does not: know any that does work of its own: a
//! function that a user would look for stays.

/// Functions, by their exact names. Sources: Objects/call.c, Objects/methodobject.c, Objects/descrobject.c,
/// Objects/classobject.c, Objects/genobject.c, Python/ceval.c and Python/bytecodes.c of 3.11–3.15.
const NAMES: &[&str] = &[
    "PyCFunction_Call",
    "PyEval_EvalCode",
    "PyEval_EvalFrame",
    "PyEval_EvalFrameEx",
    "PyObject_Call",
    "PyObject_CallFunction",
    "PyObject_CallFunctionObjArgs",
    "PyObject_CallMethod",
    "PyObject_CallMethodObjArgs",
    "PyObject_CallNoArgs",
    "PyObject_CallObject",
    "PyObject_CallOneArg",
    "PyObject_Vectorcall",
    "PyObject_VectorcallDict",
    "PyObject_VectorcallMethod",
    "PyVectorcall_Call",
    "PyVectorcall_Function",
    "_PyCFunction_FastCallDict",
    "_PyEval_EvalFrame",
    "_PyEval_EvalFrameDefault",
    "_PyEval_Vector",
    "_PyFunction_Vectorcall",
    "_PyObject_Call",
    "_PyObject_CallFunctionVa",
    "_PyObject_CallMethod",
    "_PyObject_CallMethodId",
    "_PyObject_CallMethodIdObjArgs",
    "_PyObject_CallNoArgs",
    "_PyObject_CallNoArgsTstate",
    "_PyObject_Call_Prepend",
    "_PyObject_FastCall",
    "_PyObject_FastCallDict",
    "_PyObject_FastCallDictTstate",
    "_PyObject_MakeTpCall",
    "_PyObject_Vectorcall",
    "_PyObject_VectorcallDictTstate",
    "_PyObject_VectorcallTstate",
    "_PyVectorcall_Call",
    "_PyVectorcall_FunctionInline",
    "_Py_BuiltinCallFastWithKeywords_StackRef",
    "_Py_BuiltinCallFast_StackRef",
    "_Py_CallBuiltinClass_StackRef",
    "_Py_CallBuiltinClass_StackRefSteal",
    "_Py_EnterRecursiveCall",
    "_Py_EnterRecursiveCallTstate",
    "_Py_LeaveRecursiveCallTstate",
    "_Py_MakeRecCheck",
    "_Py_VectorCallInstrumentation_StackRefSteal",
    "_Py_VectorCall_StackRefSteal",
    "cfunction_call",
    "gen_iternext",
    "gen_send",
    "gen_send_ex",
    "gen_send_ex2",
    "method_call",
    "object_vacall",
    "slot_tp_call",
    "vectorcall_maybe",
    "vectorcall_method",
    "vectorcall_unbound",
    "wrapper_call",
    "wrapperdescr_call",
];

/// Families of functions, by the beginning of their names: one member for each calling convention.
const FAMILIES: &[&str] =
    &["cfunction_vectorcall_", "method_vectorcall", "classmethod_vectorcall", "wrapperdescr_raw_call"];

/// Whether a function of the interpreter is call plumbing.
pub fn is_plumbing(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn plumbing_is_told_from_work() {
        assert!(is_plumbing("_PyObject_MakeTpCall") && is_plumbing("cfunction_vectorcall_FASTCALL_KEYWORDS"));
        assert!(!is_plumbing("list_sort") && !is_plumbing("PyObject_Str") && !is_plumbing(""));
    }
}
