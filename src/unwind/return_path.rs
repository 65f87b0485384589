//! How a function without tables returns: read from its instructions, by going on to where it does, or by coming from where it
//! begins.
//!
//! Does: follow the registers from an instruction along every way through the code at hand, to the returns and tail calls; there
//! they tell where the return address is. Or from a function's beginning to an instruction: what was done to the stack on the way
//! tells it, too. Ways that bring another stack pointer to a place are followed side by side: one of them may be impossible, as
//! behind a call that does not return. A function may keep the stack pointer in another register meanwhile, as one does that
//! aligns its frame (`mov %rsp,%rbx; and $-4096,%rsp … mov %rbx,%rsp`).
//! Does not: know an instruction (the architectures do), or choose between ways that disagree (`without_cfi` does).

use rustc_hash::FxHashMap;

use super::symbolic::{State, Sum, Value};

/// The most instructions that are looked at, each as often as a way through it brings news. OpenBLAS's longest kernel has 5,500.
const MAX_INSTRUCTIONS: usize = 32_768;
/// The same, of a function of which only is asked whether it returns.
const MAX_CALLEE: usize = 1_024;
/// Calls in calls that are looked into for that: musl's `exit` calls `_Exit`, which loops for ever.
const MAX_CALL_DEPTH: u8 = 2;
/// Stack pointers that are followed side by side at one place. Beyond that the ways are those of no compiler.
const MAX_SIDE_BY_SIDE: usize = 4;
/// Different ends that are told.
const MAX_ENDS: usize = 16;

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

impl ReturnPath {
    /// Whether both find the return address in the same place.
    pub fn agrees(&self, other: &ReturnPath) -> bool {
        (self.cfa, self.return_address) == (other.cfa, other.return_address)
    }
}

/// Where an instruction leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To the next one.
    On,
    /// To an address, and nowhere else.
    To(u64),
    /// To an address, or to the next one.
    Either(u64),
    /// To the next one, if what it calls returns.
    Call(Option<u64>),
    /// Out of the function: to its caller.
    Return,
    /// To where the code does not tell: a tail call, or a part of the function by a table.
    Pointer,
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

    /// What is left to the caller where the function, which has begun with [`State::beginning`], has come to `state`: by the
    /// registers that are there. `in_call`: it makes a call.
    fn left_since(&self, state: &State, in_call: bool) -> Option<ReturnPath>;
}

/// How the code goes on from an instruction to where it is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// By returns. Where there is none, by jumps to where the code does not tell: those can lead to other parts of the function.
    pub paths: Vec<ReturnPath>,
    /// Where ways lead out of the code at hand: if by a tail call, this is what is left.
    pub far: Vec<ReturnPath>,
}

impl Ends {
    /// What all ways agree on.
    pub fn agreed(&self) -> Option<ReturnPath> {
        let [one] = self.paths[..] else { return None };
        Some(one)
    }
}

/// Where a function leaves for another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TailCalls {
    /// Addresses that it jumps to with its own frame gone.
    pub to: Vec<u64>,
    /// Whether it jumps so to where the code does not tell.
    pub by_pointer: bool,
    /// Whether there can be code of this function that was not looked at: behind a jump by a table, or too far away.
    pub is_partial: bool,
}

/// The ways out of the code for a thread whose next instruction is that at `pc`. Ways that lead out of the code at hand are not followed.
pub fn ends(code: &mut impl Instructions, pc: u64, beginning: State) -> Ends {
    let (mut returns, mut jumps, mut far) = (Vec::new(), Vec::new(), Vec::new());
    let mut search = Search::new(MAX_INSTRUCTIONS, MAX_CALL_DEPTH);
    search.run(code, pc, beginning, |code, step| {
        let ends = match step.flow {
            Some(Flow::Return) => &mut returns,
            Some(Flow::Pointer) => &mut jumps,
            None => &mut far,
            _ => return true,
        };
        if let Some(end) = code.left_by(step.state) {
            add(ends, end);
        }
        true
    });
    Ends { paths: if returns.is_empty() { jumps } else { returns }, far }
}

/// What a function that begins at `start` leaves to its caller when it has come to the instruction at `pc`, or, `in_call`, to the call
/// in front of it: one for each stack pointer with which it can be there, none where no way leads there.
pub fn since_entry(
    code: &mut impl Instructions,
    (start, pc): (u64, u64),
    in_call: bool,
    beginning: State,
) -> Vec<ReturnPath> {
    let mut found = Vec::new();
    let mut search = Search::new(MAX_INSTRUCTIONS, MAX_CALL_DEPTH);
    search.goal = Some((pc, in_call));
    search.run(code, start, beginning, |_, _| true);
    for path in search.reached.iter().filter_map(|state| code.left_since(state, in_call)) {
        add(&mut found, path);
    }
    found
}

/// Whether the function that begins at `start` can return, as far as its code is at hand.
pub fn returns(code: &mut impl Instructions, start: u64, beginning: &State) -> bool {
    Search::new(0, MAX_CALL_DEPTH).returns(code, start, beginning)
}

