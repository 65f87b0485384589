//! Functions in bytes, as GCC and Clang write them.

use proptest::prelude::*;

use super::*;

const START: u64 = 0x1000;
const PUSH_RBP: &[u8] = &[0x55];
const MOV_RBP: &[u8] = &[0x48, 0x89, 0xe5];
const PUSH_R12: &[u8] = &[0x41, 0x54];
const SUB_0X28: &[u8] = &[0x48, 0x83, 0xec, 0x28];
const LEAVE: &[u8] = &[0xc9];
const RET: &[u8] = &[0xc3];
/// To the address right behind it.
const CALL: &[u8] = &[0xe8, 0, 0, 0, 0];
const CALL_RAX: &[u8] = &[0xff, 0xd0];

/// The depth at the last call of a function, and what it calls.
fn last_call(parts: &[&[u8]], entry_depth: Option<i64>) -> Option<CallSite> {
    let bytes = parts.concat();
    let function = FunctionCode { start: Svma(START), bytes: &bytes, entry_depth };
    let call = function.instructions().filter(|i| i.mnemonic() == Mnemonic::Call).last().expect("a call");
    function.call_before(Svma(call.next_ip()))
}

fn depth(parts: &[&[u8]]) -> Option<u64> {
    last_call(parts, Some(8)).expect("a call").depth
}

#[test]
fn a_prologue_adds_up() {
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, CALL]), Some(16));
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, PUSH_R12, SUB_0X28, CALL, LEAVE, RET]), Some(16 + 8 + 0x28));
    let lea: &[u8] = &[0x48, 0x8d, 0xa4, 0x24, 0, 0xff, 0xff, 0xff];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, lea, CALL]), Some(16 + 0x100), "lea -0x100(%rsp),%rsp");
}

#[test]
fn arguments_on_the_stack_are_part_of_the_frame_while_the_call_lasts() {
    let push_two: &[u8] = &[0x6a, 2];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, SUB_0X28, push_two, push_two, CALL]), Some(16 + 0x28 + 16));
    let drop_them: &[u8] = &[0x48, 0x83, 0xc4, 0x10];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, SUB_0X28, push_two, push_two, CALL, drop_them, CALL]), Some(16 + 0x28));
}

#[test]
fn what_follows_a_return_is_reached_by_a_branch() {
    // test; jne over the early return, whose epilogue must not count.
    let jump_over_return: &[u8] = &[0x85, 0xc0, 0x75, 2];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, SUB_0X28, jump_over_return, LEAVE, RET, CALL]), Some(16 + 0x28));
}

#[test]
fn a_call_that_does_not_return_does_not_lead_to_what_follows() {
    // jne over `sub; call abort`: the code behind is entered with the frame from before the `sub`.
    let jump_over_abort: &[u8] = &[0x85, 0xc0, 0x75, 9];
    let abort: &[u8] = CALL;
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, jump_over_abort, SUB_0X28, abort, CALL]), Some(16));
}

#[test]
fn a_large_frame_is_probed_page_by_page() {
    let limit: &[u8] = &[0x4c, 0x8d, 0x9c, 0x24, 0, 0x80, 0xff, 0xff];
    let page: &[u8] = &[0x48, 0x81, 0xec, 0, 0x10, 0, 0];
    let probe: &[u8] = &[0x80, 0x0c, 0x24, 0];
    let compare_and_loop: &[u8] = &[0x4c, 0x39, 0xdc, 0x75, 0xf0];
    let parts = [PUSH_RBP, MOV_RBP, limit, page, probe, compare_and_loop, SUB_0X28, CALL];
    assert_eq!(depth(&parts), Some(16 + 0x8000 + 0x28));
}

#[test]
fn frames_of_a_size_that_is_not_in_the_code_are_refused() {
    let alloca: &[u8] = &[0x48, 0x29, 0xc4];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, alloca, CALL]), None, "sub %rax,%rsp");
    let align: &[u8] = &[0x48, 0x83, 0xe4, 0xe0];
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, align, CALL]), None, "and $-32,%rsp");
    // jne over a `sub`: two ways to the call that disagree.
    assert_eq!(depth(&[PUSH_RBP, MOV_RBP, &[0x85, 0xc0, 0x75, 4], SUB_0X28, CALL]), None);
    assert_eq!(last_call(&[SUB_0X28, CALL], None).expect("a call").depth, None, "the middle of a function");
}

#[test]
fn tells_what_is_called_and_where_no_call_ends() {
    let site = |parts| last_call(parts, Some(8)).expect("a call");
    assert_eq!(site(&[PUSH_RBP, CALL]).callee, Some(Svma(START + 6)));
    assert_eq!(site(&[PUSH_RBP, CALL_RAX]).callee, None);
    let bytes = [PUSH_RBP, MOV_RBP, RET].concat();
    let function = FunctionCode { start: Svma(START), bytes: &bytes, entry_depth: Some(8) };
    assert_eq!(function.call_before(Svma(START + 4)), None);
}

#[test]
fn a_stub_and_a_tail_call_hand_over_and_a_call_does_not() {
    let jumps =
        |bytes: &[u8]| FunctionCode { start: Svma(START), bytes, entry_depth: Some(8) }.jumps_to(Svma(START + 0x105));
    assert!(jumps(&[0xe9, 0, 1, 0, 0]), "jmp");
    assert!(!jumps(&[0xe9, 1, 1, 0, 0]), "jmp elsewhere");
    assert!(jumps(&[0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0, 0, 0, 0]), "endbr64; jmp *table");
    assert!(!jumps(&[0xe8, 0, 1, 0, 0, 0xc3]), "call; ret");
}

proptest! {
    /// Whatever the bytes are: an answer or none, and no panic.
    #[test]
    fn garbage_is_decoded_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..400_u64) {
        let function = FunctionCode { start: Svma(u64::MAX - 200), bytes: &bytes, entry_depth: Some(8) };
        function.call_before(Svma((u64::MAX - 200).wrapping_add(at)));
        function.jumps_to(Svma(at));
    }
}
