//! How a function without tables returns: read from its instructions, by going on to where it does.
//!
//! Does: follow rsp from an instruction along every way through the code at hand, to the returns and tail calls; there
//! rsp is at the return address. All ways must agree.
//! Does not: guess where no way leads to an end, or rsp is changed by what is not in the code.

use std::ops::ControlFlow;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use rustc_hash::FxHashMap;

use super::call_site::moved;

/// The most instructions that are looked at: the ways that have come to an end by then must agree.
const MAX_INSTRUCTIONS: usize = 2_048;

/// What a function has on its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayOut {
    /// Bytes from rsp to the return address.
    pub return_address: u64,
    /// Bytes from rsp to the caller's rbp, unless that is still in rbp.
    pub saved_bp: Option<u64>,
}

/// What is on the stack when the instruction at `pc` is next. `code` begins at `base`, before `pc` where a loop may lead
/// back; ways that lead out of it are not followed.
pub fn way_out(code: &[u8], base: u64, pc: u64) -> Option<WayOut> {
    let mut decoder = Decoder::with_ip(64, code, base, DecoderOptions::NONE);
    // Bytes pushed since `pc`, less those popped, by address.
    let mut known: FxHashMap<u64, i64> = FxHashMap::default();
    // With each way: the fewest bytes pushed so far. What is below them has been there since `pc`.
    let mut ways = vec![(pc, 0_i64, 0_i64, None)];
    let mut agreed = None;
    'ways: while let Some((start, mut pushed, mut least, mut bp)) = ways.pop() {
        let Some(offset) = start.checked_sub(base).and_then(|offset| usize::try_from(offset).ok()) else { continue };
        if decoder.set_position(offset).is_err() {
            continue;
        }
        decoder.set_ip(start);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                break;
            }
            match known.insert(instruction.ip(), pushed) {
                Some(before) if before == pushed => break,
                Some(_) => return None,
                None if known.len() > MAX_INSTRUCTIONS => break 'ways,
                None => {}
            }
            let target = (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64());
            match (instruction.mnemonic(), target) {
                (Mnemonic::Ret, _) | (Mnemonic::Jmp, None) => {
                    if agreed.is_some_and(|agreed| agreed != (pushed, bp)) {
                        return None;
                    }
                    agreed = Some((pushed, bp));
                    break;
                }
                (Mnemonic::Ud2 | Mnemonic::Hlt | Mnemonic::Int3, _) => break,
                (Mnemonic::Call, _) => {}
                (Mnemonic::Jmp, Some(target)) => {
                    ways.push((target, pushed, least, bp));
                    break;
                }
                (_, Some(target)) => ways.push((target, pushed, least, bp)),
                (Mnemonic::Leave, _) => return None,
                _ if instruction.op0_register() == Register::RSP && uses_rbp(&instruction) => return None,
                (mnemonic, _) => match moved(&instruction, Some(pushed)) {
                    ControlFlow::Continue(Some(moved)) => {
                        if mnemonic == Mnemonic::Pop && instruction.op0_register() == Register::RBP && pushed <= least {
                            bp = Some(pushed);
                        }
                        pushed = moved;
                        least = least.min(moved);
                    }
                    _ => return None,
                },
            }
        }
    }
    let (pushed, bp) = agreed?;
    let above = |pushed: i64| u64::try_from(pushed.checked_neg()?).ok();
    let saved_bp = match bp {
        Some(pushed) => Some(above(pushed)?),
        None => None,
    };
    Some(WayOut { return_address: above(pushed)?, saved_bp })
}

fn uses_rbp(instruction: &iced_x86::Instruction) -> bool {
    instruction.op1_register() == Register::RBP || instruction.memory_base() == Register::RBP
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PC: u64 = 0x7f00_0000_0000;

    fn bytes_to_return_address(code: &[u8], pc: u64) -> Option<u64> {
        way_out(code, pc, pc).map(|way| way.return_address)
    }

    #[test]
    fn a_loop_leads_back_to_before_the_instruction() {
        // pop %rbx; ret; nop; jmp to the pop: the thread is at the nop.
        let code = [0x5b, 0xc3, 0x90, 0xeb, 0xfb];
        assert_eq!(way_out(&code, PC, PC + 2).map(|way| way.return_address), Some(8));
        assert_eq!(way_out(&code[2..], PC + 2, PC + 2), None, "without that code there is no way out");
    }

    #[test]
    fn a_popped_rbp_is_the_callers() {
        // add $0x20,%rsp; pop %rbx; pop %rbp; ret
        let way = way_out(&[0x48, 0x83, 0xc4, 0x20, 0x5b, 0x5d, 0xc3], PC, PC);
        assert_eq!(way, Some(WayOut { return_address: 0x30, saved_bp: Some(0x28) }));
        assert_eq!(way_out(&[0x5b, 0xc3], PC, PC), Some(WayOut { return_address: 8, saved_bp: None }));
        // pop %rbx; push %rbp; pop %rbp; ret: what is popped is not what is on the stack now.
        assert_eq!(way_out(&[0x5b, 0x55, 0x5d, 0xc3], PC, PC), Some(WayOut { return_address: 8, saved_bp: None }));
    }

    #[test]
    fn pops_lead_to_the_return() {
        assert_eq!(bytes_to_return_address(&[0xc3], PC), Some(0));
        // add $0x20,%rsp; pop %rbx; pop %rbp; ret
        assert_eq!(bytes_to_return_address(&[0x48, 0x83, 0xc4, 0x20, 0x5b, 0x5d, 0xc3], PC), Some(0x30));
        // pop %rax; jmp *%rcx
        assert_eq!(bytes_to_return_address(&[0x58, 0xff, 0xe1], PC), Some(8));
    }

    #[test]
    fn both_ways_of_a_branch_must_agree() {
        // je over `pop %rax; ret`; then `pop %rax; ret`, or `ret`.
        assert_eq!(bytes_to_return_address(&[0x74, 2, 0x58, 0xc3, 0x58, 0xc3], PC), Some(8));
        assert_eq!(bytes_to_return_address(&[0x74, 2, 0x58, 0xc3, 0xc3], PC), None);
    }

    #[test]
    fn code_that_does_not_end_has_no_answer() {
        assert_eq!(bytes_to_return_address(&[0xeb, 0xfe], PC), None, "jmp to itself");
        assert_eq!(bytes_to_return_address(&[0x50, 0xeb, 0xfd], PC), None, "a push in a loop");
        assert_eq!(bytes_to_return_address(&[0x90], PC), None, "it ends first");
        assert_eq!(bytes_to_return_address(&[0x48, 0x29, 0xc4, 0xc3], PC), None, "sub %rax,%rsp");
        assert_eq!(bytes_to_return_address(&[0xc9, 0xc3], PC), None, "leave");
        assert_eq!(bytes_to_return_address(&[0x50, 0xc3], PC), None, "it would return to what it has pushed");
    }

    proptest! {
        /// Whatever the bytes are: an answer or none, and no panic.
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), pc in any::<u64>()) {
            bytes_to_return_address(&bytes, pc);
        }
    }
}