/// Where the function that begins at `start` hands over to another.
pub fn tail_calls(code: &mut impl Instructions, start: u64, beginning: State) -> TailCalls {
    let mut calls = TailCalls::default();
    let mut search = Search::new(MAX_CALLEE, 0);
    let untouched = code.left_by(&beginning);
    let is_whole = search.run(code, start, beginning, |code, step| {
        // With its frame gone, what it leaves to its caller is what it has found.
        let is_gone = || code.left_by(step.state).is_some_and(|left| untouched == Some(left));
        match step.flow {
            None => calls.is_partial = true,
            Some(Flow::Pointer) if is_gone() => calls.by_pointer = true,
            Some(Flow::Pointer) => calls.is_partial = true,
            Some(Flow::To(to)) if is_gone() && calls.to.len() < MAX_ENDS && !calls.to.contains(&to) => {
                calls.to.push(to)
            }
            _ => {}
        }
        true
    });
    calls.is_partial |= !is_whole;
    calls
}

/// Adds an end, or what it agrees on with one that is known.
fn add(ends: &mut Vec<ReturnPath>, end: ReturnPath) {
    if let Some(known) = ends.iter_mut().find(|known| known.agrees(&end)) {
        known.caller_fp.join(end.caller_fp);
    } else if ends.len() < MAX_ENDS {
        ends.push(end);
    }
}

/// One instruction on one way.
struct Step<'a> {
    /// `None`: there is no code.
    flow: Option<Flow>,
    /// What holds behind it.
    state: &'a State,
}

/// All ways through the code from one instruction.
struct Search {
    ways: Ways,
    left: usize,
    call_depth: u8,
    /// Whether the functions that were called return.
    callees: FxHashMap<u64, bool>,
    /// An instruction, or the one behind a call that is meant.
    goal: Option<(u64, bool)>,
    /// What held each time that a way has come there.
    reached: Vec<State>,
}

impl Search {
    fn new(instructions: usize, call_depth: u8) -> Search {
        let (ways, callees, reached) = (Ways::default(), FxHashMap::default(), Vec::new());
        Search { ways, left: instructions, call_depth, callees, goal: None, reached }
    }

    /// Follows them, and shows each step, until `on` says that it is enough. Returns whether all ways were followed to their ends.
    fn run<I: Instructions>(
        &mut self,
        code: &mut I,
        start: u64,
        beginning: State,
        mut on: impl FnMut(&I, Step<'_>) -> bool,
    ) -> bool {
        self.ways.lead_to(start, &beginning);
        while let Some((start, mut state)) = self.ways.next() {
            let mut address = start;
            loop {
                if address != start && self.ways.is_met(address) {
                    self.ways.lead_to(address, &state);
                    break;
                }
                let Some(rest) = self.left.checked_sub(1) else { return false };
                self.left = rest;
                self.reach(address, false, &state);
                let followed = code.follow(address, &mut state);
                let (flow, next) = followed.map_or((None, address), |(flow, next)| (Some(flow), next));
                if matches!(flow, Some(Flow::Call(_))) {
                    self.reach(next, true, &state);
                }
                if !on(code, Step { flow, state: &state }) {
                    return false;
                }
                match flow {
                    Some(Flow::On) => {}
                    Some(Flow::Either(target)) => self.ways.lead_to(target, &state),
                    Some(Flow::Call(callee)) => {
                        if callee.is_some_and(|callee| !self.returns(code, callee, &beginning)) {
                            break;
                        }
                    }
                    Some(Flow::To(target)) => {
                        self.ways.lead_to(target, &state);
                        break;
                    }
                    Some(Flow::Return | Flow::Pointer | Flow::Nowhere) | None => break,
                }
                address = next;
            }
        }
        true
    }

    fn reach(&mut self, address: u64, in_call: bool, state: &State) {
        if self.goal == Some((address, in_call)) && self.reached.len() < MAX_ENDS {
            self.reached.push(state.clone());
        }
    }

    /// Whether a function can return, as far as its code is at hand.
    fn returns<I: Instructions>(&mut self, code: &mut I, function: u64, beginning: &State) -> bool {
        let Some(call_depth) = self.call_depth.checked_sub(1) else { return true };
        if let Some(known) = self.callees.get(&function) {
            return *known;
        }
        // A function that calls itself is taken for one that returns, until it is known.
        self.callees.insert(function, true);
        let mut returns = false;
        let mut inside = Search::new(MAX_CALLEE, call_depth);
        let is_whole = inside.run(code, function, beginning.clone(), |_, step| {
            returns = matches!(step.flow, None | Some(Flow::Return | Flow::Pointer));
            !returns
        });
        let returns = returns || !is_whole;
        self.callees.insert(function, returns);
        returns
    }
}

/// The targets of branches.
#[derive(Default)]
struct Ways {
    met: FxHashMap<u64, Vec<Target>>,
    to_go: Vec<(u64, usize)>,
}

/// What holds at the target of a branch on every way that has led there with the same stack pointer.
struct Target {
    state: State,
    is_to_go: bool,
}

impl Ways {
    fn lead_to(&mut self, address: u64, state: &State) {
        let targets = self.met.entry(address).or_default();
        let same = targets.iter_mut().enumerate().find(|(_, target)| target.state.is_beside(state));
        if let Some((index, target)) = same {
            if target.state.join(state) && !std::mem::replace(&mut target.is_to_go, true) {
                self.to_go.push((address, index));
            }
        } else if targets.len() < MAX_SIDE_BY_SIDE {
            targets.push(Target { state: state.clone(), is_to_go: true });
            self.to_go.push((address, targets.len() - 1));
        }
    }

    fn is_met(&self, address: u64) -> bool {
        self.met.contains_key(&address)
    }

    fn next(&mut self) -> Option<(u64, State)> {
        let (address, index) = self.to_go.pop()?;
        let target = self.met.get_mut(&address)?.get_mut(index)?;
        target.is_to_go = false;
        Some((address, target.state.clone()))
    }
}
