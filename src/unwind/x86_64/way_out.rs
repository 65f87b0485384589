//! How a function without tables returns: read from its instructions, by going on to where it does.
//!
//! Does: follow rsp from an instruction along every way through the code at hand, to the returns and tail calls; there
//! rsp is at the return address. All ways must agree. A function may keep rsp in another register meanwhile, as one
//! does that aligns its frame (`mov %rsp,%rbx; and $-4096,%rsp … mov %rbx,%rsp`).
//! Does not: guess where no way leads to an end, or rsp is changed by what is not in the code.

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use rustc_hash::FxHashMap;

use super::registers::{BP, SP};
use super::symbolic::{State, Sum, Value};

/// The most instructions that are looked at, each as often as a way through it brings news: the ways that have come to
/// an end by then must agree. OpenBLAS's longest kernel has 5,500.
const MAX_INSTRUCTIONS: usize = 32_768;

/// Where a function's return address and its caller's rbp are, by the registers at one of its instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayOut {
    /// The address of the return address.
    pub return_address: Sum,
    /// The caller's rbp.
    pub caller_bp: Value,
}

/// What is known when the instruction at `pc` is next. `code` begins at `base`, before `pc` where a loop may lead
/// back; ways that lead out of it are not followed.
pub fn way_out(code: &[u8], base: u64, pc: u64) -> Option<WayOut> {
    let mut decoder = Decoder::with_ip(64, code, base, DecoderOptions::NONE);
    let mut ways = Ways::default();
    let mut agreed: Option<WayOut> = None;
    let mut left = MAX_INSTRUCTIONS;
    ways.lead_to(pc, &State::beginning());
    'ways: while let Some((start, mut state)) = ways.next() {
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
            if instruction.ip() != start && ways.is_met(instruction.ip()) {
                ways.lead_to(instruction.ip(), &state);
                break;
            }
            let Some(rest) = left.checked_sub(1) else { break 'ways };
            left = rest;
            let target = (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64());
            match (instruction.mnemonic(), target) {
                (Mnemonic::Ret, _) | (Mnemonic::Jmp, None) => {
                    let end = WayOut { return_address: state.sp()?, caller_bp: state.get(BP) };
                    let agreed = agreed.get_or_insert(end);
                    if agreed.return_address != end.return_address {
                        return None;
                    }
                    agreed.caller_bp.join(end.caller_bp);
                    break;
                }
                (Mnemonic::Ud2 | Mnemonic::Hlt | Mnemonic::Int3, _) => break,
                (Mnemonic::Jmp, Some(target)) => {
                    ways.lead_to(target, &state);
                    break;
                }
                (Mnemonic::Call, _) | (_, None) => state.apply(&instruction),
                (_, Some(target)) => ways.lead_to(target, &state),
            }
        }
    }
    // What the function has pushed itself is not its return address.
    agreed.filter(|way| way.return_address.register != SP || way.return_address.offset >= 0)
}

/// The targets of branches.
#[derive(Default)]
struct Ways {
    met: FxHashMap<u64, Target>,
    to_go: Vec<u64>,
}

/// What holds at the target of a branch on every way that has led there.
struct Target {
    state: State,
    is_to_go: bool,
}

impl Ways {
    fn lead_to(&mut self, address: u64, state: &State) {
        let news = match self.met.get_mut(&address) {
            Some(target) => target.state.join(state) && !std::mem::replace(&mut target.is_to_go, true),
            None => {
                self.met.insert(address, Target { state: state.clone(), is_to_go: true });
                true
            }
        };
        if news {
            self.to_go.push(address);
        }
    }

    fn is_met(&self, address: u64) -> bool {
        self.met.contains_key(&address)
    }

