//! Whatever a target's names hold: flame graphs are well-formed XML, and collapsed stacks give back every sample.

use std::collections::BTreeMap;
use std::time::Duration;

use fpprof::output::format::Format;
use fpprof::output::label::LabelOptions;
use fpprof::output::{ShownProfile, write};
use fpprof::profile::Profile;
use fpprof::profile::facts::RecordingFacts;
use fpprof::profile::facts::activity::ThreadActivity;
use fpprof::profile::frame::{Frame, FrameKind, SourceLine};
use fpprof::profile::samples::Weights;
use fpprof::sampler::mode::Mode;
use fpprof::types::Pid;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::Event;

fn facts(text: &str) -> RecordingFacts {
    RecordingFacts {
        command: text.to_owned(),
        pid: Pid(1),
        python_version: Some(text.to_owned()),
        threads: Mode::Wall,
        rate_hz: 100.0,
        fixed_intervals: false,
        started: None,
        duration: Duration::from_secs(1),
        samples_wanted: 100,
        samples_taken: 100,
        samples_late: 0,
        samples_failed: 0,
        samples_left_out: 0,
        limit: None,
        failures: BTreeMap::from([(text.to_owned(), 1)]),
        stacks: 100,
        stacks_complete: 100,
        not_read: vec![text.to_owned()],
        activity: ThreadActivity::default(),
        stops: None,
        throttling: None,
        processes: None,
        children: None,
        own_cpu: None,
        fpprof_version: "0".into(),
        effective_samples: None,
        weights: Weights::Ticks,
        target_cpu: None,
        not_sampled: None,
        time_spent: None,
        shown_part: None,
        left_out: Vec::new(),
    }
}

fn written(format: Format, profile: &Profile, facts: &RecordingFacts) -> String {
    let mut out = Vec::new();
    let shown = ShownProfile { stacks: profile, timeline: None, facts, sources: None, is_inverted: false };
    write(format, &shown, &LabelOptions::default(), &mut out).expect("writing to memory succeeds");
    String::from_utf8(out).expect("the output is UTF-8")
}

/// Reads a document as XML 1.0 has it: matching tags, distinct attributes, known entities, allowed characters only.
/// Gives the number of frames drawn.
fn frames_of_well_formed(svg: &str) -> Result<usize, String> {
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if let Some(c) = svg.chars().find(|c| !is_allowed(*c)) {
        return Err(format!("{c:?} is no XML character"));
    }
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_comments = true;
    let (mut depth, mut frames) = (0, 0);
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        if let Event::Start(element) | Event::Empty(element) = &event {
            for attribute in element.attributes() {
                let attribute = attribute.map_err(|error| error.to_string())?;
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
                frames += usize::from(attribute.key.as_ref() == b"fg:w");
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            // Without `]]>`, which text must not hold (section 2.4).
            Event::Text(text) if text.windows(3).any(|bytes| bytes == b"]]>") => return Err("]]> in text".into()),
            Event::GeneralRef(entity) => {
                let known = entity.is_char_ref() || [&b"lt"[..], b"gt", b"amp", b"quot", b"apos"].contains(&&*entity);
                if !known {
                    return Err(format!("unknown entity {entity:?}"));
                }
            }
            Event::Eof if depth == 0 => return Ok(frames),
            Event::Eof => return Err(format!("{depth} elements are open at the end")),
            _ => {}
        }
    }
}

/// The sum of all counts, as speedscope reads the lines (`/^(.*) (\d+)$/`).
fn total_of_collapsed(text: &str) -> Result<u64, String> {
    let mut total = 0;
    for line in text.split('\n') {
        let counted = line.rsplit_once(' ').filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        match counted {
            Some((stack, _)) if stack.split(';').any(|frame| frame.trim().is_empty()) => {
                return Err(format!("an empty frame in {line:?}"));
            }
            Some((_, count)) => total += count.parse::<u64>().map_err(|error| error.to_string())?,
            None if line.is_empty() || line.starts_with("# ") => {}
            None => return Err(format!("neither stack nor comment: {line:?}")),
        }
    }
    Ok(total)
}

