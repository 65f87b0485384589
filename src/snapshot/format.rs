//! Snapshots as files: JSON, with the bytes packed.
//!
//! Does: write a snapshot, and read one within bounds. Does not: look into the bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::packed::{Budget, Packed, PackedError, Part};
use super::{CodeMapping, ModuleImage, Runtime, Snapshot, SparseSection};
use crate::merge::eval_code::EvalCode;
use crate::merge::resync::EvalFrameLayout;
use crate::target::memory::Region;
use crate::target::memory_budget::{self, Share};
use crate::target::registers::aarch64;
use crate::target::registers::{MAX_REGISTERS, Registers};
use crate::types::{Addr, Machine, Svma};

/// The version of the format that is written and read.
const VERSION: u32 = 1;
/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 32 << 20;
/// The most bytes that a file may unfold to: stack, memory, and the whole length of all sections.
const MAX_BYTES: usize = 256 << 20;
/// What a reader of the file shall know of it.
const WHAT: &str = "fpprof snapshot: one thread of a CPython process at one moment, to be run through fpprof again. It \
holds the bytes of the thread's C stack as they were, whatever the program had there; of other memory only what \
fpprof reads to find the stack (interpreter frames, names of functions and files, location tables). See \
docs/snapshots.md before you share it.";

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file is longer than any that is written.
    #[error("the file is too long for a snapshot: {0} bytes")]
    TooLong(usize),
    /// It is not JSON, or not with the fields of a snapshot.
    #[error("the file is not a snapshot: {0}")]
    Json(#[from] serde_json::Error),
    /// A later version of the format.
    #[error("the snapshot has format version {0}; this fpprof reads version {VERSION}")]
    Version(u32),
    /// A thread of a machine that cannot be unwound.
    #[error("the snapshot is of a {0} machine, which fpprof cannot unwind")]
    Architecture(String),
    /// Its bytes cannot be unpacked.
    #[error(transparent)]
    Packed(#[from] PackedError),
    /// A number that is none, or out of place.
    #[error("the snapshot's {0} make no sense")]
    Nonsense(&'static str),
}

/// A number in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hex(String);

impl From<u64> for Hex {
    fn from(value: u64) -> Hex {
        Hex(format!("{value:#x}"))
    }
}

impl Hex {
    fn value(&self, what: &'static str) -> Result<u64, FormatError> {
        let digits = self.0.strip_prefix("0x").ok_or(FormatError::Nonsense(what))?;
        u64::from_str_radix(digits, 16).map_err(|_| FormatError::Nonsense(what))
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    what: String,
    version: u32,
    /// Snapshots from before there was a second one name none.
    #[serde(default = "first_architecture")]
    architecture: String,
    runtime: FileRuntime,
    registers: BTreeMap<u8, Hex>,
    thread_pointer: Option<Hex>,
    /// The bits of a return address that are its signature; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    signature_mask: Option<Hex>,
    thread_states: Vec<Hex>,
    evaluation_frame: Option<FileEvaluationFrame>,
    /// Each range as `start-end`; absent where none is known, and in snapshots of before it was added.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    evaluation_code: Vec<String>,
    stack: Packed,
    memory: Packed,
    modules: Vec<FileModule>,
    /// Each executable range as `start-end index`, of its module in `modules`, or `start-end anonymous`.
    code: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct FileRuntime {
    address: Hex,
    version_symbol: Option<Hex>,
    file_name: String,
}

#[derive(Serialize, Deserialize)]
struct FileEvaluationFrame {
    distance: u64,
    saved_frame_pointer: Option<i32>,
}

#[derive(Serialize, Deserialize)]
struct FileModule {
    name: String,
    build_id: Option<String>,
    bias: Hex,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    eh_frame_hdr: Option<FileSection>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    eh_frame: Option<FileSection>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    code: Option<Packed>,
}

#[derive(Serialize, Deserialize)]
struct FileSection {
    svma: Hex,
    len: u64,
    known: Packed,
}

fn first_architecture() -> String {
    Machine::X86_64.name().into()
}

impl Snapshot {
    /// The snapshot as the text of a file.
    pub fn to_json(&self) -> String {
        let file = File {
            what: WHAT.into(),
            version: VERSION,
            architecture: self.machine.name().into(),
            runtime: FileRuntime {
                address: self.runtime.address.0.into(),
                version_symbol: self.runtime.version_symbol.map(|addr| addr.0.into()),
                file_name: self.runtime.file_name.clone(),
            },
            registers: (0..MAX_REGISTERS)
                .filter_map(|n| Some((u8::try_from(n).ok()?, self.registers.get(n)?.into())))
                .collect(),
            thread_pointer: self.registers.thread_pointer.map(|addr| addr.0.into()),
            signature_mask: Some(self.registers.signature_mask).filter(|mask| *mask != 0).map(Hex::from),
            thread_states: self.thread_states.iter().map(|state| state.0.into()).collect(),
            evaluation_frame: self.evaluation_frame.map(|frame| FileEvaluationFrame {
                distance: frame.distance,
                saved_frame_pointer: frame.saved_frame_pointer,
            }),
            evaluation_code: self.evaluation_code.parts().iter().map(|(start, end)| format!("{start}-{end}")).collect(),
            stack: Packed::new([(self.stack.start.0, &self.stack.bytes[..])]),
            memory: Packed::new(self.memory.iter().map(|region| (region.start.0, &region.bytes[..]))),
            modules: self.modules.iter().map(FileModule::from).collect(),
            code: self.code.iter().map(code_line).collect(),
        };
        // Numbers, strings and lists: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`FormatError`], of any kind.
    pub fn from_json(text: &[u8]) -> Result<Snapshot, FormatError> {
        if text.len() > MAX_FILE {
            return Err(FormatError::TooLong(text.len()));
        }
        let file: File = serde_json::from_slice(text)?;
        if file.version != VERSION {
            return Err(FormatError::Version(file.version));
        }
        let Some(machine) = Machine::named(&file.architecture) else {
            return Err(FormatError::Architecture(file.architecture));
        };
        let mut registers = registers(&file.registers, optional(file.thread_pointer, "registers")?)?;
        registers.signature_mask = match file.signature_mask {
            Some(mask) => {
                let mask = mask.value("registers")?;
                // What the kernel would not have said is none, as it is for a live process.
                aarch64::decode_signature_mask(&[[0; 8], mask.to_le_bytes()].concat())
            }
            None => 0,
        };
        // Sections are there twice: what is known of them, and at their whole length.
        let room = usize::try_from(memory_budget::left(Share::All) / 3).unwrap_or(usize::MAX);
        let mut budget = Budget(MAX_BYTES.min(room));
        let [stack] = <[Part; 1]>::try_from(file.stack.unpack(&mut budget)?)
            .map_err(|_| FormatError::Nonsense("ranges of the stack"))?;
        let memory = file.memory.unpack(&mut budget)?.into_iter().map(region).collect();
        let modules: Result<Vec<ModuleImage>, FormatError> =
            file.modules.into_iter().map(|module| module.image(&mut budget)).collect();
        let modules = modules?;
        let code: Option<Vec<CodeMapping>> = file.code.iter().map(|line| code_mapping(line, modules.len())).collect();
        let evaluation_code: Option<EvalCode> = file.evaluation_code.iter().map(|range| range_of(range)).collect();
        Ok(Snapshot {
            runtime: Runtime {
                address: Addr(file.runtime.address.value("runtime addresses")?),
                version_symbol: optional(file.runtime.version_symbol, "runtime addresses")?,
                file_name: file.runtime.file_name,
            },
            machine,
            registers,
            stack: region(stack),
            memory: in_order(memory)?,
            thread_states: addresses(&file.thread_states)?,
            evaluation_frame: file.evaluation_frame.map(|frame| EvalFrameLayout {
                distance: frame.distance,
                saved_frame_pointer: frame.saved_frame_pointer,
            }),
            evaluation_code: evaluation_code.ok_or(FormatError::Nonsense("ranges of evaluation"))?,
            modules,
            code: code.ok_or(FormatError::Nonsense("executable ranges"))?,
        })
    }
}

impl From<&ModuleImage> for FileModule {
    fn from(module: &ModuleImage) -> FileModule {
        let section = |section: &SparseSection| FileSection {
            svma: section.svma.0.into(),
            len: section.len as u64,
            known: Packed::new(section.parts.iter().map(|(offset, bytes)| (*offset, &bytes[..]))),
        };
        FileModule {
            name: module.name.clone(),
            build_id: module.build_id.clone(),
            bias: module.bias.into(),
            eh_frame_hdr: module.eh_frame_hdr.as_ref().map(section),
            eh_frame: module.eh_frame.as_ref().map(section),
            code: (!module.code.is_empty())
                .then(|| Packed::new(module.code.iter().map(|(svma, bytes)| (*svma, &bytes[..])))),
        }
    }
}

impl FileModule {
    fn image(self, budget: &mut Budget) -> Result<ModuleImage, FormatError> {
        let mut section = |section: Option<FileSection>| {
            let Some(section) = section else { return Ok(None) };
            let parts = section.known.unpack(budget)?;
            let svma = Svma(section.svma.value("section addresses")?);
            Ok::<_, FormatError>(Some(SparseSection { svma, len: budget.spend(section.len)?, parts }))
        };
        let (eh_frame_hdr, eh_frame) = (section(self.eh_frame_hdr)?, section(self.eh_frame)?);
        let code = self.code.map(|code| code.unpack(budget)).transpose()?.unwrap_or_default();
        let bias = self.bias.value("load biases")?;
        Ok(ModuleImage { name: self.name, build_id: self.build_id, bias, eh_frame_hdr, eh_frame, code })
    }
}

fn region((start, bytes): Part) -> Region {
    Region { start: Addr(start), bytes }
}

fn registers(values: &BTreeMap<u8, Hex>, thread_pointer: Option<Addr>) -> Result<Registers, FormatError> {
    let mut registers = Registers::new();
    for (number, value) in values {
        registers.set(usize::from(*number), value.value("registers")?);
    }
    registers.thread_pointer = thread_pointer;
    Ok(registers)
}

fn addresses(values: &[Hex]) -> Result<Vec<Addr>, FormatError> {
    values.iter().map(|value| value.value("thread states").map(Addr)).collect()
}

fn optional(value: Option<Hex>, what: &'static str) -> Result<Option<Addr>, FormatError> {
    value.map(|value| value.value(what).map(Addr)).transpose()
}

/// Lookups in the regions need them in order, and each byte in one of them.
fn in_order(regions: Vec<Region>) -> Result<Vec<Region>, FormatError> {
    let mut end = 0;
    for region in &regions {
        if region.start.0 < end {
            return Err(FormatError::Nonsense("ranges of memory"));
        }
        end = region.start.0.checked_add(region.bytes.len() as u64).ok_or(FormatError::Nonsense("ranges of memory"))?;
    }
    Ok(regions)
}

fn code_line(code: &CodeMapping) -> String {
    let CodeMapping { start, end, module } = code;
    match module {
        Some(index) => format!("{start}-{end} {index}"),
        None => format!("{start}-{end} anonymous"),
    }
}

/// `start-end`
fn range_of(text: &str) -> Option<(Addr, Addr)> {
    let (start, end) = text.split_once('-')?;
    let addr = |digits: &str| Some(Addr(u64::from_str_radix(digits.strip_prefix("0x")?, 16).ok()?));
    Some((addr(start)?, addr(end)?))
}

fn code_mapping(line: &str, modules: usize) -> Option<CodeMapping> {
    let (range, module) = line.split_once(' ')?;
    let (start, end) = range_of(range)?;
    let module = match module {
        "anonymous" => None,
        index => Some(index.parse().ok().filter(|index| *index < modules)?),
    };
    Some(CodeMapping { start, end, module })
}
