//! How a function without tables returns: read from its instructions, by going on to where it does.
//!
//! Does: follow the registers from an instruction along every way through the code at hand, to the returns and tail calls;
//! there they tell where the return address is. All ways must agree. A function may keep the stack pointer in another register
//! meanwhile, as one does that aligns its frame (`mov %rsp,%rbx; and $-4096,%rsp … mov %rbx,%rsp`).
//! Does not: know an instruction (the architectures do), or guess where no way leads to an end, or the stack pointer is
//! changed by what is not in the code.

use rustc_hash::FxHashMap;

use super::symbolic::{State, Sum, Value};

/// The most instructions that are looked at, each as often as a way through it brings news: the ways that have come to
/// an end by then must agree. OpenBLAS's longest kernel has 5,500.
const MAX_INSTRUCTIONS: usize = 32_768;

/// What a function leaves to its caller, by the registers at one of its instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnPath {
    /// The end of its frame: the caller's stack pointer.
    pub cfa: Sum,
    /// The return address.
    pub return_address: Value,
    /// The caller's frame pointer.
    pub caller_fp: Value,
}

/// Where an instruction leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To the next one; a call returns.
    On,
    /// To an address, and nowhere else.
    To(u64),
    /// To an address, or to the next one.
    Either(u64),
    /// Out of the function: a return, or a jump to where the code does not tell.
    Out,
    /// Nowhere: it traps, or is none.
    Nowhere,
}

/// Code whose instructions can be read.
pub trait Instructions {
    /// Reads the instruction at an address and applies it to what is known, unless it leads out. Returns where it leads, and the
    /// address behind it. `None` where there is no code.
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)>;

    /// What is left to the caller by an instruction that leads out.
    fn left_by(&self, state: &State) -> Option<ReturnPath>;
}

/// What is known when the instruction at `pc` is next. Ways that lead out of the code are not followed.
pub fn return_path(code: &mut impl Instructions, pc: u64, beginning: State) -> Option<ReturnPath> {
    let mut ways = Ways::default();
    let mut agreed: Option<ReturnPath> = None;
    let mut left = MAX_INSTRUCTIONS;
    ways.lead_to(pc, &beginning);
    'ways: while let Some((start, mut state)) = ways.next() {
        let mut address = start;
        loop {
            if address != start && ways.is_met(address) {
                ways.lead_to(address, &state);
                break;
            }
            let Some(rest) = left.checked_sub(1) else { break 'ways };
            left = rest;
            let Some((flow, next)) = code.follow(address, &mut state) else { break };
            match flow {
                Flow::On => {}
                Flow::Either(target) => ways.lead_to(target, &state),
                Flow::To(target) => {
                    ways.lead_to(target, &state);
                    break;
                }
                Flow::Nowhere => break,
                Flow::Out => {
                    let end = code.left_by(&state)?;
                    let agreed = agreed.get_or_insert(end);
                    if (agreed.cfa, agreed.return_address) != (end.cfa, end.return_address) {
                        return None;
                    }
                    agreed.caller_fp.join(end.caller_fp);
                    break;
                }
            }
            address = next;
        }
    }
    agreed
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