/// How many samples inferno finds in collapsed stacks.
fn total_by_inferno(text: &str) -> u64 {
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    inferno::flamegraph::from_lines(&mut options, text.lines(), &mut svg).expect("inferno reads collapsed stacks");
    let svg = String::from_utf8(svg).expect("inferno writes UTF-8");
    let (_, rest) = svg.split_once("total_samples=\"").expect("inferno states the total");
    let (total, _) = rest.split_once('"').expect("the attribute ends");
    total.parse().expect("the total is a number")
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        // What separates, ends or escapes something somewhere.
        prop::sample::select(vec![
            "",
            " ",
            ";",
            ";;",
            "#",
            "# x 1",
            "a 12",
            "12",
            ".",
            "a .",
            "a;b 3 4",
            "]]>",
            "--",
            "-",
            "<!--",
            "&amp;",
            "&#0;",
            "\"'<>&",
            "\0",
            "\u{1b}[0m",
            "\n",
            "\r\n1",
            "\u{85}",
            "\u{2028}",
            "\u{a0}",
            "\u{202e}fdp.exe",
            "\u{fffe}",
            "\u{ffff}",
            "👩\u{200d}🔬",
            "שלום",
            "_[k]",
            "f_[i]",
            "all",
            "</text>",
            "</svg>",
        ])
        .prop_map(str::to_owned),
        "[ ;#0-9a.\\[\\]_kwij]{0,12}",
        Just("long;".repeat(1000)),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let place = (any_name(), any::<Option<u32>>(), any::<Option<u32>>());
    let source =
        prop::option::of(place.prop_map(|(file, line, first_line)| SourceLine { file: file.into(), line, first_line }));
    let module = prop::option::of(any_name());
    (prop::sample::select(FrameKind::ALL.to_vec()), any_name(), source, module).prop_map(
        |(kind, name, source, module)| {
            let frame = Frame::native(kind, &name, module.as_deref());
            if let Some(source) = source { frame.at(source) } else { frame }
        },
    )
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let stack = prop::collection::vec(any_frame(), 0..6);
    prop::collection::vec((stack, 1u64..1000), 1..12).prop_map(|stacks| {
        let mut profile = Profile::new();
        for (stack, weight) in &stacks {
            profile.add(stack, *weight);
        }
        profile
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_names_give_a_well_formed_flame_graph(profile in any_profile(), text in any_name()) {
        let svg = written(Format::FlameGraph, &profile, &facts(&text));
        let frames = frames_of_well_formed(&svg).map_err(TestCaseError::fail)?;
        prop_assert!(frames > 0);
        let total = format!("total_samples=\"{}\"", profile.total());
        prop_assert!(svg.contains(&total));
    }

    #[test]
    fn any_names_give_collapsed_stacks_with_every_sample(profile in any_profile(), text in any_name()) {
        let collapsed = written(Format::Collapsed, &profile, &facts(&text));
        prop_assert_eq!(total_of_collapsed(&collapsed).map_err(TestCaseError::fail)?, profile.total());
        prop_assert_eq!(total_by_inferno(&collapsed), profile.total());
    }

    #[test]
    fn an_empty_profile_gives_a_well_formed_picture(text in any_name()) {
        let svg = written(Format::FlameGraph, &Profile::new(), &facts(&text));
        prop_assert_eq!(frames_of_well_formed(&svg), Ok(0));
        prop_assert!(svg.contains("No samples: "));
    }
}

#[test]
fn the_well_formedness_check_finds_what_is_wrong() {
    for bad in ["<a>", "<a></b>", "<a>\u{1}</a>", "<a>&x;</a>", "<a b='1' b='2'/>", "<a>]]></a>", "<!-- -- --><a/>"] {
        assert!(frames_of_well_formed(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_stack_of_thousands_of_frames_is_drawn_whole() {
    let frames: Vec<Frame> =
        (0..5000).map(|n| Frame::native(FrameKind::UserCode, &format!("f{}", n % 7), Some("deep.so"))).collect();
    let mut profile = Profile::new();
    profile.add(&frames, 1);
    let svg = written(Format::FlameGraph, &profile, &facts("deep"));
    // One more is inferno's own frame of all samples.
    assert_eq!(frames_of_well_formed(&svg), Ok(5001));
}

#[test]
fn a_flame_graph_has_a_bounded_number_of_frames_and_says_what_is_missing() {
    let mut profile = Profile::new();
    for n in 0..30_000 {
        let frame = Frame::native(FrameKind::UserCode, &format!("f{n}"), None);
        profile.add([&frame], if n < 100 { 50 } else { 1 });
    }
    let svg = written(Format::FlameGraph, &profile, &facts("wide"));
    // The widest, all samples, and what is left out.
    assert_eq!(frames_of_well_formed(&svg), Ok(102));
    assert!(svg.contains("[too narrow to be drawn] (29,900 samples"));
    assert!(svg.contains("not drawn: 29900 frames with fewer than 2 samples"));
    assert!(svg.contains(&format!("total_samples=\"{}\"", profile.total())));
}