    fn next(&mut self) -> Option<(u64, State)> {
        let address = self.to_go.pop()?;
        let target = self.met.get_mut(&address)?;
        target.is_to_go = false;
        Some((address, target.state.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PC: u64 = 0x7f00_0000_0000;
    const SAME_BP: Value = Value::Sum(Sum { register: BP, offset: 0 });
    const BX: u16 = 3;

    /// A return address so many bytes above rsp, and the caller's rbp.
    fn above_sp(offset: i64, caller_bp: Value) -> Option<WayOut> {
        Some(WayOut { return_address: Sum { register: SP, offset }, caller_bp })
    }

    fn word(register: u16, offset: i64) -> Value {
        Value::WordAt(Sum { register, offset })
    }

    fn from_start(code: &[u8]) -> Option<WayOut> {
        way_out(code, PC, PC)
    }

    #[test]
    fn a_loop_leads_back_to_before_the_instruction() {
        // pop %rbx; ret; nop; jmp to the pop: the thread is at the nop.
        let code = [0x5b, 0xc3, 0x90, 0xeb, 0xfb];
        assert_eq!(way_out(&code, PC, PC + 2), above_sp(8, SAME_BP));
        assert_eq!(way_out(&code[2..], PC + 2, PC + 2), None, "without that code there is no way out");
    }

    #[test]
    fn a_popped_rbp_is_the_callers() {
        // add $0x20,%rsp; pop %rbx; pop %rbp; ret
        assert_eq!(from_start(&[0x48, 0x83, 0xc4, 0x20, 0x5b, 0x5d, 0xc3]), above_sp(0x30, word(SP, 0x28)));
        // pop %rbx; ret
        assert_eq!(from_start(&[0x5b, 0xc3]), above_sp(8, SAME_BP));
        // pop %rbx; push %rbp; pop %rbp; ret: what is popped is not what is on the stack now.
        assert_eq!(from_start(&[0x5b, 0x55, 0x5d, 0xc3]), above_sp(8, SAME_BP));
        // xor %ebp,%ebp; ret
        assert_eq!(from_start(&[0x31, 0xed, 0xc3]), above_sp(0, Value::Unknown));
    }

    #[test]
    fn pops_lead_to_the_return() {
        assert_eq!(from_start(&[0xc3]), above_sp(0, SAME_BP));
        // pop %rax; jmp *%rcx
        assert_eq!(from_start(&[0x58, 0xff, 0xe1]), above_sp(8, SAME_BP));
    }

    #[test]
    fn both_ways_of_a_branch_must_agree() {
        // je over `pop %rax; ret`; then `pop %rax; ret`, or `ret`.
        assert_eq!(from_start(&[0x74, 2, 0x58, 0xc3, 0x58, 0xc3]), above_sp(8, SAME_BP));
        assert_eq!(from_start(&[0x74, 2, 0x58, 0xc3, 0xc3]), None);
    }

    /// OpenBLAS's `dgemm_kernel` in short: registers saved by moves, the frame aligned to a page, a loop.
    const ALIGNED_KERNEL: [u8; 55] = [
        0x48, 0x83, 0xec, 0x60, // 00: sub $0x60,%rsp
        0x48, 0x89, 0x1c, 0x24, // 04: mov %rbx,(%rsp)
        0x48, 0x89, 0x6c, 0x24, 0x08, // 08: mov %rbp,0x8(%rsp)
        0x48, 0x89, 0xe3, // 0d: mov %rsp,%rbx
        0x48, 0x81, 0xec, 0x80, 0x70, 0x00, 0x00, // 10: sub $0x7080,%rsp
        0x48, 0x81, 0xe4, 0x00, 0xf0, 0xff, 0xff, // 17: and $-0x1000,%rsp
        0x48, 0x31, 0xed, // 1e: xor %rbp,%rbp
        0x48, 0xff, 0xc8, // 21: dec %rax
        0x75, 0xf8, // 24: jne 1e
        0x48, 0x89, 0xdc, // 26: mov %rbx,%rsp
        0x48, 0x8b, 0x1c, 0x24, // 29: mov (%rsp),%rbx
        0x48, 0x8b, 0x6c, 0x24, 0x08, // 2d: mov 0x8(%rsp),%rbp
        0x48, 0x83, 0xc4, 0x60, // 32: add $0x60,%rsp
        0xc3, // 36: ret
    ];

    #[test]
    fn a_frame_that_is_aligned_is_left_by_the_register_that_keeps_rsp() {
        let at = |offset| way_out(&ALIGNED_KERNEL, PC, PC + offset);
        let by_rbx = WayOut { return_address: Sum { register: BX, offset: 0x60 }, caller_bp: word(BX, 8) };
        assert_eq!(at(0), above_sp(0, SAME_BP), "at its entry");
        assert_eq!(at(8), above_sp(0x60, SAME_BP), "before rbp is saved");
        assert_eq!(at(0xd), above_sp(0x60, word(SP, 8)), "behind that");
        for inside in [0x10, 0x17, 0x1e, 0x21, 0x26] {
            assert_eq!(at(inside), Some(by_rbx), "at {inside:#x}");
        }
        assert_eq!(at(0x29), above_sp(0x60, word(SP, 8)), "rsp is back");
        assert_eq!(at(0x32), above_sp(0x60, SAME_BP), "rbp is back, too");
    }

    #[test]
    fn a_register_that_kept_rsp_and_was_written_keeps_it_no_longer() {
        // mov %rsp,%rbx; and $-16,%rsp; then one of these; mov %rbx,%rsp; ret
        let with = |written: &[u8]| {
            from_start(&[&[0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0][..], written, &[0x48, 0x89, 0xdc, 0xc3]].concat())
        };
        assert_eq!(with(&[]), above_sp(0, SAME_BP));
        assert_eq!(with(&[0x48, 0x85, 0xdb]), above_sp(0, SAME_BP), "test %rbx,%rbx");
        assert_eq!(with(&[0xb3, 0x01]), None, "mov $1,%bl");
        assert_eq!(with(&[0x48, 0x93]), None, "xchg %rax,%rbx");
        assert_eq!(with(&[0x0f, 0xa2]), None, "cpuid");
        assert_eq!(with(&[0x48, 0xff, 0xc3, 0x75, 0xfb]), None, "inc %rbx in a loop");
    }

    #[test]
    fn a_frame_record_is_left_by_rbp() {
        let by_rbp = WayOut { return_address: Sum { register: BP, offset: 8 }, caller_bp: word(BP, 0) };
        assert_eq!(from_start(&[0xc9, 0xc3]), Some(by_rbp), "leave; ret");
        // lea -8(%rbp),%rsp; pop %rbx; pop %rbp; ret
        assert_eq!(from_start(&[0x48, 0x8d, 0x65, 0xf8, 0x5b, 0x5d, 0xc3]), Some(by_rbp));
    }

    #[test]
    fn code_that_does_not_end_has_no_answer() {
        assert_eq!(from_start(&[0xeb, 0xfe]), None, "jmp to itself");
        assert_eq!(from_start(&[0x50, 0xeb, 0xfd]), None, "a push in a loop");
        assert_eq!(from_start(&[0x90]), None, "it ends first");
        assert_eq!(from_start(&[0x48, 0x29, 0xc4, 0xc3]), None, "sub %rax,%rsp");
        assert_eq!(from_start(&[0x5c, 0xc3]), None, "pop %rsp");
        assert_eq!(from_start(&[0x50, 0xc3]), None, "it would return to what it has pushed");
    }

    proptest! {
        /// Whatever the bytes are: an answer or none, and no panic.
        #[test]
        fn garbage_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), pc in any::<u64>()) {
            way_out(&bytes, pc, pc);
        }
    }
}
